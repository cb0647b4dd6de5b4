"""The search for a crease: many random starts in small bases, the best ones grown.

Finding the crease is the hard part, precision afterwards is routine: starts in bases of low degree
are cheap and the right one stands out; from there the bases grow greedily, one degree at a time,
as long as the leave-one-out score falls (starts in large bases mostly fail). Starts race: after a
few steps the worst of them are dropped, and the bases whose best ones are far behind.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.shapes import Points
from adaptsample.core.work import Work
from adaptsample.surrogates._rounding import CREASE_ROUNDING
from adaptsample.surrogates.crease.fitted import FittedCrease, finish
from adaptsample.surrogates.crease.forms import Form, Signs
from adaptsample.surrogates.crease.problem import Problem, Structure, Thetas

SCREEN, SETTLE = 10, 40
"""Steps of minimisation that tell larger bases apart, and that settle one."""

FIRST, HALVING = (12, 0.25), ((20, 0.3), (40, 1.0))
"""Steps of minimisation, and the share of the starts that go on: at first, in bases that go on."""

STEADY = 0.8
"""A step towards a goal lowers the score by this factor at least."""

N_BASES, NEAR = 8, 3.0
"""So many bases go on at most, and those whose best start is at most so many times worse than the
best of all; a start counts for more the more parameters it needs."""


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
@dataclass(frozen=True, eq=False)
class Race:
    """The starts in given bases that go on.

    Attributes:
        badness: root mean square residual of the best, dearer the more parameters it has.
    """

    problem: Problem
    thetas: Thetas
    signs: Signs
    rmse: Float[Tensor, " starts"]
    badness: float

    @property
    def is_exact(self) -> bool:
        """Whether nothing is left to find."""
        return bool(self.rmse[0] < CREASE_ROUNDING)


@final
class Search:
    """Fits creases of one form to one standardised output.

    Args:
        form: what to fit.
        u: scaled points.
        z: standardised values.
        max_share: the largest number of parameters per point.
        n_starts: random starts in each basis.
        work: when it is over, no stage begins.
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
        work: Work,
        generator: Generator,
    ) -> None:
        self.form, self.u, self.z = form, u, z
        self.limit = int(max_share * len(z))
        self.n_starts, self.work, self.generator = n_starts, work, generator

    def explore(
        self, structures: Iterable[Structure], *, seeds: Sequence[Seed] = ()
    ) -> list[FittedCrease]:
        """Return the best few solutions from random starts in each basis, best score first.

        Args:
            structures: the bases to start in; those too large for the data are left out.
            seeds: solutions of a smaller form. Half of the starts take their inner polynomials and
                draw only the remaining ones.
        """
        races: list[Race] = []
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
            races.append(self._advanced(problem, torch.cat(thetas, dim=1), signs, *FIRST))
            if races[-1].is_exact or self.work.is_over:
                break
        races.sort(key=lambda race: race.badness)
        near = [race for race in races[:N_BASES] if race.badness <= NEAR * races[0].badness]
        found: list[FittedCrease] = []
        for race in near:
            found += self._finished(race)
            if any(crease.is_exact for crease in found) or self.work.is_over:
                break
        return sorted(found or [self._constant()], key=lambda crease: crease.score)

    def continued(self, seeds: Iterable[Seed]) -> list[FittedCrease]:
        """Return refits of solutions of the same form, until one is exact or the work is over."""
        refits: list[FittedCrease] = []
        for seed in seeds:
            refit = self._refine(seed, seed.structure, n_steps=SETTLE)
            if refit is not None:
                refits.append(refit)
                if refit.is_exact or self.work.is_over:
                    break
        return refits

    def _refine(self, seed: Seed, structure: Structure, *, n_steps: int) -> FittedCrease | None:
        """Continue in other bases, from a seed and from a few perturbations of it."""
        problem = self._pose(structure)
        if problem is None:
            return None
        theta = problem.coordinates(seed.levels)
        noise = torch.tensor([0.0, 0.01, 0.1, 0.3], dtype=theta.dtype)[:, None]
        thetas = theta * (1 + noise * self._random(len(noise), len(theta)))
        self._count(problem, len(thetas), n_steps)
        thetas, rmse = problem.minimise(
            thetas, seed.signs.expand(len(noise), -1), n_steps, damping=1e-3
        )
        return finish(problem, thetas[rmse.argmin()], seed.signs)

    def climb(self, crease: FittedCrease, *, goal: float = 0.0) -> FittedCrease:
        """Grow the bases greedily while the score falls; three steps without gain end it.

        All larger bases are tried with a few steps of minimisation, the best one with more. As long
        as a goal is not reached, one step that gains little ends it.
        """
        best = current = crease
        stale = 0
        while stale < 3 and not best.is_exact and not self.work.is_over:
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
            if 0 < goal < current.score and current.score > STEADY * best.score:
                stale = 3
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

    def _advanced(
        self, problem: Problem, thetas: Thetas, signs: Signs, n_steps: int, share: float
    ) -> Race:
        """Minimise from all starts, and drop the worst."""
        self._count(problem, len(thetas), n_steps)
        thetas, rmse = problem.minimise(thetas, signs, n_steps)
        kept = rmse.argsort()[: max(3, round(share * len(rmse)))]
        n_parameters = problem.outer.rank + thetas.shape[1]
        rest = max(1 - n_parameters / len(self.z), 1e-3)
        badness = max(float(rmse[kept[0]]), CREASE_ROUNDING) / rest
        return Race(problem, thetas[kept], signs[kept], rmse[kept], badness)

    def _finished(self, race: Race) -> Iterator[FittedCrease]:
        """Go on from the starts left, dropping the worst in between; yield three distinct ends."""
        for n_steps, share in HALVING:
            if not race.is_exact:
                race = self._advanced(race.problem, race.thetas, race.signs, n_steps, share)
        last, n_yielded = -1.0, 0
        for theta, sign, error in zip(race.thetas, race.signs, race.rmse.tolist(), strict=True):
            if n_yielded < 3 and error > last * 1.001:
                yield finish(race.problem, theta, sign)
                last, n_yielded = error, n_yielded + 1

    def _count(self, problem: Problem, n_starts: int, n_steps: int) -> None:
        """Count a minimisation: its Jacobians, Hessians, and three residuals in each step."""
        n, p, q = len(self.z), problem.outer.rank, sum(basis.rank for basis in problem.inner)
        step = n * q * (q + p) + p * q * q + q**3 + 3 * n * (q + 2 * p)
        self.work.count(n_starts * n_steps * step, calls=5 * n_steps)
