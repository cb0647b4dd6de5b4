"""Standardised residuals below these are rounding: a fit that reaches them is exact.

How far rounding reaches depends on the arithmetic, so each family has its own.
"""

from typing import Final

POLYNOMIAL_ROUNDING: Final = 1e-14
"""One linear solve in an orthonormal basis."""

JUMP_ROUNDING: Final = 1e-13
"""Linear, with twice as many columns, which the sides of a jump make less orthogonal."""

FORMULA_ROUNDING: Final = 1e-13
"""Iterations, in few parameters."""

CREASE_ROUNDING: Final = 1e-12
"""Iterations, in many parameters."""
