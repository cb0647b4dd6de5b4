"""Surrogates of functions with creases: smooth pieces that meet where a polynomial is zero.

A function with a kink defeats smooth surrogates, however many evaluations it gets. Here the kink is
part of the model, y = a(x) + g(phi_1(x), ...), where a and phi_b are Chebyshev polynomials and g is
an absolute value, a maximum or a product with one. Where the crease runs follows from the phi_b,
which are fitted like everything else; once found, the fit converges as fast as for smooth
functions, and a few dozen evaluations often give all the digits that there are.
"""

from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.shapes import Points, Values
from adaptsample.core.work import Work
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates.chebyshev import RULES, InputScale, OutputScale
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.crease.fitted import FittedCrease, held_out_residuals
from adaptsample.surrogates.crease.forms import FORMS, Kind
from adaptsample.surrogates.crease.problem import Structure
from adaptsample.surrogates.crease.search import Search, Seed
from adaptsample.surrogates.outside import with_doubt_outside

_RICH = ((4, 2), (5, 3), (6, 3), (6, 4))

FIRST_DEGREES: dict[Kind, tuple[tuple[int, ...], ...]] = {
    "abs": ((1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (2, 4), (4, 4), *_RICH),
    "abs2": ((1, 1), (1, 2), (2, 2), (3, 3), (4, 4), *_RICH),
    "max": ((1, 1), (1, 2), (2, 2), (3, 3), (4, 4), *_RICH),
    "product": (
        *((1, 1, 1), (2, 2, 1), (1, 4, 1), (2, 2, 2), (3, 3, 2), (3, 2, 3), (4, 4, 2)),
        *((5, 4, 3), (6, 4, 3), (6, 6, 2)),
    ),
}
"""Degrees of a, then of the inner polynomials, in which a search starts.

Where the points suffice a rich smooth part keeps its waves from hiding the crease.
"""

MAX_SOLUTIONS = 8
"""Solutions that a model keeps, to continue from."""

NEAR = 3.0
"""Solutions whose score is within this factor of the best are as good as the best."""


@final
@dataclass(frozen=True)
class Crease:
    """A polynomial with creases, found by many random starts and grown by cross-validation.

    Args:
        kind: the form of the crease: ``"abs"`` ``a + |phi|``, ``"abs2"`` ``a + |phi_1| + |phi_2|``
            (each with either sign), ``"max"`` ``a + max(0, phi_1, phi_2)``, ``"product"``
            ``a + c |phi|``.
        n_starts: random starts in each of the first bases; 0 only continues from ``start``.
        n_climbs: how many of the solutions found are grown.
        max_share: the largest number of parameters per point.
        goal: the share of the score of ``start`` that is asked for: solutions are grown only as
            long as they promise to get there. None to grow all that gain.
        operations: after so many (see `Work`), no stage of the search begins; shared by the
            outputs.
    """

    kind: Kind = "abs"
    n_starts: int = 80
    n_climbs: int = 3
    max_share: float = 0.7
    goal: float | None = None
    operations: float = 2e10

    def towards(self, goal: float) -> "Crease":
        """Return the recipe that gives up where it does not promise this share of the error."""
        return replace(self, goal=goal)

    @warns_of_degenerate_data
    def fit(
        self, data: Dataset, *, generator: Generator, start: "CreaseModel | None" = None
    ) -> "CreaseModel":
        """Fit each output on its own.

        The solutions of ``start`` are refitted and compete with fresh ones; those of a smaller form
        (abs for abs2 and max) are starts to which a crease is added.
        """
        inputs, outputs = InputScale.of(data.x), OutputScale.of(data.y)
        u, z = inputs(data.x), outputs.forward(data.y)
        n_outputs = z.shape[1]
        solutions = []
        for k in range(n_outputs):
            work = Work(self.operations / n_outputs)
            search = self._search(self.kind, u, z[:, k], work, generator)
            before = [] if start is None else start.seeds(data.x, k)
            found = search.continued([seed for seed in before if seed.form == search.form])
            if not any(crease.is_exact for crease in found) and (self.n_starts or not found):
                smaller = [seed for seed in before if seed.form != search.form]
                found += self._explored(search, smaller)
            goal = 0.0 if start is None or self.goal is None else self.goal * start.scores[k]
            solutions.append(self._grown(search, found, goal=goal))
        return CreaseModel(inputs, outputs, data, tuple(solutions))

    def _search(
        self,
        kind: Kind,
        u: Points,
        z: Float[Tensor, " n"],
        work: Work,
        generator: Generator,
    ) -> Search:
        return Search(
            FORMS[kind],
            u,
            z,
            max_share=self.max_share,
            n_starts=self.n_starts,
            work=work,
            generator=generator,
        )

    def _explored(self, search: Search, seeds: list[Seed]) -> list[FittedCrease]:
        """Search afresh; two creases are looked for beside one and from nothing."""
        dimension = search.u.shape[1]
        if self.kind in {"abs2", "max"} and not seeds:
            single = self._search("abs", search.u, search.z, search.work, search.generator)
            found = single.explore(_first_structures("abs", dimension))
            seeds = [Seed.of(crease, search.u) for crease in found]
        return search.explore(_first_structures(self.kind, dimension), seeds=seeds[:6])

    def _grown(
        self, search: Search, found: list[FittedCrease], *, goal: float
    ) -> tuple[FittedCrease, ...]:
        """Grow the best solutions; return the best few, best score first.

        Where the best of them does not reach the goal, the others are left as they are.
        """
        found = sorted(found, key=lambda crease: crease.score)
        n_grown = 0
        while n_grown < self.n_climbs and n_grown < len(found) and not found[0].is_exact:
            grown = search.climb(found[n_grown], goal=goal)
            found[n_grown], n_grown = grown, n_grown + 1
            if goal > 0 and grown.score > goal:
                break
        return tuple(sorted(found, key=lambda crease: crease.score)[:MAX_SOLUTIONS])


def _first_structures(kind: Kind, dimension: int) -> list[Structure]:
    return [
        Structure.isotropic(rule, degrees, dimension)
        for rule in (RULES if dimension > 1 else RULES[:1])
        for degrees in FIRST_DEGREES[kind]
    ]


@final
@dataclass(frozen=True, eq=False)
class CreaseModel:
    """Creases fitted to data.

    Attributes:
        solutions: for each output the best few, best first.
    """

    inputs: InputScale
    outputs: OutputScale
    data: Dataset
    solutions: tuple[tuple[FittedCrease, ...], ...]

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return self.data.x.shape[1]

    def seeds(self, x: Points, k: int) -> list[Seed]:
        """Return the creases of output k at other points, for a search to continue from."""
        u = self.inputs(x)
        return [Seed.of(crease, u) for crease in self.solutions[k]]

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Effective number of parameters, for each output."""
        return tuple(best.basis.rank for best, *_ in self.solutions)

    @property
    def swings(self) -> tuple[float, ...]:
        """How much larger errors are in the data's box than at the points, for each output."""
        return tuple(best.swing for best, *_ in self.solutions)

    @property
    def scores(self) -> tuple[float, ...]:
        """Leave-one-out error of each output in units of its spread, corrected for selection."""
        return tuple(best.score for best, *_ in self.solutions)

    @property
    def loo_residuals(self) -> Values:
        """Value minus leave-one-out prediction at the training points, creases held fixed."""
        residuals = torch.stack([best.loo for best, *_ in self.solutions], dim=1)
        return self.data.by_row(residuals * self.outputs.spread)

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Value minus the prediction of a refit without the point: honest, but costs refits.

        On a plan, a few levels of each variable, whole levels are left out as well.
        """
        u, z = self.inputs(self.data.x), self.outputs.forward(self.data.y)
        residuals = [
            held_out_residuals(best, u, z[:, k], generator=generator)
            for k, (best, *_) in enumerate(self.solutions)
        ]
        return self.data.by_row(torch.stack(residuals, dim=1) * self.outputs.spread)

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Evaluate the best solution of each output."""
        u = self.inputs(x)
        return self.outputs.inverse(
            torch.stack([best.predict(u) for best, *_ in self.solutions], dim=1)
        )

    @accepts_arrays
    def committee(self, x: Points) -> Float[Tensor, "m n k"]:
        """Evaluate the solutions as good as the best; where there are fewer, the best repeats."""
        u = self.inputs(x)
        near = [_near(solutions) for solutions in self.solutions]
        n_members = max(len(members) for members in near)
        padded = [members + members[:1] * (n_members - len(members)) for members in near]
        columns = [torch.stack([crease.predict(u) for crease in members]) for members in padded]
        return self.outputs.inverse(torch.stack(columns, dim=2))

    @accepts_arrays
    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the features of all outputs' best solutions, in which they are linear."""
        u = self.inputs(x)
        return torch.cat([best.evaluate(best.columns(u))[1] for best, *_ in self.solutions], dim=1)

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the leave-one-out error scaled by leverage, and the committee's spread.

        The root of the sum of their squares, in the units of the data. It grows with the distance
        from the data's box, beyond a margin.
        """
        u = self.inputs(x)
        columns = []
        for solutions in self.solutions:
            best = solutions[0]
            unexplained = best.basis.variance(best.evaluate(best.columns(u))[1], best.loo)
            members = torch.stack([crease.predict(u) for crease in _near(solutions)])
            columns.append((unexplained + members.var(dim=0, correction=0)).sqrt())
        std = self.outputs.inverse_std(torch.stack(columns, dim=1))
        return with_doubt_outside(std, self.data, x)


def _near(solutions: tuple[FittedCrease, ...]) -> tuple[FittedCrease, ...]:
    return tuple(crease for crease in solutions if crease.score <= NEAR * solutions[0].score)
