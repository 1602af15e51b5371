"""Networks that paint in one pass: Johnson et al. 2016, Dumoulin et al. 2017."""
