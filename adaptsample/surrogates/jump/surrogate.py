"""Surrogates of functions that jump.

The model is y = a(x) + b(x) 1[phi(x) > 0] with polynomials a, b and phi. Once every point is
labelled with its side, a and b follow from linear least squares and are often exact to many digits;
phi is any polynomial that separates the labels, and how much the admissible ones disagree is how
uncertain the side of a point is. So a fit has three steps: labels, sides, boundary. Which labels
are right shows in the sides: wrong ones cannot be fitted.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import TypeAlias, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.shapes import Points, Values
from adaptsample.core.work import Work
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates.chebyshev import InputScale, OutputScale
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.jump.fitted import FittedJump, Smooth
from adaptsample.surrogates.jump.search import Search
from adaptsample.surrogates.jump.task import Task
from adaptsample.surrogates.outside import with_doubt_outside

MIN_POINTS = 12
"""Fewer points than this show no jump."""

CLEARLY = 0.8
"""A jump must lower the cross-validated error of the plain polynomial by this factor."""

Fitted: TypeAlias = FittedJump | Smooth


@final
@dataclass(frozen=True)
class Jump:
    """A polynomial on each side of a polynomial boundary; a plain polynomial if that is as good.

    Args:
        max_share: the largest number of coefficients of the sides per point.
        bound: mean absolute error, in units of the output's spread, above which a jump is of no
            use: the search for it ends as soon as it cannot be below. It must be clearly better
            than a plain polynomial in any case, and None asks for no more.
        operations: no stage of the search begins after so many modelled operations; a billion take
            about a second.
    """

    max_share: float = 0.6
    bound: float | None = None
    operations: float = 1e10

    def bounded(self, bound: float) -> "Jump":
        """Return the recipe that gives up where its error cannot be below a bound, in spreads."""
        return replace(self, bound=None if bound == inf else bound)

    @warns_of_degenerate_data
    def fit(
        self, data: Dataset, *, generator: Generator, start: "JumpModel | None" = None
    ) -> "JumpModel":
        """Fit each output on its own.

        The jump of ``start`` is refitted; a new one replaces it only where that lowers the score
        without a boundary of higher degree. No finite data is refused.
        """
        inputs, outputs = InputScale.of(data.x), OutputScale.of(data.y)
        u, z = inputs(data.x), outputs.forward(data.y)
        n_outputs = z.shape[1]
        solutions: list[Fitted] = []
        for k in range(n_outputs):
            smooth = Smooth.of(u, z[:, k], generator=generator)
            bound = CLEARLY * smooth.error
            if self.bound is not None:
                bound = min(bound, self.bound)
            jump = None
            if len(z) >= MIN_POINTS and not smooth.is_exact:
                limit, work = (
                    max(2, int(self.max_share * len(z))),
                    Work(self.operations / n_outputs),
                )
                task = Task.of(u, z[:, k], limit=limit, bound=bound, work=work)
                before = [] if start is None else start.labels(data, k)
                jump = Search(task, generator).run(before)
            solutions.append(jump if jump is not None and jump.error < bound else smooth)
        return JumpModel(inputs, outputs, data, tuple(solutions))


@final
@dataclass(frozen=True, eq=False)
class JumpModel:
    """A jump, or a polynomial without one, for each output."""

    inputs: InputScale
    outputs: OutputScale
    data: Dataset
    solutions: tuple[Fitted, ...]

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return len(self.inputs.centre)

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Effective number of parameters of each output, those of the boundary included."""
        return tuple(solution.n_parameters for solution in self.solutions)

    @property
    def has_jump(self) -> tuple[bool, ...]:
        """Whether a jump was found in each output."""
        return tuple(isinstance(solution, FittedJump) for solution in self.solutions)

    @property
    def is_refitted(self) -> tuple[bool, ...]:
        """Whether held-out residuals are of fits that did not know the points, for each output.

        Those of a polynomial, where no jump was found, are not: all points chose its basis.
        """
        return self.has_jump

    def labels(self, data: Dataset, k: int) -> list[Tensor]:
        """Return labels of other points, (n,) bool: by the boundary, and by the side that fits."""
        solution = self.solutions[k]
        if isinstance(solution, Smooth):
            return []
        u, z = self.inputs(data.x), self.outputs.forward(data.y)[:, k]
        below, height = solution.sides.below(u), solution.sides.height(u)
        fits_above = (z - below - height).abs() < (z - below).abs()
        return [fits_above, solution.boundary.side(u) > 0]

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Value minus the prediction without the point: sides and boundary refitted in 20 folds.

        Where boundaries disagree about the side of the point it is the mean over all of them. If
        they disagree more over the whole box than at the points, all residuals grow by as much.
        """
        del generator  # known from the fit
        residuals = torch.stack([s.held_out for s in self.solutions], dim=1)
        return self.data.by_row(residuals * self.outputs.spread)

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Evaluate with the mean of the boundaries."""
        u = self.inputs(x)
        return self.outputs.inverse(torch.stack([s.predict(u) for s in self.solutions], dim=1))

    @accepts_arrays
    def committee(self, x: Points) -> Float[Tensor, "m n k"]:
        """Evaluate with each of 64 boundaries that separate the training points."""
        u = self.inputs(x)
        return self.outputs.inverse(torch.stack([s.committee(u) for s in self.solutions], dim=2))

    @accepts_arrays
    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the terms of the sides, and what each boundary would change, of all outputs."""
        u = self.inputs(x)
        return torch.cat([solution.features(u) for solution in self.solutions], dim=1)

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the sides' leave-one-out error scaled by leverage, and the committee's spread.

        The root of the sum of their squares, in the units of the data. It grows with the distance
        from the data's box, beyond a margin.
        """
        u = self.inputs(x)
        stds = torch.stack([solution.std(u) for solution in self.solutions], dim=1)
        return with_doubt_outside(self.outputs.inverse_std(stds), self.data, x)
