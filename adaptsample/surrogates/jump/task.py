"""What a jump is looked for in: one output, and what the search for it may cost."""

from dataclasses import dataclass
from typing import Self, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.core.work import Work
from adaptsample.surrogates.chebyshev import axis_polynomials, products

MAX_DEGREE = 16
"""The highest degree of a side on one axis."""


@final
@dataclass(frozen=True, eq=False)
class Task:
    """Values at scaled points.

    Attributes:
        u: scaled points.
        z: standardised values.
        limit: the largest number of coefficients of the sides.
        bound: mean absolute error that a jump must stay below.
        work: operations done, and how many may be.
        polynomials: those of each coordinate, up to the highest degree.
    """

    u: Points
    z: Float[Tensor, " n"]
    limit: int
    bound: float
    work: Work
    polynomials: Float[Tensor, "n d k"]

    @classmethod
    def of(
        cls,
        u: Points,
        z: Float[Tensor, " n"],
        *,
        limit: int,
        bound: float = torch.inf,
        work: Work | None = None,
    ) -> Self:
        """Evaluate the polynomials at the points; without ``work`` there is no limit to it."""
        work = Work(torch.inf) if work is None else work
        return cls(u, z, limit, bound, work, axis_polynomials(u, MAX_DEGREE))

    def columns(self, indices: Int64[Tensor, "p d"]) -> Float[Tensor, "n p"]:
        """Return a basis at the points."""
        return products(self.polynomials, indices)
