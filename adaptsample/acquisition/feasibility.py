"""How likely an evaluation is to succeed, learned from those that failed nearby.

Oracles fail in regions: where a solver does not converge, where a shape cannot be built. The share
of successes among the nearest evaluations is the simplest model of that, and needs no tuning.
"""

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.core.shapes import Points

NEIGHBOURS = 5


def feasibility(x: Points, succeeded: Points, failed: Points) -> Float[Tensor, " n"]:
    """Return the chance of success at n points, above 0; 1 everywhere while nothing has failed.

    It is that of the `NEIGHBOURS` nearest evaluations, with one success more than there was: no
    place is given up for good.

    Args:
        x: points (n, d), in units in which distances mean the same in all coordinates.
        succeeded: points that were evaluated (s, d), in the same units.
        failed: points whose evaluation failed (f, d), in the same units.
    """
    if len(failed) == 0:
        return torch.ones(len(x), dtype=torch.float64)
    distance = torch.cdist(x, torch.cat([succeeded, failed]))
    k = min(NEIGHBOURS, distance.shape[1])
    nearest = distance.topk(k, dim=1, largest=False).indices
    successes = (nearest < len(succeeded)).sum(dim=1, dtype=torch.float64)
    return (1 + successes) / (1 + k)


def thinned(chance: Float[Tensor, " c"], n: int, *, generator: Generator) -> Int64[Tensor, " m"]:
    """Return the positions of candidates, each kept with its chance, in order; at least n of them.

    Where chance keeps fewer, the likeliest are taken.
    """
    if bool((chance >= 1).all()):
        return torch.arange(len(chance))
    luck = chance - torch.rand(len(chance), dtype=torch.float64, generator=generator)
    n_kept = max(n, int((luck > 0).sum()))
    return luck.topk(n_kept).indices.sort().values
