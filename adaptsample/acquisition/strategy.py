"""Strategies: which points enter the training set next, which leave it, which gradients are bought.

A strategy has no memory and no oracle: all it may look at is a `State`, so it cannot spend budget
and a run can be replayed. What every strategy can do is said once, in `Strategy`: mix in points
that fill the space, retire points, ask for gradients. What they differ in, the points that they
propose, comes in three families, each with one method to write:

- `PoolStrategy` *scores* a draw of candidates, and a `Selection` takes some of them;
- `SearchStrategy` scores as well, and climbs to the highest score, one point after another;
- `FeatureStrategy` *chooses* a batch by what a model sees in the candidates, their features.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar, final, get_args

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.acquisition.feasibility import thinned
from adaptsample.acquisition.features import FeatureMap, Sketched
from adaptsample.acquisition.forgetting import KeepAll, Retirement
from adaptsample.acquisition.gradients import Gradients, NoGradients
from adaptsample.acquisition.selection import Candidates, Highest, Selection
from adaptsample.acquisition.state import Proposal, State
from adaptsample.core.shapes import Points
from adaptsample.surrogates.protocol import Model, capable

M = TypeVar("M")


@dataclass(frozen=True)
class Strategy(ABC, Generic[M]):
    """A frozen dataclass of hyper-parameters that proposes points.

    A subclass that never looks at ``state.model`` sets ``uses_model = False``, and no model is
    fitted for its sake. What it requires of the model is what it is generic in: a subclass of
    ``Strategy[SupportsStd]`` is refused a model without ``std``.

    Args:
        filling: share of the points that fill the space instead, taken from the run's Sobol
            sequence; within [0, 1].
        retirement: which points leave the training set when others enter it.
        gradients: for which points the gradient is asked for as well.
    """

    uses_model: ClassVar[bool] = True
    requires: ClassVar[type[Any]] = Model

    filling: float = field(default=0.0, kw_only=True)
    retirement: Retirement = field(default=KeepAll(), kw_only=True)
    gradients: Gradients = field(default=NoGradients(), kw_only=True)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for base in getattr(cls, "__orig_bases__", ()):
            for kind in get_args(base)[:1]:
                if isinstance(kind, type) and kind is not Any:
                    cls.requires = kind

    def __post_init__(self) -> None:
        if not 0 <= self.filling <= 1:
            raise ValueError(f"filling must be within [0, 1], got {self.filling}")

    @abstractmethod
    def propose(self, state: State[M], n: int, *, generator: Generator) -> Proposal:
        """Propose n points (fewer where there are no more to ask).

        Args:
            state: what is known.
            n: how many points to add.
            generator: the only source of randomness.
        """

    @property
    def looks_at_model(self) -> bool:
        """Whether a model has to be fitted, for what enters the training set or leaves it."""
        return self.uses_model or self.retirement.uses_model or self.gradients.uses_model

    @final
    def plan(self, state: State[M], n: int, *, generator: Generator) -> Proposal:
        """Return all that happens in a round: what `propose` says, and what all strategies can do.

        Points that fill the space count as pending for those that are proposed.

        Raises:
            UnsupportedModelError: the model lacks what the strategy requires.
        """
        if self.uses_model:
            capable(state.model, self.requires)
        n_filling = _share_of_round(self.filling, n, state.round)
        filling = state.sobol(n_filling) if n_filling else state.pending[:0]
        if n_filling == n:
            proposal = Proposal(filling)
        else:
            pending = torch.cat([state.pending, filling])
            own = self.propose(replace(state, pending=pending), n - n_filling, generator=generator)
            unasked = torch.zeros(n_filling, dtype=torch.bool)
            gradient = None if own.gradient is None else torch.cat([own.gradient, unasked])
            proposal = Proposal(torch.cat([own.add, filling]), own.drop, gradient)
        drop = torch.unique(torch.cat([proposal.drop, self.retirement.retire(state)]))
        if proposal.gradient is None:
            return Proposal(proposal.add, drop, self.gradients.wanted(proposal.add, state))
        return replace(proposal, drop=drop)


def _share_of_round(share: float, n: int, number: int) -> int:
    """Return how many of n points a share is in this round; over rounds it is kept exactly."""
    return int(share * n * (number + 1) + 1e-9) - int(share * n * number + 1e-9)


@dataclass(frozen=True)
class CandidateStrategy(Strategy[M]):
    """Draws candidates and chooses among them; subclasses write ``choose``.

    Once evaluations have failed, candidates near them are fewer (`State.feasibility`).

    Args:
        n_candidates: how many are drawn; raised to the number of points asked for.
    """

    n_candidates: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_candidates < 1:
            raise ValueError(f"n_candidates must be at least 1, got {self.n_candidates}")

    @abstractmethod
    def choose(
        self, x: Points, state: State[M], n: int, *, generator: Generator
    ) -> Int64[Tensor, " m"]:
        """Return the positions of n different candidates."""

    @final
    def propose(self, state: State[M], n: int, *, generator: Generator) -> Proposal:
        """Draw candidates and choose n of them."""
        x = state.candidates(max(n, self.n_candidates), generator=generator)
        n = min(n, len(x))
        x = x[thinned(state.feasibility(x), n, generator=generator)]
        return Proposal(x[self.choose(x, state, n, generator=generator)])


@dataclass(frozen=True)
class PoolStrategy(CandidateStrategy[M]):
    """Scores candidates and selects from them; subclasses write ``score``.

    Args:
        selection: how candidates are selected from their scores.
    """

    selection: Selection = Highest()

    @abstractmethod
    def score(self, x: Points, state: State[M]) -> Float[Tensor, " n"]:
        """Return how much each candidate is wanted, finite; larger is better."""

    @final
    def choose(
        self, x: Points, state: State[M], n: int, *, generator: Generator
    ) -> Int64[Tensor, " m"]:
        """Select by the scores."""
        unit = state.domain.to_unit
        candidates = Candidates(unit(x), unit(state.taken))
        score = self.score(x, state)
        return self.selection.select(score, n, candidates=candidates, generator=generator)


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """The features of points, a row for each, scaled so that known ones have a mean square of 1.

    Args:
        new: of the candidates (c, f).
        known: of points that are evaluated, pending or failed (t, f).
    """

    new: Float[Tensor, "c f"]
    known: Float[Tensor, "t f"]


@dataclass(frozen=True)
class FeatureStrategy(CandidateStrategy[M]):
    """Chooses candidates by their features alone; subclasses write ``choose_rows``.

    Args:
        features: what is seen in a point.
    """

    features: FeatureMap = Sketched()

    @abstractmethod
    def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Int64[Tensor, " n"]:
        """Return the positions of n different candidates; there are at least n."""

    @final
    def choose(
        self, x: Points, state: State[M], n: int, *, generator: Generator
    ) -> Int64[Tensor, " m"]:
        """Compute features and choose."""
        taken = state.taken
        seen = self.features(torch.cat([x, taken]), state).nan_to_num()
        scale = seen[len(x) :].square().sum(dim=1).mean().sqrt()
        scale = torch.where(scale > 1e-150, scale, 1.0)  # nothing is seen in what is taken
        new, known = torch.split(seen / scale, [len(x), len(taken)])
        return self.choose_rows(Rows(new, known), n, generator=generator)


@dataclass(frozen=True)
class SearchStrategy(Strategy[M]):
    """Climbs to where the score is highest, one point after another; subclasses write ``score``.

    Points chosen already are pending when the next is looked for. Starting from the best of fresh
    candidates, a random search in boxes that shrink goes on from the best point so far; a finite
    pool is ranked only. Scores count for less where evaluations failed.

    Args:
        n_candidates: how many are drawn for each point.
        n_steps: how often the search goes on, with 64 points each time.
    """

    n_candidates: int = 1000
    n_steps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_candidates < 1:
            raise ValueError(f"n_candidates must be at least 1, got {self.n_candidates}")
        if self.n_steps < 0:
            raise ValueError(f"n_steps must be at least 0, got {self.n_steps}")

    @abstractmethod
    def score(self, x: Points, state: State[M]) -> Float[Tensor, " n"]:
        """Return how much each point is wanted, at least 0; larger is better, 0 where taken."""

    @final
    def propose(self, state: State[M], n: int, *, generator: Generator) -> Proposal:
        """Climb n times."""
        pending = state.pending
        if state.pool is not None:
            rows = state.candidates(max(n, self.n_candidates), generator=generator)
            n = min(n, len(rows))
        for _ in range(n):
            now = replace(state, pending=pending)
            if state.pool is None:
                x = self._best(now, generator)
            else:
                i = int(self._value(rows, now).argmax())
                x, rows = rows[i], torch.cat([rows[:i], rows[i + 1 :]])
            pending = torch.cat([pending, x[None]])
        return Proposal(pending[len(state.pending) :])

    def _value(self, x: Points, state: State[M]) -> Float[Tensor, " n"]:
        return self.score(x, state) * state.feasibility(x)

    def _best(self, state: State[M], generator: Generator) -> Float[Tensor, " d"]:
        x = state.candidates(self.n_candidates, generator=generator)
        value = self._value(x, state)
        width = 0.1
        best, height = x[value.argmax()], value.max()
        for _ in range(self.n_steps):
            u = torch.rand(_N_STEP, len(best), dtype=x.dtype, generator=generator)
            near = state.domain.to_unit(best) + width * (2 * u - 1)
            x = state.domain.from_unit(near.clamp(0.0, 1.0))
            value = self._value(x, state)
            if value.max() > height:
                best, height = x[value.argmax()], value.max()
            width *= 0.6
        return best


_N_STEP = 64
