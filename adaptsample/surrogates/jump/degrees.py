"""Which degrees a boundary has.

The lowest degree that separates the points may be too low: then hardly any polynomial of that
degree does, and those that do are sure of what is wrong. So degrees change as long as fewer members
err about points that were left out.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from adaptsample.core.shapes import Points
from adaptsample.core.work import Work
from adaptsample.surrogates.chebyshev import Degrees
from adaptsample.surrogates.jump.boundary import (
    MAX_DEGREE,
    WALK,
    Boundary,
    separate_by,
    walked,
    wrong_votes,
)
from adaptsample.surrogates.jump.labels import Labels

GROWTH, DECLINE = 0.8, 0.9
"""By which factor fewer votes must be wrong for a higher degree, or for a lower one."""

HEAT = 7
"""Folds after which degrees that err no less than those to be beaten are given up."""


def choose(
    first: Boundary,
    wrong: Float[Tensor, " n"],
    u: Points,
    labels: Labels,
    held: Bool[Tensor, "k n"],
    *,
    limit: int,
    work: Work,
    generator: Generator,
) -> tuple[Boundary, Float[Tensor, " n"]]:
    """Change the degrees as long as fewer members err about points that were left out.

    Args:
        first: a sample of boundaries between all points.
        wrong: the share of them that err about each point when it is left out.
        u: scaled points.
        labels: the side of each point.
        held: which points are left out together.
        limit: the largest number of coefficients.
        work: after whose limit no degrees are tried.
        generator: the source of the walks.

    Returns:
        a sample of boundaries, and the share of them that err about each point when it is left out.
    """
    best = first
    tried = {first.degrees}
    while not work.is_over:
        needed = {d: share for d, share in _moves(best.degrees) if d not in tried}
        tried |= needed.keys()
        found = (separate_by(u, labels, degrees, limit=limit) for degrees in needed)
        rivals = [boundary for boundary in found if boundary is not None]
        if not rivals:
            break
        rivals = walked(rivals, u, labels, WALK, work=work, generator=generator)
        raced = _race(rivals, wrong, u, labels, held, work=work, generator=generator)
        ratios = [
            float(votes.sum()) / (needed[rival.degrees] * float(wrong.sum()))
            for rival, votes in raced
        ]
        if min(ratios, default=1.0) >= 1:
            break
        best, wrong = raced[ratios.index(min(ratios))]
    return best, wrong


def _race(
    rivals: Sequence[Boundary],
    wrong: Float[Tensor, " n"],
    u: Points,
    labels: Labels,
    held: Bool[Tensor, "k n"],
    *,
    work: Work,
    generator: Generator,
) -> list[tuple[Boundary, Float[Tensor, " n"]]]:
    """Return those with fewer wrong votes than given ones, and their wrong votes.

    In the first heat are the folds in which the given ones are most. These are owed to bad luck in
    part, so that whoever has fewer on the whole has fewer there.
    """
    order = (held * wrong).sum(dim=1).argsort(descending=True, stable=True)
    left = [(rival, torch.zeros_like(wrong)) for rival in rivals]
    seen = torch.zeros_like(labels)
    for begin in range(0, len(held), HEAT):
        if not left:
            break
        heat = held[order[begin : begin + HEAT]]
        seen = seen | heat.any(dim=0)
        more = wrong_votes(
            [rival for rival, _ in left], u, labels, heat, work=work, generator=generator
        )
        left = [
            (rival, before + votes)
            for (rival, before), votes in zip(left, more, strict=True)
            if float((before + votes).sum()) < float(wrong[seen].sum())
        ]
    return left


def _moves(degrees: Degrees) -> Iterator[tuple[Degrees, float]]:
    """Yield degrees one higher or lower, on one axis or on all, and the ratio they must reach."""
    if max(degrees) < MAX_DEGREE:
        yield tuple(k + 1 for k in degrees), GROWTH
    for axis in range(len(degrees)):
        for step, needed in ((1, GROWTH), (-1, DECLINE)):
            moved = (*degrees[:axis], degrees[axis] + step, *degrees[axis + 1 :])
            if min(moved) >= 0 and 0 < max(moved) <= MAX_DEGREE:
                yield moved, needed
