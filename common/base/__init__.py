"""What everything stands on: errors, whole files, progress, paths and YAML; no torch."""
