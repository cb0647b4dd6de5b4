"""Distances between many points, a block at a time."""

from collections.abc import Iterator
from math import ceil, isqrt
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import pad

_BLOCK = 2**16  # distances at a time, for each coordinate: few, so that they stay in the cache
_LARGEST_BLOCK = 2**23


def nearest(
    x: Float[Tensor, "n f"], others: Float[Tensor, "m f"]
) -> tuple[Float[Tensor, " n"], Int64[Tensor, " n"]]:
    """Return the squared distance to the nearest of the others, and its position.

    Infinite distances, and position 0, where there are none.
    """
    if len(others) == 0:
        return torch.full((len(x),), torch.inf, dtype=x.dtype), torch.zeros(len(x)).long()
    distances, positions = [], []
    for squares, strands in _strands(x, others):
        strand = strands.amin(dim=1).argmin(dim=1)
        least = strands[torch.arange(len(strands)), :, strand].min(dim=1)
        distances.append((least.values + squares).clamp_min_(0.0))
        positions.append(least.indices * strands.shape[2] + strand)
    return torch.cat(distances), torch.cat(positions)


def k_nearest(
    x: Float[Tensor, "n f"], others: Float[Tensor, "m f"], k: int
) -> tuple[Float[Tensor, "n k"], Int64[Tensor, "n k"]]:
    """Return the squared distances to the k nearest of the others, and their positions.

    k is at most m.
    """
    distances, positions = [], []
    for squares, strands in _strands(x, others):
        n_strands = min(k, strands.shape[2])
        strand = strands.amin(dim=1).topk(n_strands, largest=False).indices
        everywhere = strand[:, None].expand(-1, strands.shape[1], -1)
        least = strands.gather(2, everywhere).flatten(1).topk(k, largest=False)
        row, which = least.indices // n_strands, least.indices % n_strands
        distances.append((least.values + squares[:, None]).clamp_min_(0.0))
        positions.append(row * strands.shape[2] + strand.gather(1, which))
    return torch.cat(distances), torch.cat(positions)


@final
class DistancesToOne:
    """Squared distances of many points (n, f) to one of them after another.

    Attributes:
        squares: the squared lengths (n,).
    """

    def __init__(self, x: Float[Tensor, "n f"]) -> None:
        self.squares = x.square().sum(dim=1)
        self._columns = x.T.contiguous()  # a product with them reads memory faster

    def __call__(self, i: int) -> Float[Tensor, " n"]:
        """Return the squared distances to point i, which rounding may make negative."""
        one = self._columns[:, i].contiguous()
        away: Tensor = torch.addmv(self.squares + self.squares[i], self._columns.T, one, alpha=-2)
        return away


def _strands(
    x: Float[Tensor, "n f"], others: Float[Tensor, "m f"]
) -> Iterator[tuple[Float[Tensor, " b"], Float[Tensor, "b r s"]]]:
    """Yield |x|^2, and |o|^2 - 2 o . x for all others, of one block of x after another.

    The others are laid out in about sqrt(m) rows, and the k nearest are in the k strands, across
    the rows, with the nearest members. So most distances are looked at once, and never sorted. A
    block is overwritten by the next.
    """
    n_strands = isqrt(len(others) - 1) + 1
    n_free = ceil(len(others) / n_strands) * n_strands - len(others)
    table = torch.cat([-2 * others, others.square().sum(dim=1, keepdim=True)], dim=1)
    table = pad(table, (0, 0, 0, n_free))
    table[len(others) :, -1] = torch.inf
    n_rows = max(1, min(_BLOCK * x.shape[1], _LARGEST_BLOCK) // len(table))
    block = torch.empty(min(n_rows, len(x)), len(table), dtype=x.dtype)
    for part in torch.split(x, n_rows):
        with_one = pad(part, (0, 1), value=1.0)
        away = torch.mm(with_one, table.T, out=block[: len(part)])
        yield part.square().sum(dim=1), away.view(len(part), len(table) // n_strands, n_strands)
