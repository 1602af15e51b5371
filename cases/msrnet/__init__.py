"""MSR-net: low-light image enhancement (Shen et al. 2017)."""
