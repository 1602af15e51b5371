"""SiamFC: fully-convolutional Siamese tracking (Bertinetto et al. 2016)."""
