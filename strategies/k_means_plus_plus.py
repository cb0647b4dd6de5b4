"""k-means++: draw by the squared distance to the nearest known features."""

from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from adaptsample.acquisition import DistancesToOne, FeatureStrategy, Rows, nearest


@final
@dataclass(frozen=True)
class KMeansPlusPlus(FeatureStrategy[Any]):
    """The seeding of k-means (Arthur and Vassilvitskii, SODA 2007) as a batch (BADGE, ICLR 2020).

    Cost: candidates x (points known + points asked) x features.
    """

    def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Int64[Tensor, " n"]:
        """Return the candidates in the order in which they are drawn."""
        new, known = rows.new, rows.known
        away, chosen = DistancesToOne(new), list[int]()
        distance = nearest(new, known)[0] if len(known) else torch.ones_like(away.squares)
        free = torch.ones(len(new), dtype=torch.bool)
        for _ in range(n):
            weight = distance if bool(distance.sum() > 0) else free.to(distance.dtype)
            chosen.append(int(torch.multinomial(weight, 1, generator=generator)))
            free[chosen[-1]] = False
            added = away(chosen[-1])
            closer = distance.minimum(added) if len(known) + len(chosen) > 1 else added
            distance = torch.where(free, closer.clamp_min_(0.0), 0.0)
        return torch.tensor(chosen)
