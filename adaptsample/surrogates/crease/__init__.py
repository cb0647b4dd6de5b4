"""Functions with kinks along smooth curves."""
