"""Output transforms: a function that is awkward in y may be simple in log y or 1/y.

All but the identity need values of one sign; negative values are mirrored. Between evaluations a
transformed model may reach where its inverse explodes, so inverses are limited to the data's range
and a margin. Towards zero none explodes: there the margin is a factor, as large as the data's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.shapes import Values

TransformName: TypeAlias = Literal["identity", "log", "reciprocal", "sqrt"]
TRANSFORMS: tuple[TransformName, ...] = ("identity", "log", "reciprocal", "sqrt")

MARGIN = 3.0
"""Predictions go beyond the data's range by at most this many times the range."""

_Map: TypeAlias = Callable[[Tensor], Tensor]
_MAPS: dict[TransformName, tuple[_Map, _Map]] = {
    "log": (torch.log, torch.exp),
    "reciprocal": (torch.reciprocal, torch.reciprocal),
    "sqrt": (torch.sqrt, torch.square),
}


@final
@dataclass(frozen=True)
class Transform:
    """An invertible map of one output, and the range in which it is trusted.

    Attributes:
        name: "identity", "log", "reciprocal" or "sqrt".
        sign: -1 if the values are negative and mirrored.
        low: the smallest value that the inverse returns, mirrored.
        high: the largest.
    """

    name: TransformName
    sign: float
    low: float
    high: float

    @classmethod
    def legal(cls, name: TransformName, y: Float[Tensor, " n"]) -> "Transform | None":
        """Return the transform for these values, or None if it is not defined for them all."""
        if name == "identity":
            return cls(name, 1.0, -torch.inf, torch.inf)
        sign = 1.0 if y[0] > 0 else -1.0
        low, high = float((sign * y).min()), float((sign * y).max())
        span = high - low
        if low <= 0 or span == 0:
            return None
        least = 0.0 if name == "sqrt" else low / max(1 + MARGIN, high / low)
        transform = cls(name, sign, max(low - MARGIN * span, least), high + MARGIN * span)
        return transform if torch.isfinite(transform.forward(y)).all() else None

    def forward(self, y: Values) -> Values:
        """Transform values."""
        return y if self.name == "identity" else _MAPS[self.name][0](self.sign * y)

    def inverse(self, z: Values) -> Values:
        """Transform back; within the limits, and on the data's side of any pole."""
        if self.name == "identity":
            return z
        forward, inverse = _MAPS[self.name]
        ends = forward(torch.tensor([self.low, self.high], dtype=z.dtype))
        return self.sign * inverse(z.clamp(ends.min(), ends.max()))
