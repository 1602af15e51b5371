"""What the tracker is held against."""
