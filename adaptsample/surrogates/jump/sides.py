"""The two sides of a jump, by least squares once every point has its label.

With hard labels s in {0, 1} the model y = a + b s is linear in the coefficients of a and b. Their
degrees grow greedily by leave-one-out score, and labels are corrected where the other side predicts
a point much better than its own side does without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates._rounding import JUMP_ROUNDING
from adaptsample.surrogates.chebyshev import Degrees, Orthonormal, chebyshev, multi_indices, score
from adaptsample.surrogates.jump.growing import Growing
from adaptsample.surrogates.jump.labels import Labels
from adaptsample.surrogates.jump.task import MAX_DEGREE, Task

SUSPICIOUS, MAX_CHANGES, MAX_ROUNDS = 0.2, 5, 8
"""A label is changed where the other side's residual is less than this share of the own one; so
many at once, in so many rounds."""

QUICK_DEGREES = ((0, 0), (2, 1), (4, 1), (6, 2), (8, 2), (10, 0))
"""Degrees of a and b that tell good labels from bad ones."""

FIRST_DEGREES = tuple((i, j) for i in range(9) for j in range(i + 1))
"""Degrees of a and b in which a climb may begin."""


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

    @property
    def error(self) -> float:
        """Mean absolute leave-one-out residual at fixed labels."""
        return float(self.loo.abs().mean())

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


@final
@dataclass(frozen=True, eq=False)
class Trial:
    """Degrees of a and b, and how well sides of these degrees fit."""

    degrees: tuple[Degrees, Degrees]
    fit: Growing

    @property
    def score(self) -> float:
        """Leave-one-out error, dearer the more parameters there are."""
        return self.fit.score


def climb(task: Task, labels: Labels, *, first: tuple[Degrees, Degrees] | None = None) -> Sides:
    """Grow the degrees of a and b while the score falls; three steps without gain end it.

    Args:
        task: what is fitted.
        labels: the side of each point.
        first: where to begin; by default at the best of the bases with equal degrees on all axes.
    """
    if first is None:
        best = quick_trial(task, labels, FIRST_DEGREES)
    else:
        best = Trial(
            first, _extended(Growing.nothing(task.z, task.work), task, labels, None, first)
        )
    current, stale = best, 0
    while stale < 3 and best.score > JUMP_ROUNDING:
        larger = [
            Trial(degrees, _extended(current.fit, task, labels, current.degrees, degrees))
            for degrees in _moves(current.degrees)
            if _are_few(degrees, task.limit)
        ]
        if not larger:
            break
        current = min(larger, key=lambda trial: trial.score)
        stale = 0 if current.score < 0.98 * best.score else stale + 1
        best = min(best, current, key=lambda trial: trial.score)
    return fit_sides(task, labels, best.degrees)


def quick_trial(
    task: Task, labels: Labels, candidates: Sequence[tuple[int, int]] = QUICK_DEGREES
) -> Trial:
    """Return the best of some degrees of a and b, equal on all axes; those of (0, 0) always fit."""
    dimension, nothing = task.u.shape[1], Growing.nothing(task.z, task.work)
    trials: list[Trial] = []
    for j in sorted({j for _, j in candidates}):
        fit, before = nothing, None
        for i in sorted(i for i, other in candidates if other == j):
            degrees = (i,) * dimension, (j,) * dimension
            if not _are_few(degrees, task.limit):
                break
            fit = _extended(fit, task, labels, before, degrees)
            trials.append(Trial(degrees, fit))
            before = degrees
    return min(trials, key=lambda trial: trial.score)


def fit_sides(task: Task, labels: Labels, degrees: tuple[Degrees, Degrees]) -> Sides:
    """Fit sides of given degrees."""
    a, b = (_indices(part, task.limit) for part in degrees)
    task.work.count(10.0 * len(task.z) * (len(a) + len(b)) ** 2)
    return _fit(task.u, task.z, labels, degrees, (a, b))


def relabelled(task: Task, sides: Sides) -> Sides:
    """Change labels, a few at a time, as long as that lowers the score."""
    for _ in range(MAX_ROUNDS):
        own, other = sides.loo.abs(), sides.other_loo(task.u, task.z).abs()
        suspects = torch.where(other < SUSPICIOUS * own, own, 0.0)
        worst = suspects.topk(min(MAX_CHANGES, len(suspects))).indices
        worst = worst[suspects[worst] > JUMP_ROUNDING]
        if not len(worst):
            break
        labels = sides.labels.clone()
        labels[worst] = ~labels[worst]
        changed = fit_sides(task, labels, sides.degrees)
        if changed.score >= sides.score:
            break
        sides = changed
    return sides


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


def _are_few(degrees: tuple[Degrees, Degrees], limit: int) -> bool:
    """Return whether there are at most ``limit`` coefficients."""
    a, b = (multi_indices("total", part, limit) for part in degrees)
    return a is not None and b is not None and len(a) + len(b) <= limit


def _extended(
    fit: Growing,
    task: Task,
    labels: Labels,
    before: tuple[Degrees, Degrees] | None,
    after: tuple[Degrees, Degrees],
) -> Growing:
    """Add what higher degrees have and lower ones, or none, lack."""
    columns = []
    for part, mask in ((0, None), (1, labels[:, None])):
        old = None if before is None else before[part]
        if old != after[part]:
            new = task.columns(_added(old, after[part], task.limit))
            columns.append(new if mask is None else torch.where(mask, new, 0.0))
    return fit.extended(torch.cat(columns, dim=1))


@lru_cache(maxsize=4096)
def _added(before: Degrees | None, after: Degrees, limit: int) -> Int64[Tensor, "p d"]:
    """Return the multi-indices of ``after`` that ``before`` lacks."""
    new = _indices(after, limit)
    if before is None:
        return new
    return new[~(new[:, None] == _indices(before, limit)).all(dim=2).any(dim=1)]


def _indices(degrees: Degrees, limit: int) -> Int64[Tensor, "p d"]:
    """Return the multi-indices of degrees that `_are_few` knows to have few enough."""
    indices = multi_indices("total", degrees, limit)
    if indices is None:
        raise ValueError(f"degrees {degrees} have more than {limit} coefficients")
    return indices


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
