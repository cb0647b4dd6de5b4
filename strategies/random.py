"""Random sampling: the baseline that a strategy has to beat."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Generator

from adaptsample import State, Strategy
from adaptsample.acquisition import Proposal


@final
@dataclass(frozen=True)
class Random(Strategy[Any]):
    """Independent uniform points, or rows drawn from the pool."""

    uses_model: ClassVar[bool] = False

    def propose(self, state: State[Any], n: int, *, generator: Generator) -> Proposal:
        """Draw n points."""
        return Proposal(state.candidates(n, generator=generator))
