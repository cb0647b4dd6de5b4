"""Sobol points: the low-discrepancy baseline, one sequence through all rounds."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Generator

from adaptsample import State, Strategy
from adaptsample.acquisition import Proposal


@final
@dataclass(frozen=True)
class Sobol(Strategy[Any]):
    """The next points of the run's scrambled Sobol sequence (Owen 1998).

    It is the sequence that a Sobol initial design begins, so that a whole run is one sequence,
    whatever the batch size.
    """

    uses_model: ClassVar[bool] = False

    def propose(self, state: State[Any], n: int, *, generator: Generator) -> Proposal:
        """Return the first n points of the sequence that are not taken."""
        del generator
        return Proposal(state.sobol(n))
