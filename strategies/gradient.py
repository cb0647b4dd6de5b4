"""Gradient: softmax selection that asks for gradients, so that training is gradient-informed."""

from dataclasses import dataclass, field
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import Model, State
from adaptsample.acquisition import (
    AllGradients,
    Gradients,
    PoolStrategy,
    Selection,
    SoftmaxDraw,
    model_change,
)
from adaptsample.core import Points


@final
@dataclass(frozen=True)
class Gradient(PoolStrategy[Model]):
    """Draws like `softmax` and pays for the gradient of every point it draws.

    A surrogate that can use gradients (`MLP`) then trains on values and gradients (Czarnecki et
    al., Sobolev Training for Neural Networks, 2017). ``gradients=WorthIt()`` pays only for those
    that teach more than values for the same price.
    """

    selection: Selection = SoftmaxDraw(quantile=0.7)
    gradients: Gradients = field(default=AllGradients(), kw_only=True)

    def score(self, x: Points, state: State[Model]) -> Float[Tensor, " n"]:
        """Return the model's change in the last fit."""
        return model_change(x, state)
