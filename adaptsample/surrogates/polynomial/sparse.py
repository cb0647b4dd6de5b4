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

    All folds and the full data run as one batch of Gram-Schmidt sweeps. Inner products see the
    training points only but every row is updated, so the residual at a held-out point *is* its
    prediction error. What is orthogonal to the chosen terms has the same inner products with a
    column before and after these are taken out of it: all sweeps share one table of columns.
    """
    fold = torch.randperm(len(u), generator=generator) % N_FOLDS
    train = (fold != torch.arange(N_FOLDS + 1)[:, None]).to(u.dtype)  # the last row: all points
    columns = chebyshev(u, dictionary)
    residuals = z.expand(N_FOLDS + 1, -1)
    norms = train @ columns.square()
    negligible = 1e-12 * norms
    searches, points = torch.arange(N_FOLDS + 1), torch.arange(len(u))
    n_most = min(limit, int(train.sum(dim=1).min()) - 1, len(dictionary))
    terms = torch.zeros(N_FOLDS + 1, len(u), n_most, dtype=u.dtype)
    along = (train * residuals) @ columns
    chosen: list[int] = []
    best, best_error, held_out = 0, torch.inf, z
    for n_terms in range(1, n_most + 1):
        gain = torch.where(norms > negligible, along.square() / norms, -1.0)
        pick = gain.argmax(dim=1)
        if (gain[searches, pick] < 0).any():
            break
        chosen.append(int(pick[-1]))
        q = _orthonormal(columns[:, pick].T, terms[:, :, : n_terms - 1], train)
        terms[:, :, n_terms - 1] = q
        residuals = residuals - q * (train * q * residuals).sum(dim=1, keepdim=True)
        overlap, along = (torch.stack([q, residuals]) * train) @ columns
        norms = (norms - overlap.square()).clamp_min(0)
        norms[searches, pick] = 0
        error = float(residuals[fold, points].square().mean())
        if error < best_error:
            best, best_error, held_out = n_terms, error, residuals[fold, points]
        elif n_terms > best + PATIENCE:
            break
    return Expansion.chebyshev(u, z, dictionary[chosen[: max(best, 1)]], held_out)


def _orthonormal(
    columns: Float[Tensor, "f n"], terms: Float[Tensor, "f n k"], train: Float[Tensor, "f n"]
) -> Float[Tensor, "f n"]:
    """Take the terms out of a column for each search; a second time, against rounding."""
    for _ in range(2):
        overlap = (train * columns)[:, None, :] @ terms
        columns = columns - (terms @ overlap.mT)[:, :, 0]
    return columns / (train * columns.square()).sum(dim=1, keepdim=True).sqrt()
