"""What a first reader skips: the export."""
