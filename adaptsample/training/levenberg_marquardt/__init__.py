"""Least squares with second-order steps."""
