"""Where a jump runs: the polynomials that separate the labelled points.

Labels leave the boundary open between the points. The polynomials phi that are positive at the
points of one side and negative at the others, with coefficients in a box, form a convex set, the
*version space* (Mitchell 1982). A linear program finds one of its elements, and a walk inside it
finds others. Their votes say how sure the side of a point is; their mean, which separates the
points too, approximates the Bayes point (Herbrich, Graepel and Campbell, JMLR 1, 2001).

The box halves with each degree: of two boundaries the plainer one is the more likely.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, final

import torch
from jaxtyping import Bool, Float, Int64
from scipy.optimize import linprog
from torch import Generator, Tensor

from adaptsample.core.shapes import Points
from adaptsample.core.work import Work
from adaptsample.surrogates.chebyshev import Degrees, chebyshev, multi_indices
from adaptsample.surrogates.jump.labels import Labels
from adaptsample.surrogates.jump.walk import RESOLUTION, walk

MAX_DEGREE = 4
"""A jump whose labels no polynomial of this degree separates is none."""

N_MEMBERS = 64
"""Boundaries drawn from a version space."""

WALK, SHORT_WALK = 150, 40
"""Steps from a single boundary to a sample, and from a sample to that of a similar set."""


@final
@dataclass(frozen=True, eq=False)
class Boundary:
    """A sample of the polynomials of given degrees that separate some points.

    Attributes:
        degrees: the highest degree on each axis.
        indices: the multi-indices of the basis.
        members: coefficients of the sample, in units of the box.
    """

    degrees: Degrees
    indices: Int64[Tensor, "p d"]
    members: Float[Tensor, "m p"]

    @property
    def degree(self) -> int:
        """The highest degree of all axes."""
        return max(self.degrees)

    @property
    def n_parameters(self) -> int:
        """Number of coefficients of a member."""
        return len(self.indices)

    def levels(self, u: Points) -> Float[Tensor, "m n"]:
        """Evaluate the members at scaled points."""
        return self.members @ _columns(u, self.indices).T

    def votes(self, u: Points) -> Float[Tensor, "m n"]:
        """Return on which side each member sees scaled points, 0 or 1."""
        return (self.levels(u) > 0).to(u.dtype)

    def side(self, u: Points) -> Float[Tensor, " n"]:
        """Return on which side the mean of the members sees scaled points, 0 or 1."""
        return (self.levels(u).mean(dim=0) > 0).to(u.dtype)

    def walked(
        self, u: Points, labels: Labels, n_steps: int, *, work: Work, generator: Generator
    ) -> "Boundary":
        """Let the members walk among the polynomials that separate some points, as they do now."""
        return walked([self], u, labels, n_steps, work=work, generator=generator)[0]

    def widened(
        self, u: Points, labels: Labels, *, limit: int, work: Work, generator: Generator
    ) -> "Boundary":
        """Let the members walk among polynomials one degree higher on all axes, too.

        They stay where they are if these have more than ``limit`` coefficients.
        """
        degrees = tuple(degree + 1 for degree in self.degrees)
        indices = multi_indices("total", degrees, limit)
        if indices is None:
            return self
        members = torch.zeros(len(self.members), len(indices), dtype=u.dtype)
        members[:, _places(self.indices, indices)] = self.members
        wider = Boundary(degrees, indices, members)
        return wider.walked(u, labels, WALK, work=work, generator=generator)


def walked(
    boundaries: Sequence[Boundary],
    u: Points,
    labels: Labels,
    n_steps: int,
    *,
    work: Work,
    generator: Generator,
) -> list[Boundary]:
    """Let the members of some boundaries walk, all at once."""
    held = torch.zeros(1, len(u), dtype=torch.bool)
    pool = _Pool.of(boundaries, u, labels)
    chains = pool.walked(held, n_steps, work=work, generator=generator)[:, 0]
    return [
        replace(boundary, members=members[:, _places(boundary.indices, pool.indices)])
        for boundary, members in zip(boundaries, chains, strict=True)
    ]


def wrong_votes(
    boundaries: Sequence[Boundary],
    u: Points,
    labels: Labels,
    held: Bool[Tensor, "k n"],
    *,
    work: Work,
    generator: Generator,
) -> Float[Tensor, "b n"]:
    """Return for each boundary the share of members that err about points held out.

    The version space without some points contains the one with them, so the walk goes on from
    there.

    Args:
        boundaries: their members separate all points.
        u: scaled points.
        labels: the side of each point.
        held: sets of points whose labels are not known, without a point in common.
        work: where the walk is counted.
        generator: the source of the walk.

    Returns:
        the shares; 0 at points that are never held out.
    """
    pool = _Pool.of(boundaries, u, labels)
    chains = pool.walked(held, SHORT_WALK, work=work, generator=generator)
    wrong = (chains @ pool.facets.T <= 0).to(u.dtype).mean(dim=2)
    return torch.where(held, wrong, 0.0).sum(dim=1)


@final
@dataclass(frozen=True, eq=False)
class _Pool:
    """Boundaries of several degrees in one basis, to walk together.

    Attributes:
        indices: what any of them has.
        facets: normals of the half-spaces whose intersection is the version space.
        chains: the members of each; what it does not have is 0.
        has: which terms each has.
    """

    indices: Int64[Tensor, "p d"]
    facets: Float[Tensor, "n p"]
    chains: Float[Tensor, "b m p"]
    has: Bool[Tensor, "b p"]

    @classmethod
    def of(cls, boundaries: Sequence[Boundary], u: Points, labels: Labels) -> Self:
        terms = {tuple(term) for boundary in boundaries for term in boundary.indices.tolist()}
        indices = torch.tensor(sorted(terms))
        chains = torch.zeros(len(boundaries), N_MEMBERS, len(indices), dtype=u.dtype)
        has = torch.zeros(len(boundaries), len(indices), dtype=torch.bool)
        for row, boundary in enumerate(boundaries):
            places = _places(boundary.indices, indices)
            chains[row, :, places], has[row, places] = boundary.members, True
        return cls(indices, _facets(u, labels, indices), chains, has)

    def walked(
        self, held: Bool[Tensor, "k n"], n_steps: int, *, work: Work, generator: Generator
    ) -> Float[Tensor, "b k m p"]:
        """Walk on, without each of the sets of points held out."""
        (b, m, p), (k, n) = self.chains.shape, held.shape
        chains = walk(
            self.facets,
            (~held).expand(b, k, n).reshape(b * k, n),
            self.has[:, None].expand(b, k, p).reshape(b * k, p),
            self.chains[:, None].expand(b, k, m, p).reshape(b * k, m, p),
            n_steps,
            work=work,
            generator=generator,
        )
        return chains.reshape(b, k, m, p)


def separate(u: Points, labels: Labels, *, limit: int) -> Boundary | None:
    """Return the boundary of lowest degree, the same on all axes; its members are all alike.

    None if there is none.

    Args:
        u: scaled points.
        labels: the side of each point.
        limit: the largest number of coefficients.
    """
    isotropic = ((degree,) * u.shape[1] for degree in range(1, MAX_DEGREE + 1))
    attempts = (separate_by(u, labels, degrees, limit=limit) for degrees in isotropic)
    return next((boundary for boundary in attempts if boundary is not None), None)


def separate_by(u: Points, labels: Labels, degrees: Degrees, *, limit: int) -> Boundary | None:
    """Return the polynomial of given degrees whose smallest value at the points is largest.

    None if it does not separate them, or has more than ``limit`` coefficients.
    """
    indices = multi_indices("total", degrees, limit)
    if indices is None:
        return None
    facets = _facets(u, labels, indices)
    n, p = facets.shape
    # unknowns: the coefficients b and the margin t, which is maximised; t - facets b <= 0
    constraints = torch.cat([-facets, torch.ones(n, 1, dtype=u.dtype)], dim=1)
    answer = linprog(
        [0.0] * p + [-1.0],
        A_ub=constraints.numpy(),
        b_ub=[0.0] * n,
        bounds=[(-1, 1)] * p + [(0, None)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.x is None:
        return None
    widest = torch.as_tensor(answer.x[:p], dtype=u.dtype)
    if not bool((facets @ widest > RESOLUTION).all()):
        return None
    inside = widest / 2  # it lies in a corner of the box, where a walk could hardly begin
    return Boundary(degrees, indices, inside.expand(N_MEMBERS, -1))


def _columns(u: Points, indices: Int64[Tensor, "p d"]) -> Float[Tensor, "n p"]:
    return chebyshev(u, indices) * 0.5 ** indices.sum(dim=1).to(u.dtype)


def _facets(u: Points, labels: Labels, indices: Int64[Tensor, "p d"]) -> Float[Tensor, "n p"]:
    """Return the normals of the half-spaces whose intersection is the version space."""
    return torch.where(labels, 1.0, -1.0).to(u.dtype)[:, None] * _columns(u, indices)


def _places(some: Int64[Tensor, "q d"], all_: Int64[Tensor, "p d"]) -> Int64[Tensor, " q"]:
    """Return where in a basis the terms of a smaller one are."""
    return (all_[:, None] == some).all(dim=2).int().argmax(dim=0)
