"""R2AtU-Net: nuclei in microscope pictures, one by one; beside its plain U-Net and the watershed."""
