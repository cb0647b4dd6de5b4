"""A crease with its coefficients: what a search returns and a model evaluates."""

from dataclasses import dataclass, replace
from typing import TypeAlias, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates._rounding import CREASE_ROUNDING
from adaptsample.surrogates.chebyshev import Orthonormal, chebyshev, score, swing
from adaptsample.surrogates.crease.forms import Form, Signs
from adaptsample.surrogates.crease.problem import Indices, Problem, Structure
from adaptsample.surrogates.plans import is_plan, larger, without_levels

BasisColumns: TypeAlias = tuple[Float[Tensor, "n p"], ...]
"""The bases of a crease at some points."""


@final
@dataclass(frozen=True, eq=False)
class FittedCrease:
    """A fitted crease of one standardised output.

    Attributes:
        structure: its bases.
        outer: Chebyshev coefficients of the smooth part.
        inner: Chebyshev coefficients of each inner polynomial.
        basis: the features at the training points; in them the fit is linear.
        loo: leave-one-out residuals at fixed features.
        swing: how much larger errors are in the box than at the points.
        score: their size, dearer the more parameters there are and the more the fit swings.
    """

    form: Form
    structure: Structure
    indices: Indices
    outer: Float[Tensor, " p"]
    inner: tuple[Float[Tensor, " q"], ...]
    signs: Signs
    basis: Orthonormal
    loo: Float[Tensor, " n"]
    rmse: float = torch.inf
    swing: float = 1.0
    score: float = torch.inf

    @property
    def is_exact(self) -> bool:
        """Whether the data is reproduced to rounding by far fewer parameters than points."""
        return self.rmse < CREASE_ROUNDING and self.score < 1e3 * CREASE_ROUNDING

    def columns(self, u: Points) -> BasisColumns:
        """Evaluate the bases at scaled points."""
        return tuple(chebyshev(u, index) for index in self.indices)

    def levels(self, columns: BasisColumns) -> Float[Tensor, "b n"]:
        """Return the values of the inner polynomials; a crease is where one is zero."""
        parts = zip(self.form.groups, self.inner, strict=True)
        return torch.stack([columns[1 + g] @ c for g, c in parts])

    def evaluate(self, columns: BasisColumns) -> tuple[Float[Tensor, " n"], Float[Tensor, "n f"]]:
        """Return the prediction, and its derivatives with respect to the coefficients."""
        g, slopes = self.form.evaluate(self.levels(columns), self.signs)
        parts = zip(self.form.groups, slopes, strict=True)
        features = [slope[:, None] * columns[1 + group] for group, slope in parts]
        return columns[0] @ self.outer + g, torch.cat([columns[0], *features], dim=1)

    def predict(self, u: Points) -> Float[Tensor, " n"]:
        """Evaluate the form at scaled points."""
        return self.evaluate(self.columns(u))[0]


def finish(problem: Problem, theta: Float[Tensor, " p"], signs: Signs) -> FittedCrease:
    """Turn the coordinates of a minimum into coefficients, polish and judge them."""
    z, columns = problem.z, problem.columns
    parts = zip(problem.split(theta), problem.inner, strict=True)
    inner = tuple(basis.to_coefficients @ part for part, basis in parts)
    outer = torch.zeros(len(problem.indices[0]), dtype=z.dtype)
    crease = FittedCrease(
        problem.form, problem.structure, problem.indices, outer, inner, signs, problem.outer, z
    )
    outer, _ = problem.outer.solve(z - crease.evaluate(columns)[0])
    crease = _solved(replace(crease, outer=outer), problem)
    if problem.form.is_piecewise_linear:
        # on its pieces the form is linear: one solve for all coefficients removes rounding
        coefficients, _ = crease.basis.solve(z)
        outer, *rest = torch.split(coefficients, [len(outer), *(len(part) for part in inner)])
        polished = _solved(replace(crease, outer=outer, inner=tuple(rest)), problem, crease)
        crease = min(crease, polished, key=lambda fitted: fitted.rmse)
    _, elsewhere = crease.evaluate(problem.elsewhere)
    swings = swing(crease.basis, elsewhere)
    return replace(crease, swing=swings, score=swings * score(crease.loo, crease.basis.rank))


def _solved(
    crease: FittedCrease, problem: Problem, before: FittedCrease | None = None
) -> FittedCrease:
    """Factorise the features, or take them from before if no point changed its side since."""
    prediction, features = crease.evaluate(problem.columns)
    residuals = problem.z - prediction
    is_same = before is not None and torch.equal(features, before.evaluate(problem.columns)[1])
    basis = before.basis if before is not None and is_same else Orthonormal.of(features)
    loo = basis.leave_one_out(residuals, problem.z)
    return replace(crease, basis=basis, loo=loo, rmse=float(residuals.square().mean().sqrt()))


def held_out_residuals(
    crease: FittedCrease,
    u: Points,
    z: Float[Tensor, " n"],
    *,
    generator: Generator,
    n_folds: int = 10,
) -> Float[Tensor, " n"]:
    """Cross-validate a crease in its bases, from perturbed coefficients.

    Refits that start at the full solution stay in its minimum even if the data left in does not
    determine it, and look far too good. So the coefficients are perturbed, as much as still leads
    to a fit as good as the unperturbed start does.
    """
    fold = torch.randperm(len(u), generator=generator) % n_folds
    noise = torch.tensor([0.1, 0.1, 0.03, 0.01, 0.003, 0.0], dtype=u.dtype)
    residuals = z.clone()
    for k in range(n_folds):
        train, held = fold != k, fold == k
        if not train.any() or not held.any():
            continue
        problem = Problem.of(crease.form, crease.structure, crease.indices, u[train], z[train])
        theta = problem.coordinates(crease.levels(problem.columns))
        draws = torch.randn(len(noise), len(theta), dtype=u.dtype, generator=generator)
        signs = crease.signs.expand(len(noise), -1)
        thetas, rmse = problem.minimise(theta * (1 + noise[:, None] * draws), signs, 60)
        accepted = rmse <= 2 * rmse[-1] + CREASE_ROUNDING
        first = int(accepted.to(torch.int64).argmax())
        refit = finish(problem, thetas[first], crease.signs)
        residuals[held] = z[held] - refit.predict(u[held])
    if is_plan(u):
        by_level = without_levels(crease.basis, z - crease.predict(u), z, u)
        residuals = larger(residuals, by_level)
    return residuals
