"""Sparse polynomials: single terms out of a large dictionary, by orthogonal least squares.

Chen, Billings and Luo (1989), as in sparse polynomial chaos (Luethen, Marelli and Sudret 2021).
"""

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates.chebyshev import chebyshev
from adaptsample.surrogates.polynomial.expansion import Expansion

N_FOLDS = 10
PATIENCE = 12
"""Terms that may be added without gain in cross-validation."""


def sparse(
    u: Points,
    z: Float[Tensor, " n"],
    dictionary: Int64[Tensor, "m d"],
    *,
    limit: int,
    generator: Generator,
) -> Expansion:
    """Pick up to ``limit`` terms, their number by cross-validating the whole search.

    All folds and the full data run as one batch of modified Gram-Schmidt sweeps. Inner products see
    the training points only but every row is updated, so the residual at a held-out point *is* its
    prediction error.
    """
    fold = torch.randperm(len(u), generator=generator) % N_FOLDS
    train = (fold != torch.arange(N_FOLDS + 1)[:, None]).to(u.dtype)  # the last row: all points
    columns = chebyshev(u, dictionary).expand(N_FOLDS + 1, -1, -1).clone()
    residuals = z.expand(N_FOLDS + 1, -1).clone()
    norms = torch.einsum("fn,fnm->fm", train, columns.square())
    negligible = 1e-12 * norms
    searches, points = torch.arange(N_FOLDS + 1), torch.arange(len(u))
    chosen: list[int] = []
    best, best_error, held_out = 0, torch.inf, z
    for n_terms in range(1, min(limit, int(train.sum(dim=1).min()) - 1, len(dictionary)) + 1):
        along = torch.einsum("fn,fnm->fm", train * residuals, columns)
        gain = torch.where(norms > negligible, along.square() / norms, -1.0)
        pick = gain.argmax(dim=1)
        if (gain[searches, pick] < 0).any():
            break
        chosen.append(int(pick[-1]))
        q = columns[searches, :, pick] / norms[searches, pick].sqrt()[:, None]
        residuals = residuals - q * (train * q * residuals).sum(dim=1, keepdim=True)
        overlap = torch.einsum("fn,fnm->fm", train * q, columns)
        columns.baddbmm_(q[:, :, None], overlap[:, None, :], alpha=-1)
        norms = (norms - overlap.square()).clamp_min(0)
        norms[searches, pick] = 0
        error = float(residuals[fold, points].square().mean())
        if error < best_error:
            best, best_error, held_out = n_terms, error, residuals[fold, points]
        elif n_terms > best + PATIENCE:
            break
    return Expansion.chebyshev(u, z, dictionary[chosen[: max(best, 1)]], held_out)
