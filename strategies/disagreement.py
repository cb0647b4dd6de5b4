"""Disagreement: climb to where the model is uncertain and no point is near."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import State
from adaptsample.acquisition import SearchStrategy
from adaptsample.core import Points
from adaptsample.surrogates import SupportsStd


@final
@dataclass(frozen=True)
class Disagreement(SearchStrategy[SupportsStd]):
    """Maximises standard deviation times distance, one point after another, by local search.

    The distance is that to all points that are taken or chosen, in the unit cube.

    Cost: `n_candidates` + 64 `n_steps` predictions of the standard deviation for each point.
    """

    def score(self, x: Points, state: State[SupportsStd]) -> Float[Tensor, " n"]:
        """Return the standard deviation, in spreads, times the distance."""
        return (state.model.std(x) / state.spread).sum(dim=-1) * state.distance(x)
