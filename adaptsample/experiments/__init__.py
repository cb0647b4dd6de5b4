"""Runs that are stated by name, one or many of them."""
