"""Top k: ask where the last fit changed the model most."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import Model, State
from adaptsample.acquisition import PoolStrategy, model_change
from adaptsample.core import Points


@final
@dataclass(frozen=True)
class Topk(PoolStrategy[Model]):
    """Takes the candidates with the largest change of the model.

    The pool is small, because that is what keeps a batch apart: the best of very many candidates
    lie side by side. As published it has 12,000 candidates, and retires the point whose own
    prediction changed least, ``retirement=DropLowest("change")``. Forgetting what was paid for
    costs accuracy, so that is off by default.
    """

    n_candidates: int = 100

    def score(self, x: Points, state: State[Model]) -> Float[Tensor, " n"]:
        """Return the model's change in the last fit."""
        return model_change(x, state)
