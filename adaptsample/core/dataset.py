"""Evaluated points and values."""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Self, final

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.core.repeats import Repeats
from adaptsample.core.shapes import Points, Values


@final
@dataclass(frozen=True, eq=False)
class Dataset:
    """Points, their values and, where observed, their gradients. Frozen; grows by ``+``.

    Args:
        x: points (n, d), finite.
        y: values (n, k), finite.
        gradient: d y_k / d x_d as (n, k, d), or None if no gradient was observed. The rows of
            points whose gradient was not observed are NaN.
        repeats: of which rows these points are the means; see `distinct`.

    Raises:
        ValueError: shapes that do not fit together, or numbers that are not finite.
    """

    x: Points
    y: Values
    gradient: Float[Tensor, "n k d"] | None = None
    repeats: Repeats | None = None

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or self.y.ndim != 2 or len(self.x) != len(self.y):
            raise ValueError(
                f"x must be (n, d) and y (n, k) with the same n, "
                f"got {tuple(self.x.shape)} and {tuple(self.y.shape)}"
            )
        if self.gradient is not None:
            expected = (*self.y.shape, self.x.shape[1])
            if tuple(self.gradient.shape) != expected:
                raise ValueError(
                    f"gradient must be (n, k, d) = {expected}, got {tuple(self.gradient.shape)}"
                )
        if not (torch.isfinite(self.x).all() and torch.isfinite(self.y).all()):
            raise ValueError("a Dataset holds finite points and values only")

    @classmethod
    def empty(cls, dimension: int, n_outputs: int = 1) -> Self:
        """Return a dataset without points."""
        zeros = torch.zeros(0, dimension + n_outputs, dtype=torch.float64)
        return cls(zeros[:, :dimension], zeros[:, dimension:])

    def __len__(self) -> int:
        return len(self.x)

    def __add__(self, other: "Dataset") -> "Dataset":
        gradient = None
        if self.gradient is not None or other.gradient is not None:
            gradient = torch.cat([self._gradient_or_nan(), other._gradient_or_nan()])
        return Dataset(torch.cat([self.x, other.x]), torch.cat([self.y, other.y]), gradient)

    def distinct(self) -> "Dataset":
        """Return the mean values and gradients at the distinct points.

        They know of their rows by ``repeats``, and come in the order in which they first came.
        """
        repeats = Repeats.of(self.x, self.y)
        if repeats is None:
            return self
        gradient = None if self.gradient is None else repeats.mean(self.gradient)
        return Dataset(self.x[repeats.first], repeats.mean(self.y), gradient, repeats)

    def by_row(self, residuals: Values) -> Values:
        """Return residuals at the points as those of the rows of which they are the means."""
        return residuals if self.repeats is None else self.repeats.by_row(residuals)

    def noise_std(self, estimate: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Return the standard deviation of the noise in the rows.

        Of values at the same point, where they differ; else what was estimated from the points.
        NaN remains: no noise was looked for.
        """
        if self.repeats is None:
            return estimate
        told = self.repeats.noise_std
        return torch.where((told > 0) & ~estimate.isnan(), told, estimate)

    def without(self, indices: Int64[Tensor, " m"]) -> "Dataset":
        """Return the dataset without the points at these positions."""
        keep = torch.ones(len(self), dtype=torch.bool)
        keep[indices] = False
        return self.rows(keep.nonzero()[:, 0])

    def rows(self, indices: Int64[Tensor, " m"]) -> "Dataset":
        """Return the points at these positions, in this order."""
        gradient = None if self.gradient is None else self.gradient[indices]
        return Dataset(self.x[indices], self.y[indices], gradient)

    def split(self, *shares: float, generator: Generator) -> tuple["Dataset", ...]:
        """Divide the points at random, as into those to train on, to validate and to test with.

        Args:
            shares: of each part, such as 0.7, 0.15, 0.15; the numbers of points are as near to
                them as whole numbers can be, and each part keeps the order of the data.
            generator: the only source of randomness.

        Raises:
            ValueError: shares that are not positive or do not add up to 1.
        """
        if not shares or min(shares) <= 0 or not math.isclose(sum(shares), 1):
            raise ValueError(f"shares must be positive and add up to 1, got {shares}")
        ends = [round(len(self) * share) for share in accumulate(shares)]
        order = torch.randperm(len(self), generator=generator)
        borders = pairwise([0, *ends])
        return tuple(self.rows(order[low:high].sort().values) for low, high in borders)

    def _gradient_or_nan(self) -> Float[Tensor, "n k d"]:
        if self.gradient is not None:
            return self.gradient
        return torch.full((*self.y.shape, self.x.shape[1]), torch.nan, dtype=self.y.dtype)
