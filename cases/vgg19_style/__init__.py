"""Image style transfer using convolutional neural networks (Gatys et al. 2016): chapter B6."""
