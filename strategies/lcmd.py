"""LCMD: ask in the largest cluster of what no known point represents well."""

from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from adaptsample.acquisition import DistancesToOne, FeatureStrategy, Rows, nearest


@final
@dataclass(frozen=True)
class LCMD(FeatureStrategy[Any]):
    """Largest cluster, maximum distance (Holzmüller et al., JMLR 24, 2023).

    Every candidate belongs to its nearest known point. Of the cluster with the largest sum of
    squared distances the farthest candidate is chosen, and becomes the centre of a new one.

    Cost: candidates x (points known + points asked) x features.
    """

    def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Int64[Tensor, " n"]:
        """Return the candidates in the order in which they are chosen."""
        del generator
        known = torch.unique(rows.known, dim=0)  # between copies, rounding would split a cluster
        away = DistancesToOne(rows.new)
        distance, centre = nearest(rows.new, known)
        free, chosen = torch.ones(len(rows.new), dtype=torch.bool), []
        for i in range(n):
            if len(known) + i == 0:
                score = away.squares
            else:
                size = torch.bincount(centre, weights=distance)
                score = torch.where(free & (size[centre] == size.max()), distance, -torch.inf)
            chosen.append(int(score.argmax()))
            free[chosen[-1]] = False
            added = away(chosen[-1]).clamp_min_(0.0)
            closer = added < distance
            distance = torch.where(closer, added, distance)
            distance[chosen[-1]] = 0.0  # rounding would make it a cluster of its own
            centre[closer] = len(known) + i
        return torch.tensor(chosen)
