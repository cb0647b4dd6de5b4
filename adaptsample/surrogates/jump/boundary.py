"""Where a jump runs: the polynomials that separate the labelled points.

Labels leave the boundary open between the points. The polynomials phi that are positive at the
points of one side and negative at the others, with coefficients in a box, form a convex set, the
*version space* (Mitchell 1982). A linear program finds one of its elements, and a walk inside it
finds others: hit-and-run (Smith, Operations Research 32, 1984), many chains at once, which take
their directions from one another so that a thin set costs no more than a round one. Their votes say
how sure the side of a point is; their mean, which separates the points too, approximates the Bayes
point (Herbrich, Graepel and Campbell, JMLR 1, 2001).

The box halves with each degree: of two boundaries the plainer one is the more likely.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float, Int64
from scipy.optimize import linprog
from torch import Generator, Tensor

from adaptsample.core.deadline import Deadline
from adaptsample.core.shapes import Points
from adaptsample.surrogates.chebyshev import Degrees, chebyshev, multi_indices
from adaptsample.surrogates.jump.labels import Labels

MAX_DEGREE = 4
"""A jump whose labels no polynomial of this degree separates is none."""

N_MEMBERS = 64
"""Boundaries drawn from a version space."""

WALK, SHORT_WALK = 150, 40
"""Steps from a single boundary to a sample, and from a sample to that of a similar set."""

GROWTH, DECLINE = 0.8, 0.9
"""By which factor fewer votes must be wrong for a higher degree, or for a lower one."""

RESOLUTION = 1e-12
"""Values of phi closer to zero than this have no sign."""


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
        self, u: Points, labels: Labels, n_steps: int, *, generator: Generator
    ) -> "Boundary":
        """Let the members walk among the polynomials that separate some points, as they do now."""
        facets = _facets(u, labels, self.indices)
        return replace(self, members=_hit_and_run(facets, self.members, n_steps, generator))

    def widened(self, u: Points, labels: Labels, *, limit: int, generator: Generator) -> "Boundary":
        """Let the members walk among polynomials one degree higher on all axes, too.

        They stay where they are if these have more than ``limit`` coefficients.
        """
        degrees = tuple(degree + 1 for degree in self.degrees)
        indices = multi_indices("total", degrees, limit)
        if indices is None:
            return self
        members = torch.zeros(len(self.members), len(indices), dtype=u.dtype)
        old = (indices[:, None] == self.indices).all(dim=2).int().argmax(dim=0)
        members[:, old] = self.members
        return Boundary(degrees, indices, members).walked(u, labels, WALK, generator=generator)

    def wrong_votes(
        self, u: Points, labels: Labels, fold: Int64[Tensor, " n"], *, generator: Generator
    ) -> Float[Tensor, " n"]:
        """Return the share of members that err about each point if its fold's labels are unknown.

        The version space without some points contains the one with them, so the walk goes on from
        there.
        """
        wrong = torch.zeros(len(u), dtype=u.dtype)
        for k in range(int(fold.max()) + 1):
            held = fold == k
            wider = self.walked(u[~held], labels[~held], SHORT_WALK, generator=generator)
            wrong[held] = (wider.votes(u[held]) != labels[held]).to(u.dtype).mean(dim=0)
        return wrong


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


def choose(
    first: Boundary,
    u: Points,
    labels: Labels,
    fold: Int64[Tensor, " n"],
    *,
    limit: int,
    deadline: Deadline,
    generator: Generator,
) -> tuple[Boundary, Float[Tensor, " n"]]:
    """Change the degrees as long as fewer members err about points that were left out.

    The lowest degree that separates the points may be too low: then hardly any polynomial of that
    degree does, and those that do are sure of what is wrong. Growth needs a clear gain.

    Args:
        first: a boundary between all points.
        u: scaled points.
        labels: the side of each point.
        fold: which points are left out together.
        limit: the largest number of coefficients.
        deadline: after which no degrees are tried.
        generator: the source of the walks.

    Returns:
        a sample of boundaries, and the share of them that err about each point when it is left out.
    """

    def sampled(boundary: Boundary) -> tuple[Boundary, Float[Tensor, " n"]]:
        members = boundary.walked(u, labels, WALK, generator=generator)
        return members, members.wrong_votes(u, labels, fold, generator=generator)

    best, tried = sampled(first), {first.degrees}
    while True:
        better: list[tuple[float, tuple[Boundary, Float[Tensor, " n"]]]] = []
        for degrees, needed in _moves(best[0].degrees):
            if degrees in tried or deadline.is_over:
                continue
            tried.add(degrees)
            boundary = separate_by(u, labels, degrees, limit=limit)
            if boundary is not None:
                found = sampled(boundary)
                ratio = float(found[1].mean()) / max(float(best[1].mean()), 1e-300)
                if ratio < needed:
                    better.append((ratio / needed, found))
        if not better:
            return best
        best = min(better, key=lambda pair: pair[0])[1]


def _moves(degrees: Degrees) -> Iterator[tuple[Degrees, float]]:
    """Yield degrees one higher or lower, on one axis or on all, and the ratio they must reach."""
    if max(degrees) < MAX_DEGREE:
        yield tuple(k + 1 for k in degrees), GROWTH
    for axis in range(len(degrees)):
        for step, needed in ((1, GROWTH), (-1, DECLINE)):
            moved = (*degrees[:axis], degrees[axis] + step, *degrees[axis + 1 :])
            if min(moved) >= 0 and 0 < max(moved) <= MAX_DEGREE:
                yield moved, needed


def _columns(u: Points, indices: Int64[Tensor, "p d"]) -> Float[Tensor, "n p"]:
    return chebyshev(u, indices) * 0.5 ** indices.sum(dim=1).to(u.dtype)


def _facets(u: Points, labels: Labels, indices: Int64[Tensor, "p d"]) -> Float[Tensor, "n p"]:
    """Return the normals of the half-spaces whose intersection is the version space."""
    return torch.where(labels, 1.0, -1.0).to(u.dtype)[:, None] * _columns(u, indices)


def _hit_and_run(
    facets: Float[Tensor, "n p"], members: Float[Tensor, "m p"], n_steps: int, generator: Generator
) -> Float[Tensor, "m p"]:
    """Walk: draw a direction, then a uniform point of the chord along it.

    Half of the members move at a time, along directions of the covariance of the others; a little
    noise takes them out of their common start.
    """
    n_members, p = members.shape
    half, box = n_members // 2, torch.eye(p, dtype=members.dtype)
    halves = slice(0, half), slice(half, 2 * half)
    normals = torch.cat([facets, -box, box]).T
    offsets = torch.cat([torch.zeros(len(facets)), torch.ones(2 * p)]).to(members.dtype)
    draws = torch.randn(2 * n_steps, half, half + p, dtype=members.dtype, generator=generator)
    shares = torch.rand(2 * n_steps, half, 1, dtype=members.dtype, generator=generator)
    members, levels = members.clone(), members @ normals + offsets  # levels are positive inside
    for step, (draw, share) in enumerate(zip(draws, shares, strict=True)):
        moving, resting = halves[step % 2], halves[1 - step % 2]
        spread = members[resting] - members[resting].mean(dim=0)
        noise = 0.1 * spread.square().mean().sqrt() + (1e-3 if step < 20 else 0.0)
        direction = draw[:, :half] @ spread / half**0.5 + noise * draw[:, half:]
        slopes = direction @ normals
        decays = -slopes / levels[moving]  # one over the step that leads to a facet
        ahead, behind = 1 / decays.amax(dim=1, keepdim=True), 1 / decays.amin(dim=1, keepdim=True)
        length = behind + share * (ahead - behind)
        inside = (levels[moving] + length * slopes > RESOLUTION).all(dim=1, keepdim=True)
        length = torch.where(inside, length, 0.0)
        members[moving] += length * direction
        levels[moving] += length * slopes
    return members
