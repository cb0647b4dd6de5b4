"""Plans: points on few levels of each variable, as in factorial, composite and Box-Behnken designs.

On them a point that is held out proves little. What is between the levels is measured nowhere, and
an even or odd function takes the same value, but for its sign, at all mirror images of a point. So
whole groups are held out: all mirror images of a point, and all points on a level and its mirror.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates.chebyshev import Orthonormal

Group: TypeAlias = Bool[torch.Tensor, " n"]

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


def orbits(u: Points) -> Int64[Tensor, " n"]:
    """Return for each point a number that it shares with its mirror images."""
    return _numbered(_about_middle(u))


def images(u: Points) -> Iterator[Group]:
    """Yield the mirror images of each point."""
    numbers = orbits(u)
    for number in range(int(numbers.max()) + 1):
        yield numbers == number


def inner_levels(u: Points, *, mirrored: bool) -> Iterator[Group]:
    """Yield the points on each level that is not an outermost one, with its mirror image or alone.

    Nobody asks for predictions beyond the outermost levels.
    """
    for axis in (_about_middle(u) if mirrored else (u / _ROUNDING).round()).T:
        levels = axis.unique()
        for level in levels[:-1] if mirrored else levels[1:-1]:
            yield axis == level


def held_together(u: Points) -> Iterator[Group]:
    """Yield the groups without which a model of a plan has to foretell them."""
    yield from images(u)
    yield from inner_levels(u, mirrored=True)


def larger(residuals: Float[Tensor, " n"], others: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the larger of two residuals at each point."""
    return torch.where(others.abs() > residuals.abs(), others, residuals)


def without_groups(
    basis: Orthonormal,
    residuals: Float[Tensor, " n"],
    z: Float[Tensor, " n"],
    groups: Iterable[Group],
) -> Float[Tensor, " n"]:
    """Return residuals of least squares without the groups of a point, the largest of them.

    Args:
        basis: the features at the points.
        residuals: of the fit to all points.
        z: the values, about 0; the residuals where the other points do not tell.
        groups: of points that are held out together.
    """
    largest = torch.zeros_like(residuals)
    for held in groups:
        q = basis.q[held]
        freedom, directions = torch.linalg.eigh(torch.eye(len(q), dtype=q.dtype) - q @ q.T)
        own, value = directions.T @ residuals[held], directions.T @ z[held]
        without = torch.where(freedom > _FREEDOM, own / freedom.clamp_min(_FREEDOM), value)
        largest[held] = larger(largest[held], directions @ without)
    return largest


def _about_middle(u: Points) -> Points:
    """Return how far points are from the middle of their box along each axis, on whole numbers."""
    middle = (u.amax(dim=0) + u.amin(dim=0)) / 2
    return ((u - middle).abs() / _ROUNDING).round()


def _numbered(rows: Float[Tensor, "n d"]) -> Int64[Tensor, " n"]:
    numbers: Tensor = torch.unique(rows, dim=0, return_inverse=True)[1]
    return numbers
