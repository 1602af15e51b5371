"""Networks that paint in one pass: one style (Johnson et al. 2016), many styles (Dumoulin et al. 2017)."""
