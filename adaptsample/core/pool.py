"""A finite pool of points, of which those that were asked are struck out."""

import torch
from jaxtyping import Bool
from torch import Tensor

from adaptsample.core.domain import Box
from adaptsample.core.shapes import Points


def nearest_rows(wanted: Points, pool: Points, domain: Box) -> Points:
    """Return for each wanted point in turn the nearest row of the pool that is not used yet.

    Args:
        wanted: points (n, d).
        pool: rows (m, d), all different.
        domain: whose unit cube distances are measured in.

    Returns:
        min(n, m) different rows of the pool.
    """
    rows, free = domain.to_unit(pool), torch.full((len(pool),), True)
    chosen = []
    for point in domain.to_unit(wanted)[: len(pool)]:
        distance = (rows - point).square().sum(dim=1)
        nearest = int(torch.where(free, distance, torch.inf).argmin())
        free[nearest] = False
        chosen.append(nearest)
    return pool[chosen]


def is_among(x: Points, others: Points) -> Bool[Tensor, " n"]:
    """Tell for each of n points whether it is exactly one of the others (m, d)."""
    known = set(map(tuple, others.tolist()))  # n x m comparisons would not fit a large pool
    return torch.tensor([tuple(row) in known for row in x.tolist()], dtype=torch.bool)
