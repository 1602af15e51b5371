"""What both low-light cases need: baselines, evaluation, figures."""
