"""Universal kriging of one output: a polynomial trend plus a Gaussian process.

    z(u) = f(u)' beta + sigma (Z(u) + sqrt(g) noise),    Cov Z = R,    K = R + g I

The correlation R has one length-scale per axis; g is the ratio of noise to signal variance. A flat
prior on beta integrates the trend out, and sigma follows in closed form, so the restricted
likelihood is a function of the log length-scales and log g alone. A wide prior on length-scales, in
proportion to sqrt(d), decides where the likelihood does not: few noisy values are as likely to be
the exact values of a function with tiny length-scales. With the precision
P = K^-1 - K^-1 F (F' K^-1 F)^-1 F' K^-1, a = P z and m = n - p,

    -log L  = m / 2 log(z' a / m) + 1/2 log|K| + 1/2 log|F' K^-1 F|
    gradient = 1/2 tr((P - a a' m / z' a) dK)
    leave-one-out residual = a_i / P_ii,    its variance = sigma^2 / P_ii

Exact data bring an estimated g down to its floor, and where rounding spoils the Cholesky factor the
floor rises.

References:
    T. J. Santner, B. J. Williams and W. I. Notz (2018), The Design and Analysis of Computer
        Experiments, chapter 3: the restricted likelihood and its predictor.
    O. Dubrule (1983), Cross validation of kriging in a unique neighborhood: leave-one-out.
    C. Hvarfner, E. O. Hellsten and L. Nardi (2024), Vanilla Bayesian optimization performs great in
        high dimensions: the prior, there for the unit cube.
    R. B. Gramacy and H. K. H. Lee (2012), Cases for the nugget in modeling computer experiments.
"""

from dataclasses import dataclass
from functools import cached_property
from math import log, nan, sqrt
from typing import Literal, NamedTuple, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from scipy.optimize import minimize
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.metrics.calibration import calibrated_scale
from adaptsample.surrogates.chebyshev import Orthonormal, chebyshev, fill_box

KernelName: TypeAlias = Literal["matern32", "matern52", "rbf"]

SCALES = (1e-2, 1e3)
"""Range of the length-scales; the data fill [-1, 1]^d."""

NOISE, NO_NOISE = (1e-14, 1e2), (1e-14, 1e-8)
"""Range of the ratio of noise to signal variance, and where values are taken for exact."""

_START_SCALES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)  # times sqrt(d), the cube's size
_START_NOISES = (1e-10, 1e-2, 1.0)  # kept within the range
_PRIOR_MEAN, _PRIOR_VARIANCE = 2**0.5 + log(2), 3.0  # of log length-scale - log(d) / 2
_LOWEST_VARIANCE = 1e-28  # of standardised values: below it is rounding
_LOWEST_PRECISION = 1e-9  # in units of the inverse signal variance
_N_LANDMARKS, _NUGGET = 300, 1e-8  # of the feature map
_LOWEST_FREEDOM = 0.2  # share of the points that hyper-parameters leave over


def correlation(
    kernel: KernelName, squares: Float[Tensor, "..."]
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Return the correlation at squared scaled distances, and -2 times its derivative there."""
    if kernel == "rbf":
        value = torch.exp(-squares / 2)
        return value, value
    if kernel == "matern32":
        s = torch.sqrt(3 * squares)
        decay = torch.exp(-s)
        return (1 + s) * decay, 3 * decay
    s = torch.sqrt(5 * squares)
    decay = torch.exp(-s)
    return (1 + s + s.square() / 3) * decay, 5 / 3 * (1 + s) * decay


class _Solved(NamedTuple):
    """What a vector of hyper-parameters leads to."""

    noise: float  # g, raised if it had to be
    slope: Float[Tensor, "n n"]  # -2 dR / d squares
    cholesky: Float[Tensor, "n n"]  # of K
    whitened_trend: Float[Tensor, "n p"]  # Q of Q S = cholesky^-1 F
    upper: Float[Tensor, "p p"]  # S
    precision: Float[Tensor, "n n"]  # P
    weights: Float[Tensor, " n"]  # a
    coefficients: Float[Tensor, " p"]  # beta
    variance: float  # sigma^2


@final
@dataclass(frozen=True, eq=False)
class Kriging:
    """The data of one output, with a kernel and a trend; hyper-parameters are arguments.

    Attributes:
        u: points, filling [-1, 1]^d.
        z: standardised values.
        indices: Chebyshev multi-indices of the trend.
        kernel: name of the correlation function.
        noise: range of g.
    """

    u: Points
    z: Float[Tensor, " n"]
    indices: Int64[Tensor, "p d"]
    kernel: KernelName
    noise: tuple[float, float] = NOISE

    @cached_property
    def basis(self) -> Orthonormal:
        """The trend's functions, those that the data can tell apart."""
        return Orthonormal.of(chebyshev(self.u, self.indices))

    @cached_property
    def squares(self) -> Float[Tensor, "d n*n"]:
        """Squared distances along each axis."""
        differences = self.u[:, None, :] - self.u[None, :, :]
        return differences.square().permute(2, 0, 1).reshape(self.u.shape[1], -1)

    @property
    def freedom(self) -> int:
        """Number of values that the trend leaves over, m."""
        return max(len(self.z) - self.basis.rank, 1)

    def trend(self, u: Points) -> Float[Tensor, "m p"]:
        """Evaluate the trend's functions f."""
        functions: Tensor = chebyshev(u, self.indices) @ self.basis.to_coefficients
        return functions

    def solve(self, theta: Float[Tensor, " d+1"]) -> _Solved:
        """Factorise at hyper-parameters theta = (log length-scales, log g)."""
        n = len(self.z)
        weights = torch.exp(-2 * theta[:-1])
        r, slope = correlation(self.kernel, (weights @ self.squares).view(n, n))
        noise, cholesky = _factorise(r, float(theta[-1].exp()))
        whitened_trend, upper = torch.linalg.qr(_solve_lower(cholesky, self.basis.q))
        whitened = _solve_lower(cholesky, self.z[:, None])
        projected = whitened_trend.T @ whitened
        rest = whitened - whitened_trend @ projected
        bent = torch.linalg.solve_triangular(cholesky.T, whitened_trend, upper=True)
        return _Solved(
            noise,
            slope,
            cholesky,
            whitened_trend,
            upper,
            precision=torch.cholesky_inverse(cholesky) - bent @ bent.T,
            weights=torch.linalg.solve_triangular(cholesky.T, rest, upper=True)[:, 0],
            coefficients=torch.linalg.solve_triangular(upper, projected, upper=True)[:, 0],
            variance=max(float(rest.square().sum()) / self.freedom, _LOWEST_VARIANCE),
        )

    def loss(self, theta: Float[Tensor, " d+1"]) -> tuple[float, Float[Tensor, " d+1"]]:
        """Return the negative log restricted posterior, up to a constant, and its gradient."""
        s = self.solve(theta)
        off = theta[:-1] - _PRIOR_MEAN - log(self.u.shape[1]) / 2
        value = float(off.square().sum()) / (2 * _PRIOR_VARIANCE)
        value += self.freedom / 2 * log(s.variance)
        value += float(s.cholesky.diagonal().log().sum() + s.upper.diagonal().abs().log().sum())
        m = (s.precision - torch.outer(s.weights, s.weights) / s.variance) / 2
        scales = torch.exp(-2 * theta[:-1]) * (self.squares @ (m * s.slope).reshape(-1))
        scales += off / _PRIOR_VARIANCE
        return value, torch.cat([scales, s.noise * m.diagonal().sum()[None]])

    def fitted(self, n_starts: int, start: Float[Tensor, " d+1"] | None) -> "Kriged":
        """Maximise the likelihood by L-BFGS-B from the best of isotropic starts.

        Rough and noisy explanations of the same data are different maxima: each level of noise has
        starts of its own.

        Args:
            n_starts: number of climbs for each level of noise.
            start: hyper-parameters that are one more start.
        """
        d = self.u.shape[1]
        chosen = [] if start is None else [start]
        for noise in sorted({min(noise, self.noise[1]) for noise in _START_NOISES}):
            starts = [
                torch.tensor([scale * d**0.5] * d + [noise], dtype=self.u.dtype).log()
                for scale in _START_SCALES
            ]
            starts.sort(key=lambda theta: self.loss(theta)[0])
            chosen += starts[:n_starts]
        climbs = [self._climb(theta) for theta in chosen]
        return min(climbs, key=lambda climb: climb.loss)

    def _climb(self, start: Float[Tensor, " d+1"]) -> "Kriged":
        def loss(theta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            value, gradient = self.loss(torch.from_numpy(theta))
            return value, gradient.numpy()

        ranges = [SCALES] * self.u.shape[1] + [self.noise]
        bounds = [(log(low), log(high)) for low, high in ranges]
        found = minimize(loss, start.numpy(), jac=True, method="L-BFGS-B", bounds=bounds)
        return Kriged(self, torch.from_numpy(found.x))


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
    def solved(self) -> _Solved:
        """What prediction needs."""
        return self.data.solve(self.theta)

    @cached_property
    def loss(self) -> float:
        """Negative log posterior, up to a constant that all kernels share."""
        return self.data.loss(self.theta)[0]

    @cached_property
    def loo(self) -> Float[Tensor, " n"]:
        """Leave-one-out residuals, hyper-parameters held fixed."""
        precision = self.solved.precision.diagonal()
        # a point that determines the trend on its own has nothing to be predicted from
        alone = precision < _LOWEST_PRECISION
        return torch.where(alone, self.data.z, self.solved.weights / self._loo_precision)

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

    @property
    def _loo_precision(self) -> Float[Tensor, " n"]:
        return self.solved.precision.diagonal().clamp_min(_LOWEST_PRECISION)

    def predict(self, u: Points) -> Float[Tensor, " n"]:
        """Return the posterior mean."""
        r = self._correlation(u)
        mean: Tensor = self.data.trend(u) @ self.solved.coefficients + r @ self.solved.weights
        return mean

    def std(self, u: Points) -> Float[Tensor, " n"]:
        """Return the calibrated posterior standard deviation, noise left out."""
        s = self.solved
        whitened = _solve_lower(s.cholesky, self._correlation(u).T)
        untold = self.data.trend(u).T - s.upper.T @ (s.whitened_trend.T @ whitened)
        trend = _solve_lower(s.upper.T, untold)
        share = 1 - whitened.square().sum(dim=0) + trend.square().sum(dim=0)
        std: Tensor = self.std_scale * torch.sqrt(s.variance * share.clamp_min(0.0))
        return std

    def features(self, u: Points) -> Float[Tensor, "m f"]:
        """Return the trend's terms, and features with nearly the prior correlations as products."""
        cholesky = _factorise(self._correlation(self._landmarks, self._landmarks), _NUGGET)[1]
        whitened = _solve_lower(cholesky, self._correlation(u, self._landmarks).T).T
        return torch.cat([self.data.trend(u), whitened], dim=1)

    @cached_property
    def _landmarks(self) -> Points:
        """The training points, and points that fill the box, where correlations are exact."""
        u = self.data.u[:_N_LANDMARKS]
        return torch.cat([u, fill_box(self.data.u, n=max(_N_LANDMARKS - len(u), 1))])

    def _correlation(self, u: Points, others: Points | None = None) -> Float[Tensor, "m n"]:
        inverse_scales = torch.exp(-self.theta[:-1])
        distances = torch.cdist(
            u * inverse_scales,
            (self.data.u if others is None else others) * inverse_scales,
            compute_mode="donot_use_mm_for_euclid_dist",  # which cancels digits nearby
        )
        return correlation(self.data.kernel, distances.square())[0]


def _factorise(r: Float[Tensor, "n n"], noise: float) -> tuple[float, Float[Tensor, "n n"]]:
    """Return the Cholesky factor of R + g I, with g large enough for there to be one."""
    eye = torch.eye(len(r), dtype=r.dtype)
    cholesky, failed = torch.linalg.cholesky_ex(r + noise * eye)
    while failed:
        noise *= 10
        cholesky, failed = torch.linalg.cholesky_ex(r + noise * eye)
    return noise, cholesky


def _solve_lower(lower: Float[Tensor, "n n"], b: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    solution: Tensor = torch.linalg.solve_triangular(lower, b, upper=False)
    return solution
