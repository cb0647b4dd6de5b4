"""Swap: a point drawn by the model's change comes in, the best-fitted point may go out."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import Model, State
from adaptsample.acquisition import PoolStrategy, Selection, SoftmaxDraw, model_change
from adaptsample.core import Points


@final
@dataclass(frozen=True)
class Swap(PoolStrategy[Model]):
    """Draws from all candidates by the softmax of the model's change.

    As published it also retires the point with the smallest residual,
    ``retirement=DropLowest("residual")``. Forgetting what was paid for costs accuracy, so it is
    off by default.
    """

    selection: Selection = SoftmaxDraw()

    def score(self, x: Points, state: State[Model]) -> Float[Tensor, " n"]:
        """Return the model's change in the last fit."""
        return model_change(x, state)
