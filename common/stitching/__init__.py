"""What both stitching cases need: homographies, how they are found, and what is joined by them."""
