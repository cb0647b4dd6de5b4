"""Latin hypercube sampling: every batch covers each variable's range evenly."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Generator

from adaptsample import State, Strategy
from adaptsample.acquisition import Proposal


@final
@dataclass(frozen=True)
class LatinHypercube(Strategy[Any]):
    """A fresh Latin hypercube for each batch (McKay, Beckman and Conover 1979).

    With a batch as large as the budget left it is the classical one-shot design.
    """

    uses_model: ClassVar[bool] = False

    def propose(self, state: State[Any], n: int, *, generator: Generator) -> Proposal:
        """Draw a Latin hypercube of n points."""
        return Proposal(state.domain.latin_hypercube(n, generator=generator))
