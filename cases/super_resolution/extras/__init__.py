"""What a first reader may skip: one file of several scales' networks."""
