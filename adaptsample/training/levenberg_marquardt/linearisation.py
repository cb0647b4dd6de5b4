"""What a least-squares fit tells about itself, all from one decomposition of its last Jacobian.

Near its minimum the fit is taken for a ridge regression: residuals linear in theta, and a Gaussian
prior of precision d (in units of the noise precision) on each parameter. With J diag(d)^(-1/2) =
U S V^T, theta has the covariance, in units of the noise variance,

    (J^T J + diag(d))^-1 = F F^T,   F = diag(d)^(-1/2) (I - V diag(1 - 1 / sqrt(1 + s^2)) V^T),

and the row i of the data has the leverage h_i = sum_j U_ij^2 s_j^2 / (1 + s_j^2). The residual that
it would have, had it been left out, is r_i / (1 - h_i), exact in a linear model. Where a network
passes through its data r is hardly more than what training left undone. So the r of the linear
model's own solution is taken, -K^-1 (J theta - r) with K = 1 + J diag(d)^-1 J^T.

Squaring the condition number of J is avoided throughout; where 1 - h_i is needed it is summed, not
subtracted.

References:
    R. D. Cook and S. Weisberg (1982), Residuals and influence in regression, chapter 2.
    D. J. C. MacKay (1992), A practical Bayesian framework for backpropagation networks.
"""

from dataclasses import dataclass
from math import log, pi
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Tensor


@final
@dataclass(frozen=True, eq=False)
class Linearisation:
    """A least-squares fit, linearised at its solution.

    Attributes:
        residuals: r (m,), weighted.
        leverages: h (m,), from 0, for a row that has no say, to 1, for one that is obeyed.
        loo_residuals: residuals (m,) of the rows of the linear model, each left out in turn.
        n_effective: sum of the leverages; the number of parameters that the data determine.
        noise_variance: |r|^2 / (m - n_effective), m being the number of observed rows.
        scale: d^(-1/2) (P,).
        directions: V^T (q, P), q = min(m, P).
        singular_values: s (q,).
    """

    residuals: Float[Tensor, " m"]
    leverages: Float[Tensor, " m"]
    loo_residuals: Float[Tensor, " m"]
    n_effective: float
    noise_variance: float
    scale: Float[Tensor, " P"]
    directions: Float[Tensor, "q P"]
    singular_values: Float[Tensor, " q"]

    @classmethod
    def of(
        cls,
        residuals: Float[Tensor, " m"],
        jacobian: Float[Tensor, "m P"],
        theta: Float[Tensor, " P"],
        precision: Float[Tensor, " P"],
        n_observed: int,
    ) -> Self:
        """Linearise.

        Args:
            residuals: at the solution.
            jacobian: at the solution.
            theta: the solution.
            precision: of the prior, in units of the noise precision. Where it is 0 it is taken for
                1e-12 of the largest eigenvalue of J^T J: without any prior a fit with more
                parameters than rows would know nothing for certain.
            n_observed: number of rows that were observed; the others are zero.
        """
        floor = max(1e-12 * float(torch.linalg.matrix_norm(jacobian, 2)) ** 2, 1e-300)
        scale = torch.where(precision > 0, precision, floor).rsqrt()
        u, s, vt = torch.linalg.svd(jacobian * scale, full_matrices=False)
        free = 1 / (1 + s * s)
        explained = jacobian @ theta - residuals
        inside = u.T @ explained
        missed = (u * u) @ free  # of a row, within the range of J
        left = u @ (free * inside)
        if len(jacobian) > len(s):
            missed += (1 - (u * u).sum(dim=1)).clamp(min=0)
            left += explained - u @ inside
        n_effective = float((1 - free).sum())
        n_left = max(n_observed - len(s) + float(free.sum()), 1e-300)
        return cls(
            residuals,
            1 - missed,
            -left / missed.clamp(min=1e-300),
            n_effective,
            float(residuals.square().sum()) / n_left,
            scale,
            vt,
            s,
        )

    def std(self, jacobian: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """Return the standard deviation of linear functions of theta, in units of the noise's.

        Args:
            jacobian: the functions' derivatives, e.g. of predictions at other points.
        """
        shrink = 1 - (1 + self.singular_values.square()).rsqrt()
        whitened = jacobian * self.scale
        whitened = whitened - (whitened @ self.directions.T * shrink) @ self.directions
        return whitened.square().sum(dim=-1).sqrt()

    def log_evidence(self, theta: Float[Tensor, " P"], noise_precision: float) -> float:
        """Return the log probability of the data under this prior and noise."""
        misfit = float(self.residuals.square().sum() + (theta / self.scale).square().sum())
        return 0.5 * (
            len(self.residuals) * log(noise_precision / (2 * pi))
            - noise_precision * misfit
            - float((self.singular_values.square()).log1p().sum())
        )
