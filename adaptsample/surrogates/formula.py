"""A formula whose form is known and whose constants are not: they are fitted by least squares.

The text is read by the parser of `ExpressionOracle`, once, as a formula in the variables and the
parameters together. Its exact gradient has the derivatives by the parameters, which the fit needs,
beside those by the variables, which the model offers.

A formula that is linear in its parameters is solved in one step, the solution of least norm where
the data leave several. Others are fitted by the trust-region method of Branch, Coleman and Li
(1999), as SciPy has it, from several starts: the best of a hundred times as many drawn ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.shapes import Points, Values
from adaptsample.oracles.expression import ExpressionOracle
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates._rounding import FORMULA_ROUNDING
from adaptsample.surrogates.conversion import accepts_arrays

_SMALL = 1e-100  # squares of residuals in smaller units would overflow
_DRAWN = 100  # for each start that is fitted
_ROWS = 1_000_000  # of points times parameters that are evaluated to choose starts


@final
@dataclass(frozen=True)
class Formula:
    """A law whose form is known: fits the constants in ``formula('a*x + b', ('x',), ('a', 'b'))``.

    Alone among the surrogates it may be trusted outside of the data, if the law holds there.

    Args:
        text: a formula in the variables and the parameters; see `ExpressionOracle`.
        variables: names of the data's columns, in their order.
        parameters: names of the constants that are fitted.
        start: where the first fit begins, a number for each parameter; None: 1 for all. Its sizes
            are those in which further starts are drawn.
        n_starts: fits from different starts, if the formula is not linear in its parameters.

    Raises:
        ValueError: no parameter, a name twice, a start of another length, or no start at all.
        ExpressionError: a formula that cannot be used; the message shows the place in the text.
    """

    text: str
    variables: tuple[str, ...]
    parameters: tuple[str, ...]
    start: tuple[float, ...] | None = None
    n_starts: int = 10

    def __post_init__(self) -> None:
        for option in ("variables", "parameters"):
            names = getattr(self, option)
            if not isinstance(names, tuple) or not names:
                raise ValueError(f"{option} must be a tuple of names, as ('x',); got {names!r}")
        names = (*self.variables, *self.parameters)
        if len(set(names)) < len(names):
            raise ValueError(f"a name stands twice in {', '.join(names)}")
        if self.start is not None and len(self.start) != len(self.parameters):
            raise ValueError(
                f"start must have a number for each of {', '.join(self.parameters)}; "
                f"got {self.start!r}"
            )
        if self.n_starts < 1:
            raise ValueError(f"n_starts must be at least 1, got {self.n_starts}")
        _ = self.oracle  # the formula is read at once

    @cached_property
    def oracle(self) -> ExpressionOracle:
        """The formula in variables and parameters, in this order."""
        names = (*self.variables, *self.parameters)
        return ExpressionOracle(self.text, dict.fromkeys(names, (0.0, 1.0)))

    @warns_of_degenerate_data
    def fit(
        self, data: Dataset, *, generator: Generator, start: "FormulaModel | None" = None
    ) -> "FormulaModel":
        """Find the parameters of least squares.

        Args:
            data: the training set, at least one point and one output.
            generator: the only source of randomness, of the further starts.
            start: an earlier model, whose parameters are one more start.

        Raises:
            ValueError: no data, another number of columns than of variables, several outputs, or a
                formula without values at the points, whatever the start.
        """
        n, dimension = data.x.shape
        if n == 0 or dimension != len(self.variables) or data.y.shape[1] != 1:
            raise ValueError(
                f"a formula in {', '.join(self.variables)} needs points of {len(self.variables)} "
                f"coordinates and one output, got {n} points of {dimension} coordinates and "
                f"{data.y.shape[1]} outputs"
            )
        problem = _Problem(self, data, _spread(data.y))
        best, cost = None, np.inf
        for theta in self._starts(problem, generator, start):
            solved = problem.solve_linear(theta)
            if solved is not None:
                best = solved
                break
            found = problem.minimise(theta)
            if found is not None and found[1] < cost:
                best, cost = found
            if cost < n * FORMULA_ROUNDING**2:
                break
        if best is None:
            raise ValueError(
                f"{self.text!r} has no finite values at the points, from {self.n_starts} starts of "
                f"{', '.join(self.parameters)}; give a start for which it has"
            )
        theta_std, noise = problem.uncertainty(best)
        told = data.noise_std(torch.tensor([noise], dtype=torch.float64))
        return FormulaModel(self, best, theta_std, float(told))

    def _starts(
        self, problem: "_Problem", generator: Generator, before: "FormulaModel | None"
    ) -> Iterator[Float[Tensor, " p"]]:
        """Yield the parameters to start from: those given, the earlier ones, the best drawn."""
        p = len(self.parameters)
        first = torch.tensor(self.start or (1.0,) * p, dtype=torch.float64)
        yield first
        if before is not None:
            yield before.theta
        if self.n_starts == 1:
            return
        shape = (_DRAWN * (self.n_starts - 1), p)
        size = torch.where(first == 0, 1.0, first.abs())
        decades = 2 * torch.rand(shape, dtype=torch.float64, generator=generator) - 1
        normals = torch.randn(shape, dtype=torch.float64, generator=generator)
        drawn = size * 10**decades * normals
        yield from drawn[problem.costs(drawn).topk(self.n_starts - 1, largest=False).indices]


@final
@dataclass(frozen=True, eq=False)
class FormulaModel:
    """A formula with its constants.

    Attributes:
        formula: the recipe.
        theta: the parameters, in the recipe's order.
        theta_std: their standard errors, NaN where the data do not determine them.
        noise: standard deviation of the residuals; NaN with no more points than parameters.
    """

    formula: Formula
    theta: Float[Tensor, " p"]
    theta_std: Float[Tensor, " p"]
    noise: float

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return len(self.formula.variables)

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters by name."""
        return dict(zip(self.formula.parameters, self.theta.tolist(), strict=True))

    @property
    def parameters_std(self) -> dict[str, float]:
        """Standard errors of the parameters by name, as if the residuals were noise."""
        return dict(zip(self.formula.parameters, self.theta_std.tolist(), strict=True))

    @property
    def noise_std(self) -> Float[Tensor, " k"]:
        """Standard deviation of what the formula does not explain, in the units of the data."""
        return torch.tensor([self.noise], dtype=torch.float64)

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Evaluate the formula, also outside of the data; the largest number instead of infinity.

        Raises:
            ValueError: a point where the formula has no value, as the logarithm of a negative one.
        """
        values = self.formula.oracle(_joined(x, self.theta))
        if bool(torch.isnan(values).any()):
            point = x[int(torch.isnan(values).nonzero()[0, 0])].tolist()
            raise ValueError(f"{self.formula.text!r} has no value at {point}, {self.parameters}")
        largest = torch.finfo(torch.float64).max
        return values.clamp(-largest, largest)

    @accepts_arrays
    def gradient(self, x: Points) -> Float[Tensor, "n k d"]:
        """Return d y / d x at n points, exact."""
        return self.formula.oracle.gradient(_joined(x, self.theta))[:, :, : self.dimension]

    @accepts_arrays
    def parameter_gradient(self, x: Points) -> Float[Tensor, "n k p"]:
        """Return the derivatives of y at n points with respect to the parameters, exact."""
        return self.formula.oracle.gradient(_joined(x, self.theta))[:, :, self.dimension :]


@final
@dataclass(frozen=True, eq=False)
class _Problem:
    """Residuals in units of the values' spread, and their derivatives by the parameters."""

    formula: Formula
    data: Dataset
    unit: float

    def residual(self, theta: Float[Tensor, " p"]) -> Float[Tensor, " n"]:
        values = self.formula.oracle(_joined(self.data.x, theta))
        return (values / self.unit - self.data.y / self.unit)[:, 0]

    def jacobian(self, theta: Float[Tensor, " p"]) -> Float[Tensor, "n p"]:
        slopes = self.formula.oracle.gradient(_joined(self.data.x, theta))[:, 0]
        # where there is none, as of a root at 0, the step is left to the other points
        finite = torch.where(torch.isfinite(slopes), slopes, 0.0)
        return finite[:, len(self.formula.variables) :] / self.unit

    def costs(self, thetas: Float[Tensor, "m p"]) -> Float[Tensor, " m"]:
        """Return the mean squared residual of each, at some of the points if there are many."""
        some = self.data.rows(
            torch.arange(0, len(self.data), 1 + len(self.data) * len(thetas) // _ROWS)
        )
        values = self.formula.oracle(
            torch.cat(
                [some.x.repeat(len(thetas), 1), thetas.repeat_interleave(len(some), 0)], dim=1
            )
        )
        residuals = values.view(len(thetas), -1) / self.unit - some.y[:, 0] / self.unit
        return residuals.square().mean(dim=1).nan_to_num(nan=torch.inf)

    def solve_linear(self, theta: Float[Tensor, " p"]) -> Float[Tensor, " p"] | None:
        """Return the solution if the slopes are there what they are here: then it is linear."""
        here = self.jacobian(theta)
        if not bool(torch.isfinite(here).all() and torch.isfinite(self.residual(theta)).all()):
            return None
        sizes = here.abs().amax(dim=0)
        sizes = torch.where(sizes > 0, sizes, 1.0)
        for _ in range(2):  # the second takes care of rounding
            rest = self.residual(theta)
            step = torch.linalg.lstsq(here / sizes, -rest[:, None], driver="gelsd").solution
            theta = theta + step[:, 0] / sizes
            if not torch.allclose(self.jacobian(theta), here, rtol=1e-9, atol=0):
                return None
        return theta

    def minimise(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, " p"], float] | None:
        """Return the parameters and half of the sum of squares; None if there is no way."""

        def residual(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return self.residual(torch.from_numpy(values)).numpy()

        def jacobian(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return self.jacobian(torch.from_numpy(values)).numpy()

        with np.errstate(all="ignore"):  # steps into infinity are taken back
            if not np.isfinite(np.square(residual(theta.numpy())).sum()):
                return None
            try:
                found = least_squares(
                    residual,
                    theta.numpy(),
                    jac=jacobian,
                    x_scale="jac",
                    ftol=1e-12,
                    xtol=1e-12,
                    gtol=1e-15,
                    max_nfev=100,
                )
            except (ValueError, np.linalg.LinAlgError):  # derivatives that overflow
                return None
        return torch.from_numpy(found.x), float(found.cost)

    def uncertainty(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, " p"], float]:
        """Return the standard errors of the parameters, and that of the residuals."""
        n, p = len(self.data), len(theta)
        if n <= p:
            return torch.full_like(theta, torch.nan), float("nan")
        noise = float(self.residual(theta).norm()) / (n - p) ** 0.5
        slopes = self.jacobian(theta)
        sizes = slopes.norm(dim=0)
        _, singular, right = torch.linalg.svd(slopes / sizes.clamp_min(1e-300), full_matrices=False)
        determined = singular > 1e-10 * singular[0]
        if not bool(determined.all()):
            return torch.full_like(theta, torch.nan), noise * self.unit
        return noise * (right / singular[:, None]).norm(dim=0) / sizes, noise * self.unit


def _joined(x: Points, theta: Float[Tensor, " p"]) -> Float[Tensor, "n d_plus_p"]:
    """Return the points, each followed by the parameters."""
    return torch.cat([x, theta.expand(len(x), -1)], dim=1)


def _spread(y: Values) -> float:
    """Return the largest distance from the middle; where there is none, the size."""
    low, high = float(y.min()), float(y.max())
    size = high / 2 - low / 2 or max(abs(low), abs(high))
    return max(size, _SMALL)
