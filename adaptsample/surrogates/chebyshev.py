"""Chebyshev bases on the bounding box of the data.

A basis is a set of multi-indices i; its functions are products of Chebyshev polynomials
T_{i_1}(u_1) ... T_{i_d}(u_d) of the scaled coordinates u in [-1, 1]^d. Two rules turn one degree
per axis into a set: the *total degree* rule, sum_j i_j / degree_j <= 1, for functions whose
variables mix freely, and the *hyperbolic cross*, sum_j log(i_j + 1) / log(degree_j + 1) <= 1, for
functions whose high orders live on few axes at a time.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from math import log
from typing import Literal, Self, TypeAlias, final

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.quasirandom import SobolEngine

from adaptsample.core.scaling import spread_of
from adaptsample.core.shapes import Points, Values

Rule: TypeAlias = Literal["total", "hyperbolic"]
RULES: tuple[Rule, ...] = ("total", "hyperbolic")
Degrees: TypeAlias = tuple[int, ...]

RANK, DEPENDENT = 1e-13, 1e-11
"""Of singular values, and of what is left of a column beside others: below is rounding."""

REACH = 1.5
"""Scaled coordinates are limited to this: polynomials are constant beyond, hence finite."""


@final
@dataclass(frozen=True, eq=False)
class InputScale:
    """The affine map of the data's bounding box onto [-1, 1]^d."""

    centre: Float[Tensor, " d"]
    half_width: Float[Tensor, " d"]

    @classmethod
    def of(cls, x: Points) -> Self:
        """Return the scale of a dataset's points; an axis without extent keeps its unit."""
        low, high = x.amin(dim=0) / 2, x.amax(dim=0) / 2
        return cls(low + high, torch.where(high > low, high - low, 1.0))

    @classmethod
    def about_zero(cls, x: Points) -> Self:
        """Return the scale whose centre is 0 on axes whose data may be from all around it.

        An even or odd function is sparse in polynomials about its own centre only, and that is 0
        far more often than the middle of some random points. Their box is smaller than its domain
        by about the width of the gaps between them.
        """
        scale = cls.of(x)
        is_near = scale.centre.abs() * len(x) <= 2 * scale.half_width
        centre = torch.where(is_near, 0.0, scale.centre)
        return cls(centre, scale.half_width + (scale.centre - centre).abs())

    def __call__(self, x: Points) -> Points:
        """Scale points."""
        u = (x - self.centre) / self.half_width
        return torch.nan_to_num(u).clamp(-REACH, REACH)


@final
@dataclass(frozen=True, eq=False)
class OutputScale:
    """The affine map that gives the data mean 0 and standard deviation 1."""

    location: Float[Tensor, " k"]
    spread: Float[Tensor, " k"]

    @classmethod
    def of(cls, y: Values) -> Self:
        """Return the scale of a dataset's values; a constant output keeps its unit."""
        largest = y.abs().amax(dim=0).clamp_min(torch.finfo(y.dtype).tiny)
        location = (y / largest).mean(dim=0) * largest  # the sum of the values may overflow
        return cls(location, spread_of(y))

    def forward(self, y: Values) -> Values:
        """Standardise values."""
        return (y - self.location) / self.spread

    def inverse(self, z: Values) -> Values:
        """Return standardised values to the units of the data; never infinite."""
        return torch.nan_to_num(self.location + z * self.spread)

    def inverse_std(self, std: Values) -> Values:
        """Return standard deviations of standardised values in the units of the data."""
        return torch.nan_to_num(std * self.spread)


@lru_cache(maxsize=4096)
def multi_indices(rule: Rule, degrees: Degrees, limit: int) -> Int64[Tensor, "p d"] | None:
    """Return the multi-indices of a rule, or None if there are more than ``limit``.

    The lowest come first: of terms that coincide at the points, `Orthonormal` keeps the first.

    Args:
        rule: "total" or "hyperbolic".
        degrees: the highest degree on each axis; 0 leaves the axis out.
        limit: the largest useful number of basis functions.
    """
    found, room = np.zeros((1, len(degrees)), dtype=np.int64), np.ones(1)
    for axis, degree in enumerate(degrees):
        costs = _costs(rule, degree)
        begun, exponents = (costs <= room[:, None] + 1e-9).nonzero()
        if len(begun) > limit:  # all that is begun can be ended, by zeros
            return None
        found, room = found[begun], room[begun] - costs[exponents]
        found[:, axis] = exponents
    # by total degree, then by the number of variables that take part
    order = np.lexsort(((found > 0).sum(axis=1), found.sum(axis=1)))
    return torch.from_numpy(found[order])


@cache
def _costs(rule: Rule, degree: int) -> Float[np.ndarray, " k"]:
    """Return what exponents 0 ... degree on an axis take of the room that a term has."""
    top = max(degree, 1)
    shares = (i / top if rule == "total" else log(i + 1) / log(top + 1) for i in range(degree + 1))
    return np.array([*shares])


def chebyshev(u: Points, indices: Int64[Tensor, "p d"]) -> Float[Tensor, "n p"]:
    """Evaluate the basis functions ``indices`` at scaled points."""
    return products(axis_polynomials(u, int(indices.max())), indices)


def axis_polynomials(u: Points, degree: int) -> Float[Tensor, "n d k"]:
    """Evaluate T_0 ... T_degree of each scaled coordinate."""
    polynomials: Tensor = torch.special.chebyshev_polynomial_t(
        u[..., None], torch.arange(degree + 1)
    )
    return polynomials


def products(
    polynomials: Float[Tensor, "n d k"], indices: Int64[Tensor, "p d"]
) -> Float[Tensor, "n p"]:
    """Multiply `axis_polynomials` of the degrees ``indices``."""
    # of many variables few take part in a product: these first, and the rest is factors of 1
    n_factors = max(int((indices > 0).sum(dim=1).max()), 1)
    axes = (indices > 0).sort(dim=1, descending=True, stable=True).indices[:, :n_factors]
    factors = axes * polynomials.shape[2] + indices.gather(1, axes)
    flat = polynomials.flatten(1)
    columns: Tensor = flat[:, factors[:, 0]]
    for k in range(1, n_factors):
        columns = columns * flat[:, factors[:, k]]
    return columns


@final
@dataclass(frozen=True, eq=False)
class Orthonormal:
    """Columns of features at the training points, in orthonormal coordinates.

    Where the points cannot tell the features apart, those that come first are kept, which should be
    the lowest: on five levels of a variable its fifth power is a combination of lower ones. Then a
    singular value decomposition drops directions in which rounding is all that is left. So levels,
    collinear or too few points need no care elsewhere.

    Attributes:
        q: orthonormal columns, (n, r) with r the numerical rank.
        to_coefficients: (p, r), from coordinates to coefficients of the features.
        from_coefficients: (r, p), the way back.
    """

    q: Float[Tensor, "n r"]
    to_coefficients: Float[Tensor, "p r"]
    from_coefficients: Float[Tensor, "r p"]

    @classmethod
    def of(cls, columns: Float[Tensor, "n p"]) -> Self:
        """Orthonormalise features."""
        left, singular, right = torch.linalg.svd(columns, full_matrices=False)
        keep = singular > RANK * singular[0]
        if not keep.all() or len(columns.T) > len(columns):
            first = _first_independent(columns)
            if len(first) < len(columns.T):
                return cls._of_first(columns, first)
        left, singular, right = left[:, keep], singular[keep], right[keep]
        return cls(left, right.T / singular, singular[:, None] * right)

    @classmethod
    def _of_first(cls, columns: Float[Tensor, "n p"], first: Int64[Tensor, " k"]) -> Self:
        """Orthonormalise some features, of which the others are combinations at the points."""
        basis = cls.of(columns[:, first])
        to_coefficients = columns.new_zeros(columns.shape[1], basis.rank)
        to_coefficients[first] = basis.to_coefficients
        return cls(basis.q, to_coefficients, basis.q.T @ columns)

    @property
    def rank(self) -> int:
        """Effective number of parameters."""
        return self.q.shape[1]

    def solve(self, y: Float[Tensor, " n"]) -> tuple[Float[Tensor, " p"], Float[Tensor, " n"]]:
        """Return least-squares coefficients and residuals, refined once against rounding."""
        first = self.q.T @ y
        rest = y - self.q @ first
        second = self.q.T @ rest
        return self.to_coefficients @ (first + second), rest - self.q @ second

    def leave_one_out(
        self, residuals: Float[Tensor, " n"], y: Float[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Turn residuals of the least-squares fit into those of the n fits without one point."""
        return leave_one_out(residuals, 1 - self.q.square().sum(dim=1), y)

    def variance(
        self, columns: Float[Tensor, "m p"], loo: Float[Tensor, " n"]
    ) -> Float[Tensor, " m"]:
        """Return the squared error to expect at other points, on average the leave-one-out one."""
        leverage = (columns @ self.to_coefficients).square().sum(dim=1)
        return loo.square().mean() * (1 + leverage) / (1 + self.rank / len(loo))


def _first_independent(columns: Float[Tensor, "n p"]) -> Int64[Tensor, " k"]:
    """Return the positions of columns that are no combination of those before them."""
    n, p = columns.shape
    q, first = columns.new_zeros(n, min(n, p)), list[int]()
    for k, column in enumerate(columns.T):
        rest = column
        for _ in range(2):  # twice is enough (Kahan)
            rest = rest - q[:, : len(first)] @ (q[:, : len(first)].T @ rest)
        if len(first) < n and float(rest.norm()) > DEPENDENT * float(column.norm()):
            q[:, len(first)] = rest / rest.norm()
            first.append(k)
    return torch.tensor(first, dtype=torch.int64)


def leave_one_out(
    residuals: Float[Tensor, " n"], freedom: Float[Tensor, " n"], y: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Turn residuals of a least-squares fit into those of the n fits without one point.

    A point that determines a parameter on its own has nothing to be predicted from; its residual is
    then its value.

    Args:
        residuals: those of the fit to all points.
        freedom: one minus the leverage of each point.
        y: the values.
    """
    return torch.where(freedom > 1e-9, residuals / freedom.clamp_min(1e-9), y)


def score(loo: Float[Tensor, " n"], n_parameters: int) -> float:
    """Return the root mean square leave-one-out residual, dearer the more is fitted to n points.

    The factor 1 / (1 - p / n) makes up for the optimism of choosing the basis by the same score.
    """
    return float(loo.square().mean().sqrt()) / max(1 - n_parameters / len(loo), 1e-3)


def swing(basis: Orthonormal, elsewhere: Float[Tensor, "m p"]) -> float:
    """Return how much larger errors are in the box than at the points.

    Large bases swing between the points and beyond them, in corners above all, where no residual
    can tell; the leverage does. The mean root of 1 + leverage is compared with that at the points.

    Args:
        basis: the features at the points.
        elsewhere: the features at `box_points`.
    """
    leverage = (elsewhere @ basis.to_coefficients).square().sum(dim=1)
    at_points = (1 + basis.q.square().sum(dim=1)).sqrt()
    return float((1 + leverage).sqrt().mean() / at_points.mean())


def fill_box(x: Points, n: int = 256) -> Points:
    """Return points that fill the bounding box of x evenly."""
    scale = InputScale.of(x)
    return scale.centre + scale.half_width * box_points(x.shape[1], n)


@lru_cache
def box_points(dimension: int, n: int = 256) -> Points:
    """Return points that fill [-1, 1]^d evenly."""
    engine = SobolEngine(dimension)  # type: ignore[no-untyped-call]  # torch ships it untyped
    unit: Tensor = engine.draw(n + 1, dtype=torch.float64)[1:]  # the first is a corner
    return 2 * unit - 1
