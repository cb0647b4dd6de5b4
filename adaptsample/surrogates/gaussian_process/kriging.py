"""The predictor of universal kriging, and how well it does without one of its points.

    leave-one-out residual = a_i / P_ii,    its variance = sigma^2 / P_ii

References:
    O. Dubrule (1983), Cross validation of kriging in a unique neighborhood.
"""

from dataclasses import dataclass
from functools import cached_property
from math import nan, sqrt
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.core.threads import one_thread
from adaptsample.metrics.calibration import calibrated_scale
from adaptsample.surrogates.chebyshev import fill_box
from adaptsample.surrogates.gaussian_process.likelihood import (
    NO_NOISE,
    Kriging,
    Solved,
    correlation,
)

_LOWEST_PRECISION = 1e-9  # in units of the inverse signal variance
_N_LANDMARKS, _NUGGET = 300, 1e-8  # of the feature map
_LOWEST_FREEDOM = 0.2  # share of the points that hyper-parameters leave over


@final
@dataclass(frozen=True, eq=False)
class Kriged:
    """The predictor at given hyper-parameters.

    Attributes:
        data: what was fitted.
        theta: log length-scales and log g.
    """

    data: Kriging
    theta: Float[Tensor, " d+1"]

    @cached_property
    def solved(self) -> Solved:
        """What prediction needs."""
        with one_thread():
            return self.data.solve(self.theta.numpy())

    @cached_property
    def loo(self) -> Float[Tensor, " n"]:
        """Leave-one-out residuals, hyper-parameters held fixed."""
        # a point that determines the trend on its own has nothing to be predicted from
        alone = self._precision < _LOWEST_PRECISION
        return torch.where(alone, self.data.z, self._weights / self._loo_precision)

    @cached_property
    def std_scale(self) -> float:
        """The factor that makes leave-one-out residuals calibrated, and a correction.

        They are too small, for theta was fitted to the same points: 1 / (1 - parameters / n).
        """
        scale = calibrated_scale(self.loo, (self.solved.variance / self._loo_precision).sqrt())
        n_parameters = len(self.theta) + 1  # sigma is the other one
        return scale / max(1 - n_parameters / len(self.loo), _LOWEST_FREEDOM)

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise; NaN if none was looked for."""
        return (
            nan if self.data.noise == NO_NOISE else sqrt(self.solved.noise * self.solved.variance)
        )

    @cached_property
    def _precision(self) -> Float[Tensor, " n"]:
        return torch.from_numpy(self.solved.precision_diagonal)

    @property
    def _loo_precision(self) -> Float[Tensor, " n"]:
        return self._precision.clamp_min(_LOWEST_PRECISION)

    @property
    def _weights(self) -> Float[Tensor, " n"]:
        return torch.from_numpy(self.solved.weights)

    def predict(self, u: Points) -> Float[Tensor, " n"]:
        """Return the posterior mean."""
        trend = self.data.design.trend(u) @ torch.from_numpy(self.solved.coefficients)
        mean: Tensor = trend + self._correlation(u) @ self._weights
        return mean

    def std(self, u: Points) -> Float[Tensor, " n"]:
        """Return the calibrated posterior standard deviation, noise left out."""
        s = self.solved
        cholesky, upper, whitened_trend = map(
            torch.from_numpy, (s.cholesky, s.upper, s.whitened_trend)
        )
        whitened = _solve_lower(cholesky, self._correlation(u).T)
        untold = self.data.design.trend(u).T - upper.triu().T @ (whitened_trend.T @ whitened)
        trend = _solve_lower(upper.T, untold)
        share = 1 - whitened.square().sum(dim=0) + trend.square().sum(dim=0)
        std: Tensor = self.std_scale * torch.sqrt(s.variance * share.clamp_min(0.0))
        return std

    def features(self, u: Points) -> Float[Tensor, "m f"]:
        """Return the trend's terms, and features with nearly the prior correlations as products."""
        r = self._correlation(self._landmarks, self._landmarks)
        whitened = _solve_lower(_factorise(r), self._correlation(u, self._landmarks).T).T
        return torch.cat([self.data.design.trend(u), whitened], dim=1)

    @cached_property
    def _landmarks(self) -> Points:
        """The training points, and points that fill the box, where correlations are exact."""
        u = self.data.design.u
        filling = fill_box(u, n=max(_N_LANDMARKS - len(u), 1))
        return torch.cat([u[:_N_LANDMARKS], filling])

    def _correlation(self, u: Points, others: Points | None = None) -> Float[Tensor, "m n"]:
        inverse_scales = torch.exp(-self.theta[:-1])
        distances = torch.cdist(
            u * inverse_scales,
            (self.data.design.u if others is None else others) * inverse_scales,
            compute_mode="donot_use_mm_for_euclid_dist",  # which cancels digits nearby
        )
        return torch.from_numpy(correlation(self.data.kernel, distances.square().numpy())[0])


def _factorise(r: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Return the Cholesky factor of R + g I, with g large enough for there to be one."""
    noise, eye = _NUGGET, torch.eye(len(r), dtype=r.dtype)
    cholesky, failed = torch.linalg.cholesky_ex(r + noise * eye)
    while failed:
        noise *= 10
        cholesky, failed = torch.linalg.cholesky_ex(r + noise * eye)
    factor: Tensor = cholesky
    return factor


def _solve_lower(lower: Float[Tensor, "n n"], b: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    solution: Tensor = torch.linalg.solve_triangular(lower, b, upper=False)
    return solution
