"""Captions and drawings of the figures of this case."""
