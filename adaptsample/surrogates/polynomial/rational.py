"""Rational functions of one variable, by the AAA algorithm (Nakatsukasa, Sete, Trefethen 2018).

In barycentric form r(u) = sum_j w_j z_j / (u - s_j) / sum_j w_j / (u - s_j), greedy support points
s_j and weights w_j from a singular value decomposition. At fixed weights r is linear in the z_j, so
it is an expansion like any other: its features are the cardinal functions of the support points.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates.polynomial.expansion import Expansion

N_FOLDS = 10
MAX_TERMS = 50


@final
@dataclass(frozen=True, eq=False)
class Cardinals:
    """The functions that are 1 at one support point and 0 at the others."""

    support: Float[Tensor, " m"]
    weights: Float[Tensor, " m"]

    def __call__(self, u: Points) -> Float[Tensor, "n m"]:
        """Evaluate at scaled points (n, 1)."""
        distance = u - self.support
        hit = distance == 0
        terms = self.weights / torch.where(hit, 1.0, distance)
        values = torch.where(hit.any(dim=1, keepdim=True), hit.to(u.dtype), terms)
        total = values.sum(dim=1, keepdim=True)
        return values / torch.where(total == 0, torch.finfo(u.dtype).tiny, total)


def rational(u: Points, z: Float[Tensor, " n"], *, generator: Generator) -> Expansion:
    """Fit a rational function of cross-validated degree to scaled points (n, 1)."""
    fold = torch.randperm(len(u), generator=generator) % N_FOLDS
    errors = torch.zeros(MAX_TERMS, len(u), dtype=z.dtype)
    for k in range(N_FOLDS):
        train, held = fold != k, fold == k
        value = z[held]
        for m, (cardinals, support_values) in enumerate(_aaa(u[train], z[train])):
            value = cardinals(u[held]) @ support_values
            errors[m, held] = z[held] - value
        errors[m + 1 :, held] = z[held] - value
    best = int(errors.square().mean(dim=1).nan_to_num(torch.inf).argmin())
    found = _aaa(u, z)
    cardinals, _ = found[min(best, len(found) - 1)]
    return Expansion.of(u, z, cardinals, errors[best])


def _aaa(u: Points, z: Float[Tensor, " n"]) -> list[tuple[Cardinals, Float[Tensor, " m"]]]:
    """Return the rational functions with 1, 2, ... support points."""
    is_free = torch.ones(len(u), dtype=torch.bool)
    fitted = z.mean().expand(len(z))
    chosen: list[int] = []
    found: list[tuple[Cardinals, Float[Tensor, " m"]]] = []
    while len(chosen) < min(MAX_TERMS, len(u) // 2):
        worst = int(torch.where(is_free, (z - fitted).abs(), -1.0).argmax())
        is_free &= u[:, 0] != u[worst, 0]  # duplicates go with it
        chosen.append(worst)
        if not is_free.any():
            break
        support, support_values = u[chosen, 0], z[chosen]
        cauchy = 1 / (u[is_free] - support)
        loewner = (z[is_free][:, None] - support_values) * cauchy
        is_wide = len(loewner) < len(chosen)  # its null space is in the full matrix only
        weights = torch.linalg.svd(loewner, full_matrices=is_wide)[2][-1]
        cardinals = Cardinals(support, weights)
        found.append((cardinals, support_values))
        fitted = cardinals(u) @ support_values
        if float((z - fitted).abs().amax()) < 1e-13:
            break
    return found
