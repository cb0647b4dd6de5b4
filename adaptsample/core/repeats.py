"""Rows of data at the same point: what they say together, and how far each is from that."""

from dataclasses import dataclass
from typing import Self, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adaptsample.core.shapes import Points, Values


@final
@dataclass(frozen=True, eq=False)
class Repeats:
    """Of which rows some distinct points are the means.

    Attributes:
        point: position of each row's point among the distinct ones, which are in the order in which
            they first came.
        first: the first row of each point.
        off: values of the rows, minus the means at their points.
    """

    point: Int64[Tensor, " rows"]
    first: Int64[Tensor, " n"]
    off: Values

    @classmethod
    def of(cls, x: Points, y: Values) -> Self | None:
        """Return the repeats among rows; None where all points are distinct."""
        distinct, point = torch.unique(x, dim=0, return_inverse=True)
        if len(distinct) == len(x):
            return None
        rows = torch.arange(len(x))
        first = torch.full((len(distinct),), len(x)).scatter_reduce(0, point, rows, "amin")
        order = first.argsort()
        point, first = order.argsort()[point], first[order]
        repeats = cls(point, first, torch.zeros_like(y))
        return cls(point, first, y - repeats.mean(y)[point])

    def mean(self, values: Float[Tensor, "rows *rest"]) -> Float[Tensor, "n *rest"]:
        """Return the mean at each point, of rows that are not NaN; exact where all are equal."""
        known = ~values.isnan()
        index = self.point.view(-1, *[1] * (values.ndim - 1)).expand_as(values)

        def least(sign: float) -> Tensor:
            signed = torch.where(known, sign * values, torch.inf)
            empty = torch.full_like(values[: len(self.first)], torch.inf)
            return sign * empty.scatter_reduce(0, index, signed, "amin")

        zeros = torch.zeros_like(values[: len(self.first)])
        count = zeros.index_add(0, self.point, known.to(values.dtype))
        shares = torch.where(known, values, 0.0) / count.clamp_min(1)[self.point]  # never overflow
        mean = zeros.index_add(0, self.point, shares)
        mean = torch.where(least(1.0) == least(-1.0), least(1.0), mean)
        return torch.where(count > 0, mean, torch.nan)

    def by_row(self, residuals: Values) -> Values:
        """Return residuals of the means as those of the rows."""
        return residuals[self.point] + self.off

    @property
    def noise_std(self) -> Float[Tensor, " k"]:
        """Standard deviation of values at the same point, pooled over all points."""
        return (self.off.square().sum(dim=0) / (len(self.point) - len(self.first))).sqrt()
