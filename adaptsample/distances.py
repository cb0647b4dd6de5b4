"""Distances between many points, a block at a time."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_BLOCK = 2**24  # distances at a time: 128 MB


def squared_distances(a: Float[Tensor, "n f"], b: Float[Tensor, "m f"]) -> Float[Tensor, "n m"]:
    """Return the squared Euclidean distances of all pairs."""
    norms = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1)
    return torch.addmm(norms, a, b.T, alpha=-2).clamp_min_(0.0)


def nearest(
    x: Float[Tensor, "n f"], others: Float[Tensor, "m f"]
) -> tuple[Float[Tensor, " n"], Int64[Tensor, " n"]]:
    """Return the squared distance to the nearest of the others, and its position.

    Infinite distances, and position 0, where there are none.
    """
    if len(others) == 0:
        return torch.full((len(x),), torch.inf, dtype=x.dtype), torch.zeros(len(x)).long()
    distances, positions = k_nearest(x, others, 1)
    return distances[:, 0], positions[:, 0]


def k_nearest(
    x: Float[Tensor, "n f"], others: Float[Tensor, "m f"], k: int
) -> tuple[Float[Tensor, "n k"], Int64[Tensor, "n k"]]:
    """Return the squared distances to the k nearest of the others, and their positions.

    k is at most m.
    """
    rows = max(1, _BLOCK // len(others))
    found = [
        squared_distances(block, others).topk(k, dim=1, largest=False)
        for block in torch.split(x, rows)
    ]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])
