"""Leave-one-out errors of least squares in bases that grow, by what is new in each.

Hundreds of bases are compared before one is used, and most of them contain one that was just tried.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.work import Work
from adaptsample.surrogates.chebyshev import leave_one_out, score

DEPENDENT = 1e-10
"""Columns of which less than this share is new add nothing."""


@final
@dataclass(frozen=True, eq=False)
class Growing:
    """A least-squares fit, known by its errors alone.

    Attributes:
        z: the values.
        q: orthonormal columns.
        rest: residuals.
        freedom: one minus the leverage of each point.
        work: where arithmetic is counted.
    """

    z: Float[Tensor, " n"]
    q: Float[Tensor, "n r"]
    rest: Float[Tensor, " n"]
    freedom: Float[Tensor, " n"]
    work: Work

    @classmethod
    def nothing(cls, z: Float[Tensor, " n"], work: Work) -> Self:
        """Return the fit without columns."""
        return cls(z, z.new_zeros(len(z), 0), z, torch.ones_like(z), work)

    def extended(self, columns: Float[Tensor, "n k"]) -> "Growing":
        """Add columns."""
        n, k = columns.shape
        self.work.count(n * k * (8.0 * self.q.shape[1] + 10.0 * k))
        new = columns
        for _ in range(2):  # twice is enough (Kahan)
            new = new - self.q @ (self.q.T @ new)
        left, triangle = torch.linalg.qr(new)
        if k > n or bool((triangle.diagonal().abs() < DEPENDENT * n**0.5).any()):
            left, singular, _ = torch.linalg.svd(new, full_matrices=False)
            left = left[:, singular > DEPENDENT * n**0.5]
        rest = self.rest - left @ (left.T @ self.rest)
        freedom = self.freedom - left.square().sum(dim=1)
        return Growing(self.z, torch.cat([self.q, left], dim=1), rest, freedom, self.work)

    @cached_property
    def loo(self) -> Float[Tensor, " n"]:
        """Leave-one-out residuals, at fixed columns."""
        return leave_one_out(self.rest, self.freedom, self.z)

    @cached_property
    def score(self) -> float:
        """Their size, dearer the more parameters there are."""
        return score(self.loo, self.q.shape[1])
