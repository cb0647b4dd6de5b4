"""How a batch is selected from scored candidates."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.acquisition.distances import nearest
from adaptsample.core.shapes import Points


@final
@dataclass(frozen=True, eq=False)
class Candidates:
    """Where candidates are.

    Args:
        x: the candidates (c, d), in the unit cube.
        taken: points that are evaluated, pending or failed (t, d), in the unit cube.
    """

    x: Points
    taken: Points


class Selection(ABC):
    """How candidates are selected from their scores."""

    @abstractmethod
    def select(
        self, score: Float[Tensor, " c"], n: int, *, candidates: Candidates, generator: Generator
    ) -> Int64[Tensor, " n"]:
        """Return the positions of n different candidates; c is at least n.

        Args:
            score: how much each is wanted, finite.
            n: how many.
            candidates: where they are, for those who keep a batch apart.
            generator: the only source of randomness.
        """


@final
@dataclass(frozen=True)
class Highest(Selection):
    """The n candidates with the highest score."""

    def select(
        self, score: Float[Tensor, " c"], n: int, *, candidates: Candidates, generator: Generator
    ) -> Int64[Tensor, " n"]:
        """Return the positions of the n highest scores, the best first."""
        del candidates, generator
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
        self, score: Float[Tensor, " c"], n: int, *, candidates: Candidates, generator: Generator
    ) -> Int64[Tensor, " n"]:
        """Draw with the Gumbel-max trick, which is exact and never divides by a vanishing sum."""
        del candidates
        spread = torch.ones(()) if self.absolute else score.std(correction=0)
        logit = (score - score.max()) / (self.temperature * spread.clamp_min(1e-300))
        key = logit + _gumbel(len(score), generator)
        # at least n candidates always take part
        threshold = torch.minimum(torch.quantile(score, self.quantile), score.topk(n).values[-1])
        key = torch.where(score >= threshold, key, -torch.inf)
        return key.topk(n).indices


@final
@dataclass(frozen=True)
class PowerDraw(Selection):
    """n candidates drawn without replacement, with probability score^power / mean + constant.

    It is the law of residual-based adaptive distribution (Wu et al. 2023).

    Args:
        power: how much the score counts, at least 0; the scores have to be at least 0.
        constant: how much all candidates count alike, in units of the mean.
    """

    power: float = 1.0
    constant: float = 1.0

    def __post_init__(self) -> None:
        if not self.power >= 0:
            raise ValueError(f"power must be at least 0, got {self.power}")
        if not self.constant >= 0:
            raise ValueError(f"constant must be at least 0, got {self.constant}")

    def select(
        self, score: Float[Tensor, " c"], n: int, *, candidates: Candidates, generator: Generator
    ) -> Int64[Tensor, " n"]:
        """Draw with the Gumbel-max trick; candidates of probability 0 only when none is left."""
        del candidates
        weight = (score / score.max().clamp_min(1e-300)).clamp_min(0.0).pow(self.power)
        mean = weight.mean()
        share = weight / mean if mean > 0 else torch.ones_like(weight)
        key = torch.log((share + self.constant).clamp_min(1e-300))
        return (key + _gumbel(len(score), generator)).topk(n).indices


@final
@dataclass(frozen=True)
class Dispersed(Selection):
    """One after another, the candidate with the highest score times distance^power.

    The distance, in the unit cube, is that to the nearest point that is taken or selected already,
    so that a batch does not crowd around one maximum. Where no score is above 0, distance decides.

    Args:
        power: how much distance counts, at least 0.
        n_best: only so many candidates with the highest scores take part.
    """

    power: float = 1.0
    n_best: int = 1000

    def __post_init__(self) -> None:
        if not self.power >= 0:
            raise ValueError(f"power must be at least 0, got {self.power}")
        if self.n_best < 1:
            raise ValueError(f"n_best must be at least 1, got {self.n_best}")

    def select(
        self, score: Float[Tensor, " c"], n: int, *, candidates: Candidates, generator: Generator
    ) -> Int64[Tensor, " n"]:
        """Return positions in the order of selection."""
        del generator
        best = score.topk(min(len(score), max(n, self.n_best))).indices
        x, score = candidates.x[best], score[best].clamp_min(0.0)
        if not bool(score[0] > 0):
            score = torch.ones_like(score)
        score = score / score.max()
        distance = nearest(x, candidates.taken)[0].clamp_max(x.shape[1])
        chosen, free = torch.zeros(n, dtype=torch.int64), torch.ones(len(x), dtype=torch.bool)
        for i in range(n):
            value = score * distance.pow(self.power / 2)
            chosen[i] = torch.where(free, value, -1.0).argmax()
            distance = distance.minimum((x - x[chosen[i]]).square().sum(dim=1))
            free[chosen[i]] = False
        return best[chosen]


def _gumbel(n: int, generator: Generator) -> Float[Tensor, " n"]:
    uniform = torch.rand(n, dtype=torch.float64, generator=generator)
    return -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
