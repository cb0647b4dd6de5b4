"""One output as a linear combination of features, fitted by least squares."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import sqrt
from typing import TypeAlias, final

from jaxtyping import Float, Int64
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates.chebyshev import Orthonormal, box_points, chebyshev, score, swing

Columns: TypeAlias = Callable[[Points], Float[Tensor, "n p"]]
"""Features as a function of scaled points."""


@final
@dataclass(frozen=True, eq=False)
class Expansion:
    """A standardised output as a sum of features.

    Attributes:
        columns: the features.
        dimension: number of variables.
        coefficients: their weights.
        residuals: what they leave.
        basis: the features at the training points.
        loo: leave-one-out residuals at these features.
        held_out: residuals that also account for the choice of the features, where known.
        indices: the multi-indices of products of Chebyshev polynomials; None of other features.
    """

    columns: Columns
    dimension: int
    coefficients: Float[Tensor, " p"]
    residuals: Float[Tensor, " n"]
    basis: Orthonormal
    loo: Float[Tensor, " n"]
    held_out: Float[Tensor, " n"]
    indices: Int64[Tensor, "p d"] | None = None

    @classmethod
    def of(
        cls,
        u: Points,
        z: Float[Tensor, " n"],
        columns: Columns,
        held_out: Float[Tensor, " n"] | None = None,
    ) -> "Expansion":
        """Fit z by the features; ``held_out`` defaults to the leave-one-out residuals."""
        basis = Orthonormal.of(columns(u))
        coefficients, residuals = basis.solve(z)
        loo = basis.leave_one_out(residuals, z)
        held_out = loo if held_out is None else held_out
        return cls(columns, u.shape[1], coefficients, residuals, basis, loo, held_out)

    @cached_property
    def swing(self) -> float:
        """How much larger errors are in the box than at the points."""
        return swing(self.basis, self.columns(box_points(self.dimension)))

    @cached_property
    def score(self) -> float:
        """Size of the residuals, dearer the more parameters there are and the more it swings."""
        return self.swing * self._score_at_points

    @property
    def least_score(self) -> float:
        """What the score cannot be below, known without evaluating anything in the box.

        There no root of 1 + leverage is below 1; at the points, their mean square is 1 + r / n.
        """
        return self._score_at_points / sqrt(1 + self.basis.rank / len(self.loo))

    @cached_property
    def _score_at_points(self) -> float:
        return score(self.held_out, self.basis.rank)

    @classmethod
    def chebyshev(
        cls,
        u: Points,
        z: Float[Tensor, " n"],
        indices: Int64[Tensor, "p d"],
        held_out: Float[Tensor, " n"] | None = None,
    ) -> "Expansion":
        """Fit z by products of Chebyshev polynomials."""
        expansion = cls.of(u, z, partial(chebyshev, indices=indices), held_out)
        return replace(expansion, indices=indices)

    def predict(self, u: Points) -> Float[Tensor, " n"]:
        """Evaluate at scaled points."""
        return self.columns(u) @ self.coefficients
