"""Sobol points: the low-discrepancy baseline, one sequence through all rounds."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Generator

from adaptsample import Proposal, State, Strategy, derive_generator


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
        sequence = derive_generator(state.seed, "initial")
        points = state.domain.sobol(len(state.taken) + n, generator=sequence)
        if state.pool is not None:  # rows near the sequence were taken, not its points
            return Proposal(points[len(state.taken) :])
        taken = {tuple(x) for x in state.taken.tolist()}
        free = [i for i, x in enumerate(points.tolist()) if tuple(x) not in taken]
        return Proposal(points[free[:n]])
