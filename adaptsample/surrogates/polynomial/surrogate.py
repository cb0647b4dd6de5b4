"""Polynomials in Chebyshev bases, the basis chosen by cross-validation.

Two searches compete. The *climb* grows one degree per axis, greedily, and keeps all terms of the
total-degree or hyperbolic-cross rule: right for functions that use all orders up to some degree.
The *sparse* search picks single terms out of a large dictionary: right for functions of many
variables, of which few interact. In one variable two others take its place: rational functions, for
poles or branch points near the interval, and piecewise polynomials, for kinks and jumps.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, TypeAlias, final

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.shapes import Points, Values
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates._rounding import POLYNOMIAL_ROUNDING
from adaptsample.surrogates.chebyshev import (
    RULES,
    Degrees,
    InputScale,
    Orthonormal,
    OutputScale,
    Rule,
    chebyshev,
    multi_indices,
    score,
)
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.outside import with_doubt_outside
from adaptsample.surrogates.plans import distinguishable, is_plan
from adaptsample.surrogates.polynomial.expansion import Expansion
from adaptsample.surrogates.polynomial.piecewise import piecewise
from adaptsample.surrogates.polynomial.plans import held_out_on_plan
from adaptsample.surrogates.polynomial.rational import rational
from adaptsample.surrogates.polynomial.sparse import sparse

Indices: TypeAlias = Int64[torch.Tensor, "p d"]

MIN_POINTS = 10
"""Fewer points than this are too few for cross-validating a search."""

MAX_MOVES = 10
"""Larger bases that are fitted in a step of a climb; where there are more, the promising ones."""


@final
@dataclass(frozen=True)
class Polynomial:
    """Least squares in a basis that is chosen for the data.

    Args:
        max_share: the largest number of coefficients per point.
        max_degree: the highest degree on one axis.
    """

    max_share: float = 0.75
    max_degree: int = 60

    @warns_of_degenerate_data
    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> "PolynomialModel":
        """Fit each output on its own; ``start`` is of no use to a fit without local minima."""
        del start
        scale = InputScale.of if data.x.shape[1] == 1 else InputScale.about_zero
        inputs, outputs = scale(data.x), OutputScale.of(data.y)
        u, z = inputs(data.x), outputs.forward(data.y)
        expansions = tuple(self._fit_one(u, z[:, k], generator) for k in range(z.shape[1]))
        return PolynomialModel(inputs, outputs, data, expansions)

    def _fit_one(self, u: Points, z: Float[Tensor, " n"], generator: Generator) -> Expansion:
        n, dimension = u.shape
        limit = max(1, int(self.max_share * n))
        found = [self._climb(u, z, rule, limit) for rule in RULES[: 1 if dimension == 1 else 2]]
        if n >= MIN_POINTS and all(expansion.score > POLYNOMIAL_ROUNDING for expansion in found):
            if dimension == 1:
                found += [rational(u, z, generator=generator), piecewise(u, z)]
            else:
                found += [self._sparse(u, z, rule, limit, generator) for rule in RULES]
        best = min(found, key=_preference)
        return held_out_on_plan(best, u, z) if is_plan(u) else best

    def _climb(self, u: Points, z: Float[Tensor, " n"], rule: Rule, limit: int) -> Expansion:
        """Grow degrees while the leave-one-out score falls; three steps without gain end it.

        The climb begins at the best of the isotropic bases: a wave is invisible to small ones.
        """

        def bases(candidates: Iterable[Degrees]) -> dict[Degrees, Indices]:
            return {
                degrees: indices
                for degrees in candidates
                if max(degrees) <= self.max_degree
                and (indices := multi_indices(rule, degrees, limit)) is not None
            }

        def fits(found: Mapping[Degrees, Indices]) -> list[tuple[Expansion, Degrees]]:
            return [(Expansion.chebyshev(u, z, found[degrees]), degrees) for degrees in found]

        found = bases((degree,) * u.shape[1] for degree in range(self.max_degree + 1))
        best, degrees = _best(fits(found), _preference)
        current, stale = best, 0
        while stale < 3 and best.score > POLYNOMIAL_ROUNDING and (larger := bases(_moves(degrees))):
            hopeful = _hopeful(larger, current.basis, found[degrees], u, z)
            current, degrees = _best(fits(hopeful), lambda expansion: (expansion.score, 0))
            found = larger
            stale = 0 if current.score < 0.98 * best.score else stale + 1
            best = min(best, current, key=lambda expansion: expansion.score)
        return best

    def _sparse(
        self, u: Points, z: Float[Tensor, " n"], rule: Rule, limit: int, generator: Generator
    ) -> Expansion:
        """Search the largest dictionary of the rule that has four terms a point."""
        n, dimension = u.shape
        sizes = (
            multi_indices(rule, (degree,) * dimension, 4 * n)
            for degree in range(self.max_degree, -1, -1)
        )
        dictionary = next(indices for indices in sizes if indices is not None)
        dictionary = distinguishable(u, dictionary)
        return sparse(u, z, dictionary, limit=limit, generator=generator)


def _preference(expansion: Expansion) -> tuple[float, int]:
    """Return what is least for the best: of all that are exact, that is the one of fewest terms."""
    return max(expansion.score, POLYNOMIAL_ROUNDING), expansion.basis.rank


def _best(
    fits: list[tuple[Expansion, Degrees]], preference: Callable[[Expansion], tuple[float, int]]
) -> tuple[Expansion, Degrees]:
    """Return the fit of least preference, without the scores of those that cannot be it."""
    fits = sorted(fits, key=lambda fit: fit[0].least_score)
    best, least = fits[0], preference(fits[0][0])
    for fit in fits[1:]:
        if fit[0].least_score > least[0]:
            break
        if (this := preference(fit[0])) < least:
            best, least = fit, this
    return best


def _moves(degrees: Degrees) -> Iterator[Degrees]:
    """One or two degrees more, on one axis or on all (an even function gains by twos only)."""
    for step in (1, 2):
        yield tuple(degree + step for degree in degrees)
        if len(degrees) > 1:
            for axis in range(len(degrees)):
                yield (*degrees[:axis], degrees[axis] + step, *degrees[axis + 1 :])


def _hopeful(
    larger: Mapping[Degrees, Indices],
    basis: Orthonormal,
    indices: Indices,
    u: Points,
    z: Float[Tensor, " n"],
) -> Mapping[Degrees, Indices]:
    """Return the few larger bases whose new terms explain most of what the basis leaves.

    In few variables, all of them.
    """
    if len(larger) <= MAX_MOVES:
        return larger
    known = {tuple(index) for index in indices.tolist()}
    new = {
        degrees: [index for index in map(tuple, found.tolist()) if index not in known]
        for degrees, found in larger.items()
    }
    terms = list(dict.fromkeys(index for found in new.values() for index in found))
    place = {index: k for k, index in enumerate(terms)}
    left = torch.cat([z[:, None], chebyshev(u, torch.tensor(terms))], dim=1)
    left = left - basis.q @ (basis.q.T @ left)
    rest, columns = left[:, 0], left[:, 1:]

    def promise(degrees: Degrees) -> float:
        if not new[degrees]:
            return inf
        q = torch.linalg.qr(columns[:, [place[index] for index in new[degrees]]]).Q
        n_parameters = basis.rank + len(new[degrees])
        # residuals are about a share 1 - p / n of those that leave a point out
        share = max(1 - n_parameters / len(u), 1e-3)
        return score(rest - q @ (q.T @ rest), n_parameters) / share

    return dict(sorted(larger.items(), key=lambda item: promise(item[0]))[:MAX_MOVES])


@final
@dataclass(frozen=True, eq=False)
class PolynomialModel:
    """A polynomial, or a rational or piecewise one, for each output."""

    inputs: InputScale
    outputs: OutputScale
    data: Dataset
    expansions: tuple[Expansion, ...]

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return len(self.inputs.centre)

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Effective number of parameters, for each output."""
        return tuple(expansion.basis.rank for expansion in self.expansions)

    @property
    def swings(self) -> tuple[float, ...]:
        """How much larger errors are in the data's box than at the points, for each output."""
        return tuple(expansion.swing for expansion in self.expansions)

    @property
    def scores(self) -> tuple[float, ...]:
        """Cross-validated error of each output in units of its spread, corrected for selection."""
        return tuple(expansion.score for expansion in self.expansions)

    @property
    def loo_residuals(self) -> Values:
        """Value minus leave-one-out prediction at the training points, the basis held fixed."""
        residuals = torch.stack([e.loo for e in self.expansions], dim=1)
        return self.data.by_row(residuals * self.outputs.spread)

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Value minus the prediction of a fit without the point, basis search included."""
        del generator  # known from the fit
        residuals = torch.stack([e.held_out for e in self.expansions], dim=1)
        return self.data.by_row(residuals * self.outputs.spread)

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Evaluate; constant beyond a margin of a quarter of the data's box on each side."""
        u = self.inputs(x)
        return self.outputs.inverse(torch.stack([e.predict(u) for e in self.expansions], dim=1))

    @accepts_arrays
    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the features of all outputs."""
        u = self.inputs(x)
        return torch.cat([e.columns(u) for e in self.expansions], dim=1)

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the leave-one-out error scaled by leverage, in the units of the data.

        It grows with the distance from the data's box, beyond a margin.
        """
        u = self.inputs(x)
        variances = [e.basis.variance(e.columns(u), e.loo) for e in self.expansions]
        std = self.outputs.inverse_std(torch.stack(variances, dim=1).sqrt())
        return with_doubt_outside(std, self.data, x)
