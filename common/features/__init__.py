"""Fixed feature networks (VGG16, VGG19, SqueezeNet, our own small one) and their weights files."""
