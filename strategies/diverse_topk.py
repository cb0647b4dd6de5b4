"""Diverse top k: where the last fit changed the model, but apart from all other points."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import Model, State
from adaptsample.acquisition import Dispersed, PoolStrategy, Selection, model_change
from adaptsample.core import Points


@final
@dataclass(frozen=True)
class DiverseTopk(PoolStrategy[Model]):
    """`topk`, with the change of the model weighed by the distance to what is taken or selected.

    So it may look at many candidates: the best no longer lie side by side.
    """

    selection: Selection = Dispersed()

    def score(self, x: Points, state: State[Model]) -> Float[Tensor, " n"]:
        """Return the model's change in the last fit."""
        return model_change(x, state)
