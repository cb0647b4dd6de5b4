"""Query by committee: ask where the models that agree with the data disagree."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import State
from adaptsample.acquisition import Dispersed, PoolStrategy, Selection
from adaptsample.core import Points
from adaptsample.surrogates import SupportsCommittee


@final
@dataclass(frozen=True)
class QueryByCommittee(PoolStrategy[SupportsCommittee]):
    """Scores by the members' standard deviation, in spreads (Seung, Opper and Sompolinsky 1992).

    The members of `auto` are of different families, which disagree where a crease is not found yet;
    those of `committee` differ by their random starts; of an `mlp` they are its finalists. Where a
    committee has one member, distance alone decides.
    """

    selection: Selection = Dispersed(power=0.5)

    def score(self, x: Points, state: State[SupportsCommittee]) -> Float[Tensor, " n"]:
        """Return the disagreement, summed over outputs."""
        members = state.model.committee(x) / state.spread
        return members.std(dim=0, correction=0).sum(dim=-1)
