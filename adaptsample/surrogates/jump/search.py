"""The search for a jump: many possible labels, the best few fitted and corrected."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.deadline import Deadline
from adaptsample.core.shapes import Points
from adaptsample.surrogates._rounding import JUMP_ROUNDING
from adaptsample.surrogates.chebyshev import score
from adaptsample.surrogates.jump.boundary import Boundary, separate
from adaptsample.surrogates.jump.fitted import FittedJump
from adaptsample.surrogates.jump.labels import Labels, soft_labels
from adaptsample.surrogates.jump.sides import Sides, climb, quick_fit, relabelled

N_FITTED = 4
"""How many of the labels found are fitted with care."""

MIN_COUNT, MIN_SHARE = 5, 0.03
"""A side has at least so many points, and at least this share of all."""


@final
@dataclass(frozen=True, eq=False)
class Candidate:
    """Labels that can be fitted and separated."""

    sides: Sides
    boundary: Boundary

    @property
    def score(self) -> float:
        """Leave-one-out error at fixed labels, dearer the more parameters there are."""
        return score(self.sides.loo, self.sides.basis.rank + self.boundary.n_parameters)


@final
class Search:
    """Looks for a jump in one standardised output.

    Args:
        u: scaled points.
        z: standardised values.
        limit: the largest number of coefficients of the sides.
        deadline: after which no stage begins.
        generator: the source of starts, folds and boundaries.
    """

    def __init__(
        self,
        u: Points,
        z: Float[Tensor, " n"],
        *,
        limit: int,
        deadline: Deadline,
        generator: Generator,
    ) -> None:
        self.u, self.z, self.limit = u, z, limit
        self.boundary_limit = len(z) // 3
        self.deadline, self.generator = deadline, generator

    def run(self, before: Iterable[Labels]) -> FittedJump | None:
        """Return the best jump, or None if no labels of two sides can be separated.

        Args:
            before: labels to try first; others must beat them by score at no higher degree.
        """
        kept = self._best(self._distinct(before))
        if kept is None or kept.score > JUMP_ROUNDING:
            fresh = self._best(self._explored())
            if kept is None:
                kept = fresh
            elif fresh is not None and fresh.score < kept.score:
                kept = fresh if fresh.boundary.degree <= kept.boundary.degree else kept
        if kept is None:
            return None
        return FittedJump.of(
            kept.sides,
            kept.boundary,
            self.u,
            self.z,
            limit=self.boundary_limit,
            deadline=self.deadline,
            generator=self.generator,
        )

    def _explored(self) -> list[Labels]:
        """Return the labels from soft steps that quick fits prefer."""
        found: list[Labels] = []
        for labels in soft_labels(self.u, self.z, limit=self.limit, generator=self.generator):
            found += labels
            if self.deadline.is_over:
                break
        quick = [
            quick_fit(self.u, self.z, labels, limit=self.limit) for labels in self._distinct(found)
        ]
        quick.sort(key=lambda sides: sides.score)
        return [sides.labels for sides in quick[:N_FITTED]]

    def _distinct(self, found: Iterable[Labels]) -> list[Labels]:
        """Drop repetitions, sides exchanged or not, and labels with a side nearly empty."""
        distinct: dict[bytes, Labels] = {}
        for labels in found:
            n_true = int(labels.sum())
            if min(n_true, len(labels) - n_true) >= max(MIN_COUNT, MIN_SHARE * len(labels)):
                distinct.setdefault((labels ^ labels[0]).numpy().tobytes(), labels)
        return list(distinct.values())

    def _best(self, found: list[Labels]) -> Candidate | None:
        candidates: list[Candidate] = []
        for labels in found:
            if candidates and self.deadline.is_over:
                break
            candidate = self._fitted(labels)
            if candidate is not None:
                candidates.append(candidate)
        return min(candidates, key=lambda candidate: candidate.score, default=None)

    def _fitted(self, labels: Labels) -> Candidate | None:
        """Fit the sides, correct labels as long as they can be separated; None if they cannot."""
        sides = climb(self.u, self.z, labels, limit=self.limit)
        corrected = relabelled(self.u, self.z, sides)
        if corrected is not sides:
            corrected = climb(self.u, self.z, corrected.labels, limit=self.limit, first=corrected)
        for attempt in (corrected, sides):
            if len(self._distinct([attempt.labels])):
                boundary = separate(self.u, attempt.labels, limit=self.boundary_limit)
                if boundary is not None:
                    return Candidate(attempt, boundary)
        return None
