"""Sparse polynomials; in one variable rational and piecewise ones, too."""

from adaptsample.surrogates.polynomial.surrogate import Polynomial as Polynomial
from adaptsample.surrogates.polynomial.surrogate import PolynomialModel as PolynomialModel
