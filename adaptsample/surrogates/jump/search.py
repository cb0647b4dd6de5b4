"""The search for a jump: many possible labels, the best few fitted and corrected."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from torch import Generator

from adaptsample.surrogates._rounding import JUMP_ROUNDING
from adaptsample.surrogates.chebyshev import score
from adaptsample.surrogates.jump.boundary import Boundary, separate
from adaptsample.surrogates.jump.fitted import FittedJump
from adaptsample.surrogates.jump.labels import Labels, soft_labels
from adaptsample.surrogates.jump.sides import Sides, climb, quick_trial, relabelled
from adaptsample.surrogates.jump.task import Task

N_FITTED = 4
"""How many of the labels found are fitted with care."""

FAR = 100.0
"""Labels that fit so much worse than the best ones are wrong."""

HOPELESS = 100.0
"""Labels whose quick fit errs so many times the bound stay above it, whatever the degrees are."""

NEGLIGIBLE = 0.01
"""A quick fit whose error is this share of the bound has the right labels."""

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
@dataclass(frozen=True, eq=False)
class Search:
    """Looks for a jump in one standardised output.

    Attributes:
        task: what is fitted; no stage begins after the limit of its work.
        generator: the source of starts, folds and boundaries.
    """

    task: Task
    generator: Generator

    @property
    def boundary_limit(self) -> int:
        """The largest number of coefficients of a boundary."""
        return len(self.task.z) // 3

    def run(self, before: Iterable[Labels]) -> FittedJump | None:
        """Return the best jump, or None if none can be below the bound.

        Args:
            before: labels to try first; others must beat them by score at no higher degree.
        """
        kept = self._best(self._distinct(before).values())
        if kept is None or kept.score > JUMP_ROUNDING:
            fresh = self._best(self._explored())
            if kept is None:
                kept = fresh
            elif fresh is not None and fresh.score < kept.score:
                kept = fresh if fresh.boundary.degree <= kept.boundary.degree else kept
        if kept is None:
            return None
        return FittedJump.of(
            self.task,
            kept.sides,
            kept.boundary,
            limit=self.boundary_limit,
            generator=self.generator,
        )

    def _explored(self) -> list[Labels]:
        """Return the labels from soft steps that quick fits prefer.

        None of them if all are so far above the bound that no higher degree can help.
        """
        quick: dict[bytes, tuple[float, float, Labels]] = {}
        for found in soft_labels(self.task, generator=self.generator):
            for key, labels in self._distinct(found).items():
                if key not in quick:
                    fit = quick_trial(self.task, labels).fit
                    quick[key] = fit.score, float(fit.loo.abs().mean()), labels
            if self.task.work.is_over or any(
                error < NEGLIGIBLE * self.task.bound for _, error, _ in quick.values()
            ):
                break
        if all(error > HOPELESS * self.task.bound for _, error, _ in quick.values()):
            return []
        ranked = sorted(quick.values(), key=lambda fit: fit[0])[:N_FITTED]
        return [labels for value, _, labels in ranked if value <= FAR * ranked[0][0]]

    def _distinct(self, found: Iterable[Labels]) -> dict[bytes, Labels]:
        """Drop repetitions, sides exchanged or not, and labels with a side nearly empty."""
        distinct: dict[bytes, Labels] = {}
        for labels in found:
            n_true = int(labels.sum())
            if min(n_true, len(labels) - n_true) >= max(MIN_COUNT, MIN_SHARE * len(labels)):
                distinct.setdefault((labels ^ labels[0]).numpy().tobytes(), labels)
        return distinct

    def _best(self, found: Iterable[Labels]) -> Candidate | None:
        best: Candidate | None = None
        for labels in found:
            if best is not None and (self.task.work.is_over or best.score < JUMP_ROUNDING):
                break
            best = self._fitted(labels, best) or best
        return best

    def _fitted(self, labels: Labels, rival: Candidate | None) -> Candidate | None:
        """Fit the sides, correct labels as long as they can be separated; None if they cannot.

        Or if the error cannot be below the bound, or the score not below that of a rival.
        """
        sides = climb(self.task, labels)
        corrected = relabelled(self.task, sides)
        if corrected is not sides:
            corrected = climb(self.task, corrected.labels, first=corrected.degrees)
        for attempt in (corrected, sides) if corrected is not sides else (sides,):
            is_of_use = attempt.error < self.task.bound and self._distinct([attempt.labels])
            if not is_of_use or (rival is not None and attempt.score >= rival.score):
                continue
            boundary = separate(self.task.u, attempt.labels, limit=self.boundary_limit)
            if boundary is not None:
                candidate = Candidate(attempt, boundary)
                return candidate if rival is None or candidate.score < rival.score else None
        return None
