"""The least-squares problem of a crease at given bases, solved for many starts at once.

The coefficients of the smooth part a enter linearly and are eliminated by projection (variable
projection; Golub and Pereyra 1973), so the search sees the inner polynomials only. All bases are in
orthonormal coordinates, which makes plain Levenberg damping scale-free.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adaptsample._types import Points
from adaptsample.surrogates._bases import (
    Degrees,
    Orthonormal,
    Rule,
    chebyshev,
    multi_indices,
)
from adaptsample.surrogates._crease_forms import Form, Signs

Indices: TypeAlias = tuple[Int64[Tensor, "p d"], ...]
"""Multi-indices of each basis."""
Thetas: TypeAlias = Float[Tensor, "*batch p"]
"""Coordinates of all inner polynomials, one after the other."""

IDLE_GAIN, MAX_IDLE = 1e-3, 4
"""Minimisation ends after more than so many steps in which no start gained this share."""


@final
@dataclass(frozen=True)
class Structure:
    """Which bases a crease uses: those of a, then one for each group of inner polynomials."""

    rule: Rule
    degrees: tuple[Degrees, ...]

    @classmethod
    def isotropic(cls, rule: Rule, degrees: tuple[int, ...], dimension: int) -> "Structure":
        """Return a structure with the same degree on each axis."""
        return cls(rule, tuple((degree,) * dimension for degree in degrees))

    def indices(self, limit: int) -> Indices | None:
        """Return the multi-indices of each basis, or None where one exceeds ``limit``."""
        sets = [multi_indices(self.rule, degrees, limit) for degrees in self.degrees]
        return None if any(s is None for s in sets) else tuple(s for s in sets if s is not None)

    def grown(self) -> Iterator["Structure"]:
        """Yield larger structures: a, one inner basis or all of them; on one axis or on all."""
        n_bases, dimension = len(self.degrees), len(self.degrees[0])
        parts = [{basis} for basis in range(n_bases)]
        parts += [set(range(n_bases))]
        axes = [set(range(dimension))]
        if dimension > 1:
            axes += [{axis} for axis in range(dimension)]
        for part in parts:
            for raised in axes:
                yield Structure(
                    self.rule,
                    tuple(
                        tuple(k + (b in part and j in raised) for j, k in enumerate(degrees))
                        for b, degrees in enumerate(self.degrees)
                    ),
                )


@final
@dataclass(frozen=True, eq=False)
class Problem:
    """Fit z by a form in given bases: residuals, their Jacobian and its minimisation."""

    form: Form
    structure: Structure
    indices: Indices
    columns: tuple[Float[Tensor, "n p"], ...]  # each basis at the points
    z: Float[Tensor, " n"]
    outer: Orthonormal
    inner: tuple[Orthonormal, ...]  # one for each inner polynomial

    @classmethod
    def of(
        cls, form: Form, structure: Structure, indices: Indices, u: Points, z: Float[Tensor, " n"]
    ) -> "Problem":
        """Evaluate the bases at scaled points."""
        columns = tuple(chebyshev(u, index) for index in indices)
        bases = [Orthonormal.of(column) for column in columns]
        inner = tuple(bases[1 + group] for group in form.groups)
        return cls(form, structure, indices, columns, z, bases[0], inner)

    def coordinates(self, levels: Float[Tensor, "b n"]) -> Thetas:
        """Return the coordinates of inner polynomials with these values at the points."""
        return torch.cat([b.q.T @ level for b, level in zip(self.inner, levels, strict=True)])

    def split(self, thetas: Thetas) -> tuple[Thetas, ...]:
        """Return the coordinates of each inner polynomial."""
        return torch.split(thetas, [basis.rank for basis in self.inner], dim=-1)

    def evaluate(
        self, thetas: Thetas, signs: Signs
    ) -> tuple[Float[Tensor, "*batch n"], Float[Tensor, "*batch b n"]]:
        """Return the residuals that the best a leaves, and the slopes of g."""
        parts = zip(self.split(thetas), self.inner, strict=True)
        inner = torch.stack([theta @ basis.q.T for theta, basis in parts], dim=-2)
        g, slopes = self.form.evaluate(inner, signs)
        rest = g - self.z
        return rest - (rest @ self.outer.q) @ self.outer.q.T, slopes

    def jacobian(self, slopes: Float[Tensor, "*batch b n"]) -> Float[Tensor, "*batch n p"]:
        """Return the derivatives of g with respect to the coordinates (not projected)."""
        parts = zip(slopes.unbind(dim=-2), self.inner, strict=True)
        return torch.cat([slope[..., None] * basis.q for slope, basis in parts], dim=-1)

    def minimise(
        self, thetas: Thetas, signs: Signs, n_steps: int, *, damping: float = 1e-2
    ) -> tuple[Thetas, Float[Tensor, " batch"]]:
        """Levenberg-Marquardt from each start; three dampings are tried in each step.

        Returns:
            the coordinates reached, and their root mean square residuals.
        """
        lam = torch.full(thetas.shape[:1], damping, dtype=thetas.dtype)
        factors = torch.tensor([1e-2, 1.0, 1e2], dtype=thetas.dtype)[:, None]
        residuals, slopes = self.evaluate(thetas, signs)
        cost = residuals.square().sum(dim=-1)
        batch = torch.arange(len(thetas))
        idle = 0
        for _ in range(n_steps):
            jacobian = self.jacobian(slopes)
            along_a = self.outer.q.T @ jacobian
            hessian = jacobian.mT @ jacobian - along_a.mT @ along_a
            gradient = jacobian.mT @ residuals[..., None]
            lams = (lam * factors).clamp(1e-13, 1e12)
            damped = hessian + torch.diag_embed(lams[..., None].expand(-1, -1, thetas.shape[1]))
            factor, failed = torch.linalg.cholesky_ex(damped)
            steps = torch.cholesky_solve(gradient.expand(3, -1, -1, -1), factor)[..., 0]
            trials = thetas - steps
            trial_residuals, trial_slopes = self.evaluate(trials, signs)
            trial_cost = trial_residuals.square().sum(dim=-1)
            trial_cost = torch.where((failed > 0) | trial_cost.isnan(), torch.inf, trial_cost)
            best = trial_cost.argmin(dim=0)
            lower = trial_cost[best, batch]
            better = lower < cost
            gain = torch.where(better, 1 - lower / cost, 0.0)
            thetas = torch.where(better[:, None], trials[best, batch], thetas)
            residuals = torch.where(better[:, None], trial_residuals[best, batch], residuals)
            slopes = torch.where(better[:, None, None], trial_slopes[best, batch], slopes)
            cost = torch.where(better, lower, cost)
            # without gain the step was too bold (a crease lies in between) or all is done
            lam = torch.where(gain > 1e-5, lams[best, batch], lam * 1e3).clamp(1e-13, 1e12)
            idle = idle + 1 if float(gain.max()) < IDLE_GAIN else 0
            if idle > MAX_IDLE or float(cost.min()) < 1e-29 * len(self.z):
                break
        return thetas, (cost / len(self.z)).sqrt()
