"""What a strategy sees, and what it answers."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from adaptsample.acquisition.distances import nearest
from adaptsample.acquisition.feasibility import feasibility
from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.core.scaling import spread_of
from adaptsample.core.shapes import Points

M = TypeVar("M")


def _no_positions() -> Int64[Tensor, " 0"]:
    return torch.zeros(0, dtype=torch.int64)


@final
@dataclass(frozen=True, eq=False)
class State(Generic[M]):
    """Everything that a strategy may look at.

    Args:
        domain: the points that may be asked.
        data: the training set, the part of all evaluations that ``model`` was fitted on.
        model: the model fitted on ``data``; None for strategies that do not use one.
        previous: the model before the last fit, for strategies that follow how it changes.
        pending: points asked and not yet told (p, d).
        round: number of this proposal; round 0 is the initial design.
        failed: points whose evaluation failed (f, d).
        seed: the run's seed, for strategies that follow one sequence through all rounds.
        pool: what is left to ask of a finite pool (m, d), at least one row; None if any point of
            the domain may be asked. A proposal is moved to the nearest rows of it.
        gradient_cost: price of a gradient, in evaluations.
        retired: points that left the training set (q, d).
    """

    domain: Box
    data: Dataset
    model: M
    previous: M | None
    pending: Points
    round: int
    failed: Points | None = None
    seed: int = 0
    pool: Points | None = None
    gradient_cost: float = 1.0
    retired: Points | None = None

    @property
    def taken(self) -> Points:
        """Points that need not be asked again: evaluated, pending or failed."""
        failed = self.pending[:0] if self.failed is None else self.failed
        return torch.cat([self.data.x, self.pending, failed])

    def candidates(self, n: int, *, generator: Generator) -> Points:
        """Draw n points that may be asked: uniform ones, or rows of the pool while there are any.

        Returns:
            Points (n, d), or the whole pool if it is smaller.
        """
        if self.pool is None:
            return self.domain.uniform(n, generator=generator)
        return self.pool[torch.randperm(len(self.pool), generator=generator)[:n]]

    def sobol(self, n: int) -> Points:
        """Return the next n points of the run's scrambled Sobol sequence that were not asked yet.

        It is the sequence that a Sobol initial design begins.
        """
        taken = self.taken if self.retired is None else torch.cat([self.taken, self.retired])
        points = self.domain.sobol(len(taken) + n, generator=derive_generator(self.seed, "initial"))
        if self.pool is not None:  # rows near the sequence were taken, not its points
            return points[len(taken) :]
        known = set(map(tuple, taken.tolist()))
        free = [i for i, x in enumerate(points.tolist()) if tuple(x) not in known]
        return points[free[:n]]

    def distance(self, x: Points) -> Float[Tensor, " n"]:
        """Return how far the nearest point that is taken is from n points, in the unit cube."""
        unit = self.domain.to_unit
        return nearest(unit(x), unit(self.taken))[0].sqrt()

    def generator(self, role: str) -> Generator:
        """Return a generator that is the same in all rounds of the run."""
        return derive_generator(self.seed, role)

    @property
    def spread(self) -> Float[Tensor, " k"]:
        """Standard deviation of each output in the training set, the unit of errors; never 0."""
        return spread_of(self.data.y)

    def feasibility(self, x: Points) -> Float[Tensor, " n"]:
        """Return the chance that an evaluation at n points succeeds, from those that failed nearby.

        Above 0 everywhere, and 1 while nothing has failed.
        """
        if self.failed is None or len(self.failed) == 0:
            return torch.ones(len(x), dtype=torch.float64)
        unit = self.domain.to_unit
        return feasibility(unit(x), unit(self.data.x), unit(self.failed))


@final
@dataclass(frozen=True, eq=False)
class Proposal:
    """A strategy's answer.

    Args:
        add: points to evaluate and train on (n, d), inside the domain. None at all ends the run.
        drop: positions in ``state.data`` that leave the training set. Their evaluations stay in the
            ledger, and asking for one again costs nothing.
        gradient: which of ``add`` are wanted with their gradient; None means no gradients.
    """

    add: Points
    drop: Int64[Tensor, " m"] = field(default_factory=_no_positions)
    gradient: Bool[Tensor, " n"] | None = None
