"""How an experiment runs: settings, device, sampling, training, checkpoints, results, figures."""
