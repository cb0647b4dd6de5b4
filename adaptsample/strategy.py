"""What a strategy sees, what it answers, and the family that scores a pool of candidates.

A strategy decides which points enter the training set next and which leave it. It has no memory and
no oracle: all it may look at is a `State`, so it cannot spend budget and a run can be replayed.

A `PoolStrategy` is three independent choices: how a candidate is *scored* (the one method that a
subclass writes), how candidates are *selected* from the scores, and which points *retire* from the
training set.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from adaptsample._types import Points
from adaptsample.data import Dataset
from adaptsample.domain import Box
from adaptsample.feasibility import feasibility, thinned
from adaptsample.surrogates.protocol import Model

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


@dataclass(frozen=True)
class Strategy(ABC, Generic[M]):
    """A frozen dataclass of hyper-parameters that proposes points.

    A subclass that never looks at ``state.model`` sets ``uses_model = False``, and no model is
    fitted for its sake.
    """

    uses_model: ClassVar[bool] = True

    @abstractmethod
    def propose(self, state: State[M], n: int, *, generator: Generator) -> Proposal:
        """Propose n points (fewer where there are no more to ask).

        Args:
            state: what is known.
            n: how many points to add.
            generator: the only source of randomness.
        """


class Selection(ABC):
    """How candidates are selected from their scores."""

    @abstractmethod
    def select(
        self, score: Float[Tensor, " c"], n: int, *, generator: Generator
    ) -> Int64[Tensor, " n"]:
        """Return the positions of n different candidates; c is at least n."""


@final
@dataclass(frozen=True)
class Highest(Selection):
    """The n candidates with the highest score."""

    def select(
        self, score: Float[Tensor, " c"], n: int, *, generator: Generator
    ) -> Int64[Tensor, " n"]:
        """Return the positions of the n highest scores, the best first."""
        del generator
        return score.topk(n).indices


@final
@dataclass(frozen=True)
class SoftmaxDraw(Selection):
    """n candidates drawn without replacement, with probability softmax(score / temperature).

    Args:
        quantile: only candidates at or above this quantile of the score take part, in [0, 1).
        temperature: in units of the scores' standard deviation, so that units do not matter.
        absolute: the temperature is in the units of the score instead.
    """

    quantile: float = 0.0
    temperature: float = 1.0
    absolute: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.quantile < 1:
            raise ValueError(f"quantile must be in [0, 1), got {self.quantile}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")

    def select(
        self, score: Float[Tensor, " c"], n: int, *, generator: Generator
    ) -> Int64[Tensor, " n"]:
        """Draw with the Gumbel-max trick, which is exact and never divides by a vanishing sum."""
        spread = torch.ones(()) if self.absolute else score.std(correction=0)
        logit = (score - score.max()) / (self.temperature * spread.clamp_min(1e-300))
        uniform = torch.rand(len(score), dtype=torch.float64, generator=generator)
        key = logit - torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
        # at least n candidates always take part
        threshold = torch.minimum(torch.quantile(score, self.quantile), score.topk(n).values[-1])
        key = torch.where(score >= threshold, key, -torch.inf)
        return key.topk(n).indices


class Retirement(ABC):
    """Which points leave the training set when others enter it."""

    @abstractmethod
    def retire(self, state: State[Any]) -> Int64[Tensor, " m"]:
        """Return positions in ``state.data``."""


@final
@dataclass(frozen=True)
class KeepAll(Retirement):
    """Nothing that was paid for leaves the training set."""

    def retire(self, state: State[Any]) -> Int64[Tensor, " m"]:
        """Return no positions."""
        del state
        return _no_positions()


@final
@dataclass(frozen=True)
class DropAll(Retirement):
    """The new points become the whole training set."""

    def retire(self, state: State[Any]) -> Int64[Tensor, " m"]:
        """Return all positions."""
        return torch.arange(len(state.data))


@final
@dataclass(frozen=True)
class DropLowest(Retirement):
    """The points with the lowest signal leave, and at least one stays.

    Args:
        signal: ``"residual"``, the distance between model and value, or ``"change"``, the change of
            the model's prediction in the last fit.
        n: how many leave at a time.
    """

    signal: Literal["residual", "change"] = "residual"
    n: int = 1

    def __post_init__(self) -> None:
        if self.signal not in ("residual", "change"):
            raise ValueError(f"signal must be 'residual' or 'change', got {self.signal!r}")
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")

    def retire(self, state: State[Model]) -> Int64[Tensor, " m"]:
        """Return the positions of the n lowest signals."""
        if self.signal == "change":
            signal = model_change(state.data.x, state)
        else:
            signal = (state.model.predict(state.data.x) - state.data.y).abs().sum(dim=1)
        n = max(min(self.n, len(state.data) - 1), 0)
        return signal.topk(n, largest=False).indices


def model_change(x: Points, state: State[Model]) -> Float[Tensor, " n"]:
    """Return how much the last fit changed the prediction at x, absolute, summed over outputs.

    Zero everywhere while there is no earlier model.
    """
    if state.previous is None:
        return torch.zeros(len(x), dtype=torch.float64)
    return (state.model.predict(x) - state.previous.predict(x)).abs().sum(dim=1)


@dataclass(frozen=True)
class PoolStrategy(Strategy[M]):
    """Scores a fresh draw of candidates and selects from it; subclasses write ``score``.

    Once evaluations have failed, candidates near them are fewer (`State.feasibility`).

    Args:
        n_candidates: how many are drawn; raised to the number of points asked for.
        selection: how candidates are selected from their scores.
        retirement: which points leave the training set.
        gradients: ask for the gradient with every value.
    """

    n_candidates: int = 1000
    selection: Selection = Highest()
    retirement: Retirement = KeepAll()
    gradients: bool = False

    def __post_init__(self) -> None:
        if self.n_candidates < 1:
            raise ValueError(f"n_candidates must be at least 1, got {self.n_candidates}")

    @abstractmethod
    def score(self, x: Points, state: State[M]) -> Float[Tensor, " n"]:
        """Return how much each candidate is wanted, finite; larger is better."""

    @final
    def propose(self, state: State[M], n: int, *, generator: Generator) -> Proposal:
        """Draw candidates, score them and select n of them."""
        pool = state.candidates(max(n, self.n_candidates), generator=generator)
        n = min(n, len(pool))
        pool = pool[thinned(state.feasibility(pool), n, generator=generator)]
        chosen = self.selection.select(self.score(pool, state), n, generator=generator)
        return Proposal(
            add=pool[chosen],
            drop=self.retirement.retire(state),
            gradient=torch.full((n,), True) if self.gradients else None,
        )
