"""Levenberg-Marquardt for a crease from many starts at once, one compiled program for each form.

The coefficients of the smooth part enter linearly and are eliminated by projection (variable
projection; Golub and Pereyra 1973; its Jacobian as simplified by Kaufman 1975). What is left is
small, so that an interpreter would take longer over it than the arithmetic does.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from adaptsample.surrogates.crease.forms import Evaluate
from adaptsample.training.torchscript import script


class Target(NamedTuple):
    """What is fitted, and in which bases.

    Attributes:
        z: the values (n,).
        outer: orthonormal columns (n, p) of the smooth part.
        inner: orthonormal columns (n, q) of each inner polynomial.
    """

    z: Tensor
    outer: Tensor
    inner: list[Tensor]


Residuals: TypeAlias = Callable[[Tensor, Tensor, Target], tuple[Tensor, Tensor]]
Minimise: TypeAlias = Callable[[Tensor, Tensor, Target, int, float], tuple[Tensor, Tensor]]


def make_residuals(evaluate: Evaluate) -> Residuals:
    """Return the residuals (..., n) that the best smooth part leaves, and the slopes of g."""

    def residuals(thetas: Tensor, signs: Tensor, target: Target) -> tuple[Tensor, Tensor]:
        levels: list[Tensor] = []
        start = 0
        for q in target.inner:
            levels.append(torch.matmul(thetas[..., start : start + q.size(1)], q.t()))
            start += q.size(1)
        g, slopes = evaluate(torch.stack(levels, dim=-2), signs)
        rest = g - target.z
        return rest - torch.matmul(torch.matmul(rest, target.outer), target.outer.t()), slopes

    return residuals


def jacobian_of(slopes: Tensor, target: Target) -> Tensor:
    """Return the derivatives (..., n, p) of g with respect to the coordinates, not projected."""
    parts: list[Tensor] = []
    for i, q in enumerate(target.inner):
        parts.append(slopes[..., i, :].unsqueeze(-1) * q)
    return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]


def make_minimiser(residuals: Residuals) -> Minimise:
    """Return the minimisation: from thetas (b, p), so many steps, with a damping to begin with.

    Three dampings are tried in each step. It returns the coordinates reached, and their root mean
    square residuals (b,).
    """

    def minimise(
        thetas: Tensor, signs: Tensor, target: Target, n_steps: int, damping: float
    ) -> tuple[Tensor, Tensor]:
        idle_gain, max_idle = 1e-3, 4  # it ends after so many steps in which no start gains more
        n = target.z.numel()
        lam = torch.full([thetas.size(0)], damping, dtype=thetas.dtype)
        factors = torch.pow(10.0, torch.arange(-2, 3, 2, dtype=thetas.dtype)).unsqueeze(1)
        batch = torch.arange(thetas.size(0))
        rest, slopes = residuals(thetas, signs, target)
        cost = rest.square().sum(dim=-1)
        idle = 0
        for _ in range(n_steps):
            jacobian = jacobian_of(slopes, target)
            along_a = torch.matmul(target.outer.t(), jacobian)
            hessian = torch.matmul(jacobian.mT, jacobian) - torch.matmul(along_a.mT, along_a)
            gradient = torch.matmul(jacobian.mT, rest.unsqueeze(-1))
            lams = (lam * factors).clamp(1e-13, 1e12)
            diagonals = lams.unsqueeze(-1).expand(-1, -1, thetas.size(1))
            factor, failed = torch.linalg.cholesky_ex(hessian + torch.diag_embed(diagonals))
            steps = torch.cholesky_solve(gradient.expand(3, -1, -1, -1), factor)
            trials = thetas - steps.squeeze(-1)
            trial_rest, trial_slopes = residuals(trials, signs, target)
            trial_cost = trial_rest.square().sum(dim=-1)
            trial_cost = torch.where((failed > 0) | trial_cost.isnan(), torch.inf, trial_cost)
            best = trial_cost.argmin(dim=0)
            lower = trial_cost[best, batch]
            better = lower < cost
            gain = torch.where(better, 1 - lower / cost, 0.0)
            thetas = torch.where(better.unsqueeze(1), trials[best, batch], thetas)
            rest = torch.where(better.unsqueeze(1), trial_rest[best, batch], rest)
            slopes = torch.where(better.view(-1, 1, 1), trial_slopes[best, batch], slopes)
            cost = torch.where(better, lower, cost)
            # without gain the step was too bold (a crease lies in between) or all is done
            lam = torch.where(gain > 1e-5, lams[best, batch], lam * 1e3).clamp(1e-13, 1e12)
            idle = idle + 1 if float(gain.max()) < idle_gain else 0
            if idle > max_idle or float(cost.min()) < 1e-29 * n:
                break
        return thetas, (cost / n).sqrt()

    return minimise


@cache
def compiled_minimiser(evaluate: Evaluate) -> Minimise:
    """Return the minimisation for a form as one compiled program."""
    return script(make_minimiser(make_residuals(evaluate)), is_tuned=False)
