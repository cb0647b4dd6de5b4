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

Exact data bring an estimated g down to its floor, and where rounding spoils the Cholesky factor the
floor rises. Matrices of a hundred rows take less time than the calls that work on them: these are
LAPACK's own, on one triangle of each symmetric matrix.

References:
    T. J. Santner, B. J. Williams and W. I. Notz (2018), The Design and Analysis of Computer
        Experiments, chapter 3: the restricted likelihood and its predictor.
    C. Hvarfner, E. O. Hellsten and L. Nardi (2024), Vanilla Bayesian optimization performs great in
        high dimensions: the prior, there for the unit cube.
    R. B. Gramacy and H. K. H. Lee (2012), Cases for the nugget in modeling computer experiments.
"""

from dataclasses import dataclass
from functools import cached_property
from math import exp, log
from typing import Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int64
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dgeqrf, dorgqr, dpotrf, dpotri, dtrtrs
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates.chebyshev import Orthonormal, chebyshev

Array: TypeAlias = npt.NDArray[np.float64]
KernelName: TypeAlias = Literal["matern32", "matern52", "rbf"]

NOISE, NO_NOISE = (1e-14, 1e2), (1e-14, 1e-8)
"""Range of the ratio of noise to signal variance, and where values are taken for exact."""

_PRIOR_MEAN, _PRIOR_VARIANCE = 2**0.5 + log(2), 3.0  # of log length-scale - log(d) / 2
_LOWEST_VARIANCE = 1e-28  # of standardised values: below it is rounding


def correlation(kernel: KernelName, squares: Array) -> tuple[Array, Array]:
    """Return the correlation at squared scaled distances, and -2 times its derivative there."""
    if kernel == "rbf":
        value = np.exp(-0.5 * squares)
        return value, value
    factor = 3.0 if kernel == "matern32" else 5.0
    s = np.sqrt(factor * squares)
    decay = np.exp(-s)
    linear = (1 + s) * decay
    if kernel == "matern32":
        return linear, factor * decay
    return linear + (factor / 3) * squares * decay, (factor / 3) * linear


@final
@dataclass(frozen=True, eq=False)
class Design:
    """The points and the functions of the trend, which outputs and kernels share.

    Attributes:
        u: points, filling [-1, 1]^d.
        indices: Chebyshev multi-indices of the trend.
    """

    u: Points
    indices: Int64[Tensor, "p d"]

    @cached_property
    def basis(self) -> Orthonormal:
        """The trend's functions, those that the data can tell apart."""
        return Orthonormal.of(chebyshev(self.u, self.indices))

    @cached_property
    def above(self) -> npt.NDArray[np.intp]:
        """Where a matrix (n, n) has its entries above the diagonal: one for each pair of points."""
        n = len(self.u)
        rows, columns = np.triu_indices(n, 1)
        return rows * n + columns

    @cached_property
    def squares(self) -> Array:
        """Squared distances of each pair of points along each axis, (d, pairs)."""
        first, second = np.triu_indices(len(self.u), 1)
        u = self.u.numpy().T
        squares: Array = np.square(u[:, first] - u[:, second])
        return squares

    @cached_property
    def trend_at_points(self) -> Array:
        """The trend's functions at the points, orthonormal, (n, p)."""
        return np.asfortranarray(self.basis.q.numpy())

    @property
    def freedom(self) -> int:
        """Number of values that the trend leaves over, m."""
        return max(len(self.u) - self.basis.rank, 1)

    def trend(self, u: Points) -> Float[Tensor, "m p"]:
        """Evaluate the trend's functions f."""
        functions: Tensor = chebyshev(u, self.indices) @ self.basis.to_coefficients
        return functions


@final
@dataclass(frozen=True, eq=False)
class Kriging:
    """The data of one output, with a kernel and a trend; hyper-parameters are arguments.

    Attributes:
        design: points and trend.
        z: standardised values.
        kernel: name of the correlation function.
        noise: range of g.
    """

    design: Design
    z: Float[Tensor, " n"]
    kernel: KernelName
    noise: tuple[float, float] = NOISE

    def solve(self, theta: Array) -> "Solved":
        """Factorise at hyper-parameters theta = (log length-scales, log g)."""
        design = self.design
        r, slope = correlation(self.kernel, np.exp(-2 * theta[:-1]) @ design.squares)
        noise, cholesky = _factorise(r, design.above, len(self.z), exp(theta[-1]))
        reflections, factors, *_ = dgeqrf(_solve(cholesky, design.trend_at_points))
        whitened_trend, *_ = dorgqr(reflections, factors)
        whitened = _solve(cholesky, self.z.numpy())
        projected = whitened_trend.T @ whitened
        rest = whitened - whitened_trend @ projected
        variance = max(float(rest @ rest) / design.freedom, _LOWEST_VARIANCE)
        p = len(projected)
        return Solved(
            noise, slope, cholesky, whitened_trend, reflections[:p], projected, rest, variance
        )

    def value(self, theta: Array) -> float:
        """Return the negative log restricted posterior, up to a constant that kernels share."""
        return self._value(theta, self.solve(theta))

    def loss(self, theta: Array) -> tuple[float, Array]:
        """Return the negative log restricted posterior, and its gradient."""
        s = self.solve(theta)
        design, n = self.design, len(self.z)
        # P - a a' / sigma^2, above the diagonal
        pulled = np.column_stack([s.bent, s.weights / s.variance**0.5])
        pulled = dsyrk(-1.0, pulled, beta=1.0, c=s.inverse, lower=1).T.ravel()
        scales = np.exp(-2 * theta[:-1]) * (design.squares @ (pulled[design.above] * s.slope))
        scales += self._off(theta) / _PRIOR_VARIANCE
        return self._value(theta, s), np.append(scales, s.noise / 2 * pulled[:: n + 1].sum())

    def _value(self, theta: Array, s: "Solved") -> float:
        off = self._off(theta)
        value = float(off @ off) / (2 * _PRIOR_VARIANCE)
        value += self.design.freedom / 2 * log(s.variance)
        value += float(np.log(s.cholesky.diagonal()).sum())
        return value + float(np.log(np.abs(s.upper.diagonal())).sum())

    def _off(self, theta: Array) -> Array:
        """How far log length-scales are from the prior's mean."""
        return theta[:-1] - (_PRIOR_MEAN + log(len(theta) - 1) / 2)


@final
@dataclass(frozen=True, eq=False)
class Solved:
    """What a vector of hyper-parameters leads to.

    Attributes:
        noise: g, raised if it had to be.
        slope: -2 dR / d squares for each pair of points.
        cholesky: of K; only the lower triangle counts.
        whitened_trend: orthonormal Q of Q S = cholesky^-1 F, (n, p).
        upper: S; only the upper triangle counts.
        projected: whitened values along Q.
        rest: whitened values across Q.
        variance: sigma^2.
    """

    noise: float
    slope: Array
    cholesky: Array
    whitened_trend: Array
    upper: Array
    projected: Array
    rest: Array
    variance: float

    @cached_property
    def bent(self) -> Array:
        """The matrix B of P = K^-1 - B B'."""
        return _solve(self.cholesky, self.whitened_trend, transposed=True)

    @cached_property
    def weights(self) -> Array:
        """The vector a."""
        return _solve(self.cholesky, self.rest, transposed=True)

    @cached_property
    def inverse(self) -> Array:
        """K^-1; only the lower triangle counts."""
        inverse: Array = dpotri(self.cholesky, lower=1)[0]
        return inverse

    @property
    def precision_diagonal(self) -> Array:
        """Diagonal of P."""
        diagonal: Array = self.inverse.diagonal() - np.square(self.bent).sum(axis=1)
        return diagonal

    @property
    def coefficients(self) -> Array:
        """The coefficients beta of the trend's functions."""
        coefficients: Array = dtrtrs(self.upper, self.projected)[0]
        return coefficients


def _factorise(r: Array, above: npt.NDArray[np.intp], n: int, noise: float) -> tuple[float, Array]:
    """Return the Cholesky factor of R + g I, with g large enough for there to be one.

    Args:
        r: correlation of each pair of points.
        above: where pairs stand above the diagonal.
        n: number of points.
        noise: g to begin with.
    """
    while True:
        k = np.zeros(n * n)
        k[above] = r
        k[:: n + 1] = 1 + noise
        # rows are columns to LAPACK, and what is above the diagonal is below it
        cholesky, failed = dpotrf(k.reshape(n, n).T, lower=1, clean=0, overwrite_a=1)
        if not failed:
            return noise, cholesky
        noise *= 10


def _solve(lower: Array, b: Array, *, transposed: bool = False) -> Array:
    solution: Array = dtrtrs(lower, b, lower=1, trans=int(transposed))[0]
    return solution
