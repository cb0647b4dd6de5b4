"""What a polynomial on a plan, a few levels of each variable, is worth between the levels."""

from dataclasses import replace
from math import comb

from jaxtyping import Float, Int64
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates._rounding import POLYNOMIAL_ROUNDING
from adaptsample.surrogates.plans import larger, n_levels, without_levels
from adaptsample.surrogates.polynomial.expansion import Expansion

RESPONSE_SURFACE = 2
"""A polynomial of this degree is what plans are made for."""

LOW = 4
"""Higher powers swing between the levels; they are no simple explanation."""

_EXACT = 1e-10
"""An exact polynomial has coefficients of 0, and foretells levels, to within this."""


def held_out_on_plan(expansion: Expansion, u: Points, z: Float[Tensor, " n"]) -> Expansion:
    """Return the expansion with residuals of whole levels, where these are larger.

    An exact polynomial keeps its own if it is the simplest explanation: fewer terms than points
    would do for all of its degree, and it is a response surface, or has a degree below the number
    of levels, or low powers that foretell each level. It is left without the terms that it does not
    need.
    """
    if expansion.score <= POLYNOMIAL_ROUNDING and expansion.indices is not None:
        needed = expansion.coefficients.abs() > _EXACT
        if needed.any():
            indices = expansion.indices[needed]
            simple = Expansion.chebyshev(u, z, indices)
            if simple.score <= POLYNOMIAL_ROUNDING and _is_simplest(simple, indices, u, z):
                return simple
    by_level = without_levels(expansion.basis, expansion.residuals, z, u)
    return replace(expansion, held_out=larger(expansion.held_out, by_level))


def _is_simplest(
    expansion: Expansion, indices: Int64[Tensor, "p d"], u: Points, z: Float[Tensor, " n"]
) -> bool:
    degree = int(indices.sum(dim=1).max())
    if comb(degree + u.shape[1], degree) >= len(u):
        return False
    if degree <= RESPONSE_SURFACE or degree < int(n_levels(u).min()):
        return True
    off = without_levels(expansion.basis, expansion.residuals, z, u, mirrored=False)
    return int(indices.max()) <= LOW and float(off.abs().max()) < _EXACT
