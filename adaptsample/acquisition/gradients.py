"""For which points the gradient is bought with the value.

An adjoint solver, or a formula, gives all d derivatives at a point for a fixed price, in units of
the price of a value. What they are worth depends on what is known there already.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from adaptsample.acquisition.features import FeatureMap, Sketched
from adaptsample.acquisition.linear_posterior import LinearPosterior
from adaptsample.acquisition.state import State
from adaptsample.core.shapes import Points
from adaptsample.surrogates.protocol import LearnsGradients

_STEP = 1e-3  # of central differences, in the unit cube
_N_TARGET = 500


class Gradients(ABC):
    """Says which gradients are wanted; frozen, like a strategy."""

    uses_model: ClassVar[bool] = True

    @abstractmethod
    def wanted(self, x: Points, state: State[Any]) -> Bool[Tensor, " n"] | None:
        """Return for each proposed point whether its gradient is asked for; None for none."""


@final
@dataclass(frozen=True)
class NoGradients(Gradients):
    """Values only."""

    uses_model: ClassVar[bool] = False

    def wanted(self, x: Points, state: State[Any]) -> Bool[Tensor, " n"] | None:
        """Return None."""
        del x, state
        return None


@final
@dataclass(frozen=True)
class AllGradients(Gradients):
    """The gradient of every point, whatever it costs."""

    uses_model: ClassVar[bool] = False

    def wanted(self, x: Points, state: State[Any]) -> Bool[Tensor, " n"] | None:
        """Return True for all."""
        del state
        return torch.ones(len(x), dtype=torch.bool)


@final
@dataclass(frozen=True)
class WorthIt(Gradients):
    """The gradients that teach more for their price than values do.

    Linear regression on the model's features tells by how much the summed variance of the whole
    domain would shrink, with the value alone and with the gradient as well. The gradient is wanted
    if the second, by the price of both, is more than the first. Models that do not learn from
    gradients (`LearnsGradients`) want none.

    Args:
        features: of the regression.
        noise: standard deviation of the noise, for features of mean square 1.
    """

    features: FeatureMap = Sketched()
    noise: float = 1e-3

    def __post_init__(self) -> None:
        if not self.noise > 0:
            raise ValueError(f"noise must be positive, got {self.noise}")

    def wanted(self, x: Points, state: State[Any]) -> Bool[Tensor, " n"] | None:
        """Compare what is learned for the price, for each point on its own."""
        if not isinstance(state.model, LearnsGradients) or len(x) == 0:
            return None
        target = state.domain.sobol(_N_TARGET, generator=state.generator("target"))
        known = torch.cat([state.data.x, state.pending])
        slopes = self._slopes(x, state)
        values = self.features(torch.cat([x, known, target]), state).nan_to_num()
        new, known, target = torch.split(values, [len(x), len(known), len(target)])
        scale = known.square().sum(dim=1).mean().sqrt().clamp_min(1e-150)
        weight = target.T @ target / scale**2
        wanted = [
            self._gain(torch.cat([value[None], slope]) / scale, known / scale, weight)
            for value, slope in zip(new, slopes, strict=True)
        ]
        return torch.tensor([both / (1 + state.gradient_cost) > one for one, both in wanted])

    def _slopes(self, x: Points, state: State[Any]) -> Float[Tensor, "n d f"]:
        """Return the derivatives of the features along the axes of the unit cube."""
        unit = state.domain.to_unit(x)
        columns = []
        for axis in range(unit.shape[1]):
            step = torch.zeros(unit.shape[1], dtype=x.dtype)
            step[axis] = _STEP
            high, low = (unit + step).clamp(max=1.0), (unit - step).clamp(min=0.0)
            ends = (state.domain.from_unit(end) for end in (high, low))
            above, below = (self.features(end, state).nan_to_num() for end in ends)
            columns.append((above - below) / (high - low)[:, axis : axis + 1])
        return torch.stack(columns, dim=1)

    def _gain(
        self, rows: Float[Tensor, "r f"], known: Float[Tensor, "m f"], target: Float[Tensor, "f f"]
    ) -> tuple[float, float]:
        """Return the reduction of variance by the first row, and by all of them."""
        posterior = LinearPosterior(rows, known, noise=self.noise, target=target)
        gains = []
        for i in range(len(rows)):
            gains.append(float(posterior.reduction[i]))
            posterior.observe(i)
        return gains[0], sum(gains)
