"""What the figures and the page of the deep image prior are drawn with."""
