"""Unsupervised deep image stitching (Nie et al. 2021): chapter B4."""
