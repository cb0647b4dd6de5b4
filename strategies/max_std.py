"""Uncertainty sampling: ask where the model is least certain."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import State
from adaptsample.acquisition import PoolStrategy
from adaptsample.core import Points
from adaptsample.surrogates import SupportsStd


@final
@dataclass(frozen=True)
class MaxStd(PoolStrategy[SupportsStd]):
    """Scores a candidate by the predictive standard deviation, in spreads, summed over outputs.

    Alone in a batch of one it is D-optimal (MacKay, Information-based objective functions, Neural
    Computation 4, 1992); in larger batches points lie side by side, which
    ``selection=Dispersed()`` avoids.
    """

    def score(self, x: Points, state: State[SupportsStd]) -> Float[Tensor, " n"]:
        """Return the standard deviation, in spreads."""
        return (state.model.std(x) / state.spread).sum(dim=-1)
