"""Super-resolution with self-attention and sub-pixel convolution."""
