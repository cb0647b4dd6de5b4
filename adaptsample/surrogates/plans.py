"""Plans: points on few levels of each variable, as in factorial, composite and Box-Behnken designs.

On them a point that is held out proves little. What is between the levels is measured nowhere, and
an even or odd function takes the same value, but for its sign, at all mirror images of a point. So
whole levels are held out, those that mirror each other together.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates.chebyshev import Orthonormal, chebyshev

_ROUNDING = 1e-9
"""Levels closer than this, in half-widths of the box, are one."""

_FREEDOM = 1e-9
"""How much of itself a direction among values must leave to be foretold by the other points."""


def n_levels(u: Points) -> Int64[Tensor, " d"]:
    """Return the number of levels of each variable."""
    return torch.tensor([len((axis / _ROUNDING).round().unique()) for axis in u.T])


def is_plan(u: Points) -> bool:
    """Tell whether levels of each variable are shared by two points or more on average.

    A point more may be missing: sweeps along the axes share one.
    """
    return len(u) > 2 and bool((2 * n_levels(u) <= len(u) + 1).all())


def distinguishable(u: Points, indices: Int64[Tensor, "p d"]) -> Int64[Tensor, "k d"]:
    """Return the multi-indices whose functions the points tell from lower ones.

    A variable with L levels carries degree L - 1. Where the lowest functions, as many as there are
    points, coincide all the same, those that are no combinations of lower ones are left.
    """
    indices = indices[(indices < n_levels(u)).all(dim=1)]
    lowest = indices[: len(u)]
    if Orthonormal.of(chebyshev(u, lowest)).rank == len(lowest):
        return indices
    kept = Orthonormal.of(chebyshev(u, indices)).to_coefficients.any(dim=1)
    return indices[kept]


def larger(residuals: Float[Tensor, " n"], others: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the larger of two residuals at each point."""
    return torch.where(others.abs() > residuals.abs(), others, residuals)


def without_levels(
    basis: Orthonormal,
    residuals: Float[Tensor, " n"],
    z: Float[Tensor, " n"],
    u: Points,
    *,
    mirrored: bool = True,
) -> Float[Tensor, " n"]:
    """Return residuals of least squares without the levels of a point, the largest of them.

    Args:
        basis: the features at the points.
        residuals: of the fit to all points.
        z: the values, about 0; the residuals where the other points do not tell.
        u: the points.
        mirrored: whether a level is left out together with its mirror image.
    """
    largest = torch.zeros_like(residuals)
    for held in _inner_levels(u, mirrored=mirrored):
        q = basis.q[held]
        freedom, directions = torch.linalg.eigh(torch.eye(len(q), dtype=q.dtype) - q @ q.T)
        own, value = directions.T @ residuals[held], directions.T @ z[held]
        without = torch.where(freedom > _FREEDOM, own / freedom.clamp_min(_FREEDOM), value)
        largest[held] = larger(largest[held], directions @ without)
    return largest


def _inner_levels(u: Points, *, mirrored: bool) -> Iterator[Bool[Tensor, " n"]]:
    """Yield the points on each level that is not an outermost one, with its mirror image or alone.

    Nobody asks for predictions beyond the outermost levels.
    """
    middle = (u.amax(dim=0) + u.amin(dim=0)) / 2
    places = (u - middle).abs() if mirrored else u
    for axis in (places / _ROUNDING).round().T:
        levels = axis.unique()
        for level in levels[:-1] if mirrored else levels[1:-1]:
            yield axis == level
