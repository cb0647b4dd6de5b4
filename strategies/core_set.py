"""Core-set: ask where the nearest known features are farthest."""

from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from adaptsample.acquisition import DistancesToOne, FeatureStrategy, Rows, nearest


@final
@dataclass(frozen=True)
class CoreSet(FeatureStrategy[Any]):
    """Greedy k-centre in feature space, called MaxDist as well (Sener and Savarese, ICLR 2018).

    Cost: candidates x (points known + points asked) x features.
    """

    def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Int64[Tensor, " n"]:
        """Return the candidates in the order in which they are chosen; the longest if none is."""
        del generator
        away, chosen = DistancesToOne(rows.new), list[int]()
        distance = nearest(rows.new, rows.known)[0] if len(rows.known) else away.squares.clone()
        for _ in range(n):
            chosen.append(int(distance.argmax()))
            added = away(chosen[-1])
            distance = distance.minimum(added) if len(rows.known) + len(chosen) > 1 else added
            distance[chosen[-1]] = -torch.inf
        return torch.tensor(chosen)
