"""What a model sees in a point: feature maps, for strategies that keep a batch diverse.

Two points are alike if a model's prediction reacts alike to what is learned at them, hence the
kernel phi(x) . phi(x'), e.g. of the derivatives with respect to the parameters, the *neural tangent
kernel* (Jacot, Gabriel and Hongler, NeurIPS 2018).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.acquisition.state import State
from adaptsample.core.shapes import Points
from adaptsample.surrogates.protocol import (
    SupportsFeatures,
    SupportsParameterGradient,
    capable,
)

_BLOCK = 2**11  # points at a time, whose features are many


class FeatureMap(ABC):
    """Maps points to features."""

    @abstractmethod
    def __call__(self, x: Points, state: State[Any]) -> Float[Tensor, "n f"]:
        """Return the features of n points.

        Raises:
            UnsupportedModelError: the model in ``state`` has none of that kind.
        """


@final
@dataclass(frozen=True)
class Inputs(FeatureMap):
    """The point itself, in the unit cube: no model is looked at."""

    def __call__(self, x: Points, state: State[Any]) -> Float[Tensor, "n f"]:
        """Return the coordinates."""
        return state.domain.to_unit(x)


@final
@dataclass(frozen=True)
class LastLayer(FeatureMap):
    """What the prediction is linear in: a network's last hidden layer, a polynomial's terms."""

    def __call__(self, x: Points, state: State[Any]) -> Float[Tensor, "n f"]:
        """Return the model's features."""
        return capable(state.model, SupportsFeatures).features(x)


@final
@dataclass(frozen=True)
class FullGradient(FeatureMap):
    """The derivatives of all outputs with respect to all parameters.

    Those of a model that is linear in its features are its features.
    """

    def __call__(self, x: Points, state: State[Any]) -> Float[Tensor, "n f"]:
        """Return the derivatives, those of several outputs side by side."""
        if isinstance(state.model, SupportsParameterGradient):
            return state.model.parameter_gradient(x).flatten(1)
        return capable(state.model, SupportsFeatures).features(x)


@final
@dataclass(frozen=True)
class Sketched(FeatureMap):
    """Random projections of many features, which keep distances (Johnson and Lindenstrauss 1984).

    Args:
        of: the features.
        n: how many are left; fewer features stay as they are.

    Raises:
        ValueError: no features are left.
    """

    of: FeatureMap = FullGradient()
    n: int = 512

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")

    def __call__(self, x: Points, state: State[Any]) -> Float[Tensor, "n f"]:
        """Return the projections, the same ones in all rounds of a run."""
        n_features = self.of(x[:1], state).shape[1]
        if n_features <= self.n:
            return self.of(x, state)
        shape, generator = (n_features, self.n), state.generator("sketch")
        projection = torch.randn(shape, dtype=x.dtype, generator=generator) / self.n**0.5
        return torch.cat([self.of(block, state) @ projection for block in torch.split(x, _BLOCK)])
