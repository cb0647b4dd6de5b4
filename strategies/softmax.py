"""Softmax over the model's change: ask, at random, where the last fit changed the model."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import Model, State
from adaptsample.acquisition import PoolStrategy, Selection, SoftmaxDraw, model_change
from adaptsample.core import Points


@final
@dataclass(frozen=True)
class Softmax(PoolStrategy[Model]):
    """Draws from the candidates at or above the 0.7 quantile of the model's change."""

    selection: Selection = SoftmaxDraw(quantile=0.7)

    def score(self, x: Points, state: State[Model]) -> Float[Tensor, " n"]:
        """Return the model's change in the last fit."""
        return model_change(x, state)
