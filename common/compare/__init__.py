"""The tool that holds result folders against each other; submissions are never trusted."""
