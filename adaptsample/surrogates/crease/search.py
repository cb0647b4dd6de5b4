"""The search for a crease: many random starts in small bases, the best ones grown.

Finding the crease is the hard part, precision afterwards is routine: starts in bases of low degree
are cheap and the right one stands out; from there the bases grow greedily, one degree at a time,
as long as the leave-one-out score falls (starts in large bases mostly fail).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.deadline import Deadline
from adaptsample.core.shapes import Points
from adaptsample.surrogates._rounding import CREASE_ROUNDING
from adaptsample.surrogates.crease.fitted import FittedCrease, finish
from adaptsample.surrogates.crease.forms import Form, Signs
from adaptsample.surrogates.crease.problem import Problem, Structure, Thetas

SCREEN, SETTLE = 10, 40
"""Steps of minimisation that tell larger bases apart, and that settle one."""

HALVING = ((12, 0.25), (20, 0.3), (40, 1.0))
"""Steps of minimisation, and the share of the starts that go on."""


@final
@dataclass(frozen=True, eq=False)
class Seed:
    """Where a search may begin: the inner polynomials of a solution by their values."""

    form: Form
    structure: Structure
    levels: Float[Tensor, "b n"]
    signs: Signs

    @classmethod
    def of(cls, crease: FittedCrease, u: Points) -> "Seed":
        """Take a solution's inner polynomials at scaled points (scaled as for that solution)."""
        return cls(crease.form, crease.structure, crease.levels(crease.columns(u)), crease.signs)


@final
class Search:
    """Fits creases of one form to one standardised output.

    Args:
        form: what to fit.
        u: scaled points.
        z: standardised values.
        max_share: the largest number of parameters per point.
        n_starts: random starts in each basis.
        deadline: after which no stage begins.
        generator: the source of the starts.
    """

    def __init__(
        self,
        form: Form,
        u: Points,
        z: Float[Tensor, " n"],
        *,
        max_share: float,
        n_starts: int,
        deadline: Deadline,
        generator: Generator,
    ) -> None:
        self.form, self.u, self.z = form, u, z
        self.limit = int(max_share * len(z))
        self.n_starts, self.deadline, self.generator = n_starts, deadline, generator

    def explore(
        self, structures: Iterable[Structure], *, seeds: Sequence[Seed] = ()
    ) -> list[FittedCrease]:
        """Return the best few solutions from random starts in each basis, best score first.

        Args:
            structures: the bases to start in; those too large for the data are left out.
            seeds: solutions of a smaller form. Half of the starts take their inner polynomials and
                draw only the remaining ones.
        """
        found: list[FittedCrease] = []
        for structure in structures:
            problem = self._pose(structure)
            if problem is None:
                continue
            signs = self._random(self.n_starts, len(self.form.groups)).sign()
            thetas = [
                0.5
                * self._random(self.n_starts, len(basis.to_coefficients))
                @ basis.from_coefficients.T
                for basis in problem.inner
            ]
            for start, seed in zip(range(self.n_starts // 2), cycle(seeds), strict=False):
                signs[start, : len(seed.signs)] = seed.signs
                for level, theta, basis in zip(seed.levels, thetas, problem.inner, strict=False):
                    theta[start] = level @ basis.q
            found += self._halve(problem, torch.cat(thetas, dim=1), signs)
            if any(crease.is_exact for crease in found) or (found and self.deadline.is_over):
                break
        return sorted(found or [self._constant()], key=lambda crease: crease.score)

    def continued(self, seeds: Iterable[Seed]) -> list[FittedCrease]:
        """Return refits of solutions of the same form."""
        refits = (self._refine(seed, seed.structure, n_steps=SETTLE) for seed in seeds)
        return [refit for refit in refits if refit is not None]

    def _refine(self, seed: Seed, structure: Structure, *, n_steps: int) -> FittedCrease | None:
        """Continue in other bases, from a seed and from a few perturbations of it."""
        problem = self._pose(structure)
        if problem is None:
            return None
        theta = problem.coordinates(seed.levels)
        noise = torch.tensor([0.0, 0.01, 0.1, 0.3], dtype=theta.dtype)[:, None]
        thetas = theta * (1 + noise * self._random(len(noise), len(theta)))
        thetas, rmse = problem.minimise(
            thetas, seed.signs.expand(len(noise), -1), n_steps, damping=1e-3
        )
        return finish(problem, thetas[rmse.argmin()], seed.signs)

    def climb(self, crease: FittedCrease) -> FittedCrease:
        """Grow the bases greedily while the score falls; three steps without gain end it.

        All larger bases are tried with a few steps of minimisation, the best one with more.
        """
        best = current = crease
        stale = 0
        while stale < 3 and not best.is_exact and not self.deadline.is_over:
            seed = Seed.of(current, self.u)
            tried = [
                refined
                for grown in current.structure.grown()
                if (refined := self._refine(seed, grown, n_steps=SCREEN))
            ]
            if not tried:
                break
            current = min(tried, key=lambda refined: refined.score)
            settled = self.continued([Seed.of(current, self.u)])
            current = min(settled, key=lambda refined: refined.score, default=current)
            stale = 0 if current.score < 0.98 * best.score else stale + 1
            best = min(best, current, key=lambda refined: refined.score)
        return best

    def _pose(self, structure: Structure) -> Problem | None:
        """Return the problem in given bases, or None if they are too large for the data."""
        indices = structure.indices(self.limit)
        if indices is None:
            return None
        if len(indices[0]) + sum(len(indices[1 + g]) for g in self.form.groups) > self.limit:
            return None
        return Problem.of(self.form, structure, indices, self.u, self.z)

    def _constant(self) -> FittedCrease:
        """Return the constant fit, for data too few for anything else."""
        n_bases = 2 + max(self.form.groups)
        structure = Structure.isotropic("total", (0,) * n_bases, self.u.shape[1])
        indices = (torch.zeros(1, self.u.shape[1], dtype=torch.int64),) * n_bases
        problem = Problem.of(self.form, structure, indices, self.u, self.z)
        n_inner = len(self.form.groups)
        zeros = torch.zeros(n_inner, len(self.z), dtype=self.z.dtype)
        return finish(problem, problem.coordinates(zeros), torch.ones_like(zeros[:, 0]))

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, dtype=self.z.dtype, generator=self.generator)

    def _halve(
        self,
        problem: Problem,
        thetas: Thetas,
        signs: Signs,
    ) -> Iterator[FittedCrease]:
        """Minimise from all starts, dropping the worst in between; yield three distinct ends."""
        for n_steps, share in HALVING:
            thetas, rmse = problem.minimise(thetas, signs, n_steps)
            kept = rmse.argsort()[: max(3, round(share * len(rmse)))]
            thetas, signs, rmse = thetas[kept], signs[kept], rmse[kept]
            if rmse[0] < CREASE_ROUNDING:
                break
        last, n_yielded = -1.0, 0
        for theta, sign, error in zip(thetas, signs, rmse.tolist(), strict=True):
            if n_yielded < 3 and error > last * 1.001:
                yield finish(problem, theta, sign)
                last, n_yielded = error, n_yielded + 1
