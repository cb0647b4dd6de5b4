"""A jump with its coefficients, and what takes its place where there is none."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.shapes import Points
from adaptsample.surrogates._rounding import JUMP_ROUNDING
from adaptsample.surrogates.jump.boundary import N_MEMBERS, WALK, Boundary, wrong_votes
from adaptsample.surrogates.jump.degrees import choose
from adaptsample.surrogates.jump.sides import Sides
from adaptsample.surrogates.jump.task import Task
from adaptsample.surrogates.polynomial import Polynomial, PolynomialModel

N_FOLDS = 20
"""Folds of the cross-validation."""

MOST_GAIN = 3.0
"""Other degrees of a boundary do not make its error so many times smaller."""


@final
@dataclass(frozen=True, eq=False)
class FittedJump:
    """A fitted jump of one standardised output.

    Attributes:
        sides: a and b.
        boundary: a sample of possible phi, whose mean predicts.
        rivals: a sample that may be of higher degree, for what is not known: a boundary that is
            too plain is sure of itself, and no question would be asked that refutes it.
        degree: the lowest degree of a boundary that separates the labels.
        held_out: residuals at points that neither sides nor boundary knew, made larger where the
            members disagree more over the whole box than at these points.
    """

    sides: Sides
    boundary: Boundary
    rivals: Boundary
    degree: int
    held_out: Float[Tensor, " n"]

    @classmethod
    def of(
        cls,
        task: Task,
        sides: Sides,
        first: Boundary,
        *,
        limit: int,
        generator: Generator,
    ) -> "FittedJump | None":
        """Sample the boundary, and cross-validate sides and boundary.

        Args:
            task: what is fitted.
            sides: what the labels gave.
            first: a boundary of lowest degree.
            limit: the largest number of coefficients of a boundary.
            generator: the source of folds and boundaries.

        Returns:
            the jump; None if its error cannot be below the bound.
        """
        u, z, labels, work = task.u, task.z, sides.labels, task.work
        fold = torch.randperm(len(u), generator=generator) % N_FOLDS
        held = fold == torch.arange(int(fold.max()) + 1)[:, None]
        boundary = first.walked(u, labels, WALK, work=work, generator=generator)
        wrong = wrong_votes([boundary], u, labels, held, work=work, generator=generator)[0]
        height = sides.height(u).abs()
        if float((wrong * height).mean()) > MOST_GAIN * task.bound:
            return None
        boundary, wrong = choose(
            boundary, wrong, u, labels, held, limit=limit, work=work, generator=generator
        )
        share = torch.where(labels, 1 - wrong, wrong)
        held_out = z.clone()
        for part in held:
            refit = sides.without(u, z, part)
            held_out[part] -= refit.below(u[part]) + share[part] * refit.height(u[part])
        seen = (wrong * height).mean()
        unseen = (_expected_error(sides, boundary, u, generator) - seen).clamp_min(0.0)
        held_out += torch.where(held_out < 0, -unseen, unseen)
        rivals = boundary.widened(u, sides.labels, limit=limit, work=work, generator=generator)
        return cls(sides, boundary, rivals, first.degree, held_out)

    @property
    def error(self) -> float:
        """Mean absolute held-out residual."""
        return float(self.held_out.abs().mean())

    @property
    def n_parameters(self) -> int:
        """Effective number of parameters of sides and boundary."""
        return self.sides.basis.rank + self.boundary.n_parameters

    def predict(self, u: Points) -> Float[Tensor, " n"]:
        """Evaluate at scaled points."""
        return self.sides.below(u) + self.boundary.side(u) * self.sides.height(u)

    def committee(self, u: Points) -> Float[Tensor, "m n"]:
        """Evaluate with each rival boundary."""
        return self.sides.below(u) + self.rivals.votes(u) * self.sides.height(u)

    def features(self, u: Points) -> Float[Tensor, "n f"]:
        """Return the terms of the sides, and how each rival would change the prediction."""
        side = self.boundary.side(u)
        changes = (self.rivals.votes(u) - side) * self.sides.height(u) / N_MEMBERS**0.5
        return torch.cat([self.sides.columns(u, side), changes.T], dim=1)

    def std(self, u: Points) -> Float[Tensor, " n"]:
        """Return the standard deviation: error of the sides, and uncertainty of the side."""
        votes = self.rivals.votes(u).mean(dim=0)
        columns = self.sides.columns(u, self.boundary.side(u))
        unexplained = self.sides.basis.variance(columns, self.sides.loo)
        return (unexplained + votes * (1 - votes) * self.sides.height(u).square()).sqrt()


def _expected_error(
    sides: Sides, boundary: Boundary, u: Points, generator: Generator
) -> Float[Tensor, ""]:
    """Return the mean error of the prediction, all over the box, if one of the members is right.

    Few points lie near a boundary, so that cross-validation sees by luck too little of this.
    """
    anywhere = 2 * torch.rand(1024, u.shape[1], dtype=u.dtype, generator=generator) - 1
    votes = boundary.votes(anywhere).mean(dim=0)
    height = sides.height(anywhere).abs().clamp(max=float(sides.height(u).abs().max()))
    return ((boundary.side(anywhere) - votes).abs() * height).mean()


@final
@dataclass(frozen=True, eq=False)
class Smooth:
    """A polynomial without a jump, of one standardised output."""

    model: PolynomialModel

    @classmethod
    def of(cls, u: Points, z: Float[Tensor, " n"], *, generator: Generator) -> "Smooth":
        """Fit a polynomial to scaled data."""
        return cls(Polynomial().fit(Dataset(u, z[:, None]), generator=generator))

    @property
    def held_out(self) -> Float[Tensor, " n"]:
        """Cross-validated residuals."""
        expansion = self.model.expansions[0]
        return expansion.held_out * self.model.outputs.spread[0]

    @property
    def error(self) -> float:
        """Mean absolute held-out residual."""
        return float(self.held_out.abs().mean())

    @property
    def is_exact(self) -> bool:
        """Whether nothing is left to explain."""
        return self.model.scores[0] < 10 * JUMP_ROUNDING

    @property
    def n_parameters(self) -> int:
        """Effective number of parameters."""
        return self.model.n_parameters[0]

    def predict(self, u: Points) -> Float[Tensor, " n"]:
        """Evaluate at scaled points."""
        return self.model.predict(u)[:, 0]

    def committee(self, u: Points) -> Float[Tensor, "m n"]:
        """Repeat the prediction, once for each member of a jump's committee."""
        return self.predict(u).expand(N_MEMBERS, -1)

    def features(self, u: Points) -> Float[Tensor, "n f"]:
        """Return the polynomial's terms."""
        return self.model.features(u)

    def std(self, u: Points) -> Float[Tensor, " n"]:
        """Return the leave-one-out error scaled by leverage."""
        return self.model.std(u)[:, 0]
