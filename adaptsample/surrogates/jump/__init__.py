"""Functions that jump along a smooth boundary."""
