"""Sparse polynomials; in one variable rational and piecewise ones, too."""
