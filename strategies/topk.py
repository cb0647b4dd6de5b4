"""Top k: ask where the last fit changed the model most."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import Model, Points, PoolStrategy, State, model_change


@final
@dataclass(frozen=True)
class Topk(PoolStrategy[Model]):
    """Takes the candidates with the largest change of the model.

    As published it also retires the point whose own prediction changed least,
    ``retirement=DropLowest("change")``. Forgetting what was paid for costs accuracy, so it is off
    by default.
    """

    def score(self, x: Points, state: State[Model]) -> Float[Tensor, " n"]:
        """Return the model's change in the last fit."""
        return model_change(x, state)
