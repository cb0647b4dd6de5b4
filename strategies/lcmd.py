"""LCMD: ask in the largest cluster of what no known point represents well."""

from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample import FeatureStrategy, nearest


@final
@dataclass(frozen=True)
class LCMD(FeatureStrategy[Any]):
    """Largest cluster, maximum distance (Holzmüller et al., JMLR 24, 2023).

    Every candidate belongs to its nearest known point. Of the cluster with the largest sum of
    squared distances the farthest candidate is chosen, and becomes the centre of a new one.

    Cost: candidates x (points known + points asked) x features.
    """

    def choose_rows(
        self,
        new: Float[Tensor, "c f"],
        known: Float[Tensor, "t f"],
        n: int,
        *,
        generator: Generator,
    ) -> Int64[Tensor, " n"]:
        """Return the candidates in the order in which they are chosen."""
        del generator
        squares = new.square().sum(dim=1)
        distance, centre = nearest(new, known)
        free, chosen = torch.ones(len(new), dtype=torch.bool), []
        for i in range(n):
            if len(known) == 0 and i == 0:
                score = squares
            else:
                size = torch.bincount(centre, weights=distance)
                score = torch.where(size[centre] == size.max(), distance, -torch.inf)
            chosen.append(int(torch.where(free, score, -torch.inf).argmax()))
            free[chosen[-1]] = False
            away = (squares + squares[chosen[-1]] - 2 * new @ new[chosen[-1]]).clamp_min(0.0)
            closer = away < distance
            distance = torch.where(closer, away, distance)
            centre = torch.where(closer, len(known) + i, centre)
        return torch.tensor(chosen)
