"""The two sides of a jump, by least squares once every point has its label.

With hard labels s in {0, 1} the model y = a + b s is linear in the coefficients of a and b. Their
degrees grow greedily by leave-one-out score, and labels are corrected where the other side predicts
a point much better than its own side does without it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates._rounding import JUMP_ROUNDING
from adaptsample.surrogates.chebyshev import Degrees, Orthonormal, chebyshev, multi_indices, score
from adaptsample.surrogates.jump.labels import Labels

SUSPICIOUS, MAX_CHANGES, MAX_ROUNDS = 0.2, 5, 8
"""A label is changed where the other side's residual is less than this share of the own one; so
many at once, in so many rounds."""

MAX_DEGREE = 16
"""The highest degree on one axis."""

QUICK_DEGREES = ((2, 1), (4, 1), (6, 2), (8, 2), (10, 0))
"""Degrees of a and b that tell good labels from bad ones."""


@final
@dataclass(frozen=True, eq=False)
class Sides:
    """Polynomials a and b of y = a + b s, fitted to labelled points.

    Attributes:
        degrees: of a and of b, on each axis; () for b where there is no jump.
        indices: their multi-indices.
        coefficients: those of a, then those of b.
        basis: the features at the training points.
        loo: leave-one-out residuals at fixed labels.
        score: their size, dearer the more parameters there are.
    """

    degrees: tuple[Degrees, Degrees]
    indices: tuple[Int64[Tensor, "p d"], Int64[Tensor, "q d"]]
    labels: Labels
    coefficients: Float[Tensor, " r"]
    basis: Orthonormal
    residuals: Float[Tensor, " n"]
    loo: Float[Tensor, " n"]
    score: float

    def columns(self, u: Points, side: Float[Tensor, " n"]) -> Float[Tensor, "n r"]:
        """Return the features of scaled points on a side, 0 or 1."""
        return _columns(u, self.indices, side)

    def below(self, u: Points) -> Float[Tensor, " n"]:
        """Evaluate a."""
        return chebyshev(u, self.indices[0]) @ self.coefficients[: len(self.indices[0])]

    def height(self, u: Points) -> Float[Tensor, " n"]:
        """Evaluate b, by how much the other side is higher."""
        return chebyshev(u, self.indices[1]) @ self.coefficients[len(self.indices[0]) :]

    def without(self, u: Points, z: Float[Tensor, " n"], held: Labels) -> "Sides":
        """Refit in the same bases without some of the points."""
        kept = ~held
        return _fit(u[kept], z[kept], self.labels[kept], self.degrees, self.indices)

    def other_loo(self, u: Points, z: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return value minus what the other side predicts without the point."""
        other = self.columns(u, 1.0 - self.labels.to(z.dtype))
        influence = ((other @ self.basis.to_coefficients) * self.basis.q).sum(dim=1)
        return z - other @ self.coefficients + influence * self.loo


def climb(
    u: Points, z: Float[Tensor, " n"], labels: Labels, *, limit: int, first: Sides | None = None
) -> Sides:
    """Grow the degrees of a and b while the score falls; three steps without gain end it.

    Args:
        u: scaled points.
        z: standardised values.
        labels: the side of each point.
        limit: the largest number of parameters.
        first: where to begin; by default at the best of the bases with equal degrees on all axes.
    """
    if first is None:
        isotropic = _isotropic(u.shape[1], ((i, j) for i in range(9) for j in range(i + 1)))
        best = min(_fits(u, z, labels, isotropic, limit), key=lambda sides: sides.score)
    else:
        best = _fit(u, z, labels, first.degrees, first.indices)
    current, stale = best, 0
    while stale < 3 and best.score > JUMP_ROUNDING:
        larger = _fits(u, z, labels, _moves(current.degrees), limit)
        if not larger:
            break
        current = min(larger, key=lambda sides: sides.score)
        stale = 0 if current.score < 0.98 * best.score else stale + 1
        best = min(best, current, key=lambda sides: sides.score)
    return best


def quick_fit(u: Points, z: Float[Tensor, " n"], labels: Labels, *, limit: int) -> Sides:
    """Return the best of a few fits."""
    degrees = _isotropic(u.shape[1], ((0, 0), *QUICK_DEGREES))
    return min(_fits(u, z, labels, degrees, limit), key=lambda sides: sides.score)


def relabelled(u: Points, z: Float[Tensor, " n"], sides: Sides) -> Sides:
    """Change labels, a few at a time, as long as that lowers the score."""
    for _ in range(MAX_ROUNDS):
        own, other = sides.loo.abs(), sides.other_loo(u, z).abs()
        suspects = torch.where(other < SUSPICIOUS * own, own, 0.0)
        worst = suspects.topk(min(MAX_CHANGES, len(suspects))).indices
        worst = worst[suspects[worst] > JUMP_ROUNDING]
        if not len(worst):
            break
        labels = sides.labels.clone()
        labels[worst] = ~labels[worst]
        changed = _fit(u, z, labels, sides.degrees, sides.indices)
        if changed.score >= sides.score:
            break
        sides = changed
    return sides


def _isotropic(
    dimension: int, degrees: Iterable[tuple[int, int]]
) -> Iterator[tuple[Degrees, Degrees]]:
    return (((i,) * dimension, (j,) * dimension) for i, j in degrees)


def _moves(degrees: tuple[Degrees, Degrees]) -> Iterator[tuple[Degrees, Degrees]]:
    """One degree more of a, of b or of both; on one axis or on all."""
    dimension = len(degrees[0])
    axes = [set(range(dimension)), *({axis} for axis in range(dimension) if dimension > 1)]
    for parts in ({0, 1}, {0}, {1}):
        for raised in axes:
            a, b = (
                tuple(k + (part in parts and j in raised) for j, k in enumerate(degrees[part]))
                for part in (0, 1)
            )
            if max(*a, *b) <= MAX_DEGREE:
                yield a, b


def _fits(
    u: Points,
    z: Float[Tensor, " n"],
    labels: Labels,
    candidates: Iterable[tuple[Degrees, Degrees]],
    limit: int,
) -> list[Sides]:
    """Fit in all bases that are not too large."""
    found = []
    for degrees in candidates:
        a, b = (multi_indices("total", part, limit) for part in degrees)
        if a is not None and b is not None and len(a) + len(b) <= limit:
            found.append(_fit(u, z, labels, degrees, (a, b)))
    return found


def _columns(
    u: Points, indices: tuple[Int64[Tensor, "p d"], Int64[Tensor, "q d"]], side: Tensor
) -> Float[Tensor, "n r"]:
    a, b = indices
    return torch.cat([chebyshev(u, a), side[:, None] * chebyshev(u, b)], dim=1)


def _fit(
    u: Points,
    z: Float[Tensor, " n"],
    labels: Labels,
    degrees: tuple[Degrees, Degrees],
    indices: tuple[Int64[Tensor, "p d"], Int64[Tensor, "q d"]],
) -> Sides:
    basis = Orthonormal.of(_columns(u, indices, labels.to(z.dtype)))
    coefficients, residuals = basis.solve(z)
    loo = basis.leave_one_out(residuals, z)
    value = score(loo, basis.rank)
    return Sides(degrees, indices, labels, coefficients, basis, residuals, loo, value)
