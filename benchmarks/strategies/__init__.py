"""Strategies beside one another, and beside those of other packages."""
