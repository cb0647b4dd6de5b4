"""Affine changes of units, between the data's and those that a model works in."""

from dataclasses import dataclass
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Tensor

_ROUNDING = 1e-15  # of numbers, relative to the largest


@final
@dataclass(frozen=True, eq=False)
class Scaling:
    """Scaled = (raw - shift) / unit, column by column, in float64.

    No arithmetic here overflows for finite data: numbers are halved, or divided by the largest,
    before they are added or squared.
    """

    shift: Float[Tensor, " c"]
    unit: Float[Tensor, " c"]

    @classmethod
    def identity(cls, n_columns: int) -> Self:
        """Return the scaling that changes nothing."""
        zeros = torch.zeros(n_columns, dtype=torch.float64)
        return cls(zeros, zeros + 1)

    @classmethod
    def to_box(cls, raw: Float[Tensor, "n c"]) -> Self:
        """Return the scaling of the data's bounding box to [-1, 1]^c; a flat column is shifted."""
        low, high = raw.amin(dim=0) / 2, raw.amax(dim=0) / 2
        return cls(low + high, _usable(high - low))

    @classmethod
    def to_moments(cls, raw: Float[Tensor, "n c"]) -> Self:
        """Return the scaling to mean 0 and standard deviation 1; a constant column is shifted."""
        largest = _usable(raw.abs().amax(dim=0))
        shrunk = raw / largest
        mean = shrunk.mean(dim=0)
        spread = (shrunk - mean).square().mean(dim=0).sqrt()
        varies = raw.amax(dim=0) > raw.amin(dim=0)
        return cls(
            torch.where(varies, mean * largest, raw[0]),
            torch.where(varies, _usable(spread * largest), 1.0),
        )

    def forward(self, raw: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """Scale."""
        return (raw - self.shift) / self.unit

    def inverse(self, scaled: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """Return scaled numbers to the units of the data, the largest there are instead of inf."""
        largest = torch.finfo(torch.float64).max
        return (self.shift + scaled * self.unit).clamp(-largest, largest)


def spread_of(values: Float[Tensor, "n c"]) -> Float[Tensor, " c"]:
    """Return the standard deviation of each column; 1 where a column is constant to rounding.

    It is the unit in which errors of several outputs compare. Finite, and never 0.
    """
    largest = values.abs().amax(dim=0).clamp_min(torch.finfo(values.dtype).tiny)
    share = (values / largest).std(dim=0, correction=0)  # squares of the values may overflow
    is_constant = (share < _ROUNDING) | (values.amax(dim=0) == values.amin(dim=0))
    return torch.where(is_constant, 1.0, _usable(share * largest))


def _usable(unit: Float[Tensor, " c"]) -> Float[Tensor, " c"]:
    """Replace what cannot be divided by: zero, and numbers so small that they lose digits."""
    return torch.where(unit > torch.finfo(unit.dtype).tiny, unit, 1.0)
