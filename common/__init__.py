"""What two or more cases share: settings, running, pictures, data sets, metrics, figures. It imports no case."""
