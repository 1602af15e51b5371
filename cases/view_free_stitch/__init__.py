"""View-free image stitching with a global homography (Nie et al. 2020)."""
