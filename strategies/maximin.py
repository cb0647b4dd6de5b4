"""Maximin: ask where the nearest point is farthest away."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample import State
from adaptsample.acquisition import Dispersed, PoolStrategy, Selection
from adaptsample.core import Points


@final
@dataclass(frozen=True)
class Maximin(PoolStrategy[Any]):
    """Greedy k-centre in the unit cube: no model, every gap is filled.

    At most twice as far from the best cover (T. F. Gonzalez, Clustering to minimize the maximum
    intercluster distance, Theoretical Computer Science 38, 1985; as a design: Johnson, Moore and
    Ylvisaker, Journal of Statistical Planning and Inference 26, 1990).
    """

    uses_model: ClassVar[bool] = False
    selection: Selection = Dispersed()

    def score(self, x: Points, state: State[Any]) -> Float[Tensor, " n"]:
        """Return 1 for all: distance alone decides."""
        del state
        return torch.ones(len(x), dtype=x.dtype)
