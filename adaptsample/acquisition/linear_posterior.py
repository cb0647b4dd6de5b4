"""Bayesian linear regression on features, updated a point at a time.

With weights of prior N(0, I) and noise of variance s^2, points with features F leave the weights a
covariance C = (I + F^T F / s^2)^-1, whatever their values. So what one more evaluation would teach
is known before it is paid. After a point phi

    C' = C - v v^T / (phi . v + s^2),   v = C phi,

and two numbers are kept for each candidate in step with it, at the price of a few products of the
candidates' features with a vector: its variance, and how much the variance of other points would
shrink, summed over a target R R^T. The second is the squared length of R^T C phi, over the
variance with noise. As it is as small as the variance's square, it is the vectors that are updated.
"""

from typing import Literal, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_BLOCK = 2**13  # candidates at a time


@final
class LinearPosterior:
    """What is known about linear functions of the features of candidates.

    Args:
        candidates: their features (n, f).
        known: features of points whose values are known, or will be (m, f).
        noise: standard deviation s of the noise, above 0; that of the weights is 1.
        target: the matrix (f, f) sum over r of phi_r phi_r^T of the points r at which variance is
            to shrink, or None if nobody asks.
    """

    def __init__(
        self,
        candidates: Float[Tensor, "n f"],
        known: Float[Tensor, "m f"],
        *,
        noise: float,
        target: Float[Tensor, "f f"] | None = None,
    ) -> None:
        self._candidates, self._noise = candidates, noise
        scaled = known / noise
        one = torch.eye(candidates.shape[1], dtype=candidates.dtype)
        factor = torch.linalg.cholesky(one + scaled.T @ scaled)
        root = torch.linalg.solve_triangular(factor, one, upper=False)
        self._covariance = root.T @ root
        blocks = torch.split(candidates, _BLOCK)
        self.variance = torch.cat([(block @ root.T).square().sum(dim=1) for block in blocks])
        self._aim = one[:, :0] if target is None else _root(target)
        self._aimed = candidates @ (self._covariance @ self._aim)

    @property
    def reduction(self) -> Float[Tensor, " n"]:
        """By how much the summed variance of the target shrinks if a candidate is observed."""
        covered: Tensor = torch.linalg.vector_norm(self._aimed, dim=1).square()
        return covered / (self.variance + self._noise**2)

    def greedy(self, n: int, *, by: Literal["variance", "reduction"]) -> Int64[Tensor, " n"]:
        """Observe n different candidates, each the one with the most of something at its turn.

        Returns:
            Their positions in that order.
        """
        free, chosen = torch.ones(len(self.variance), dtype=torch.bool), []
        for _ in range(n):
            score = self.variance if by == "variance" else self.reduction
            chosen.append(int(torch.where(free, score, -torch.inf).argmax()))
            self.observe(chosen[-1])
            free[chosen[-1]] = False
        return torch.tensor(chosen)

    def observe(self, i: int) -> None:
        """Take the value of candidate i for known."""
        phi = self._candidates[i]
        v = self._covariance @ phi
        shared = self._candidates @ v
        scale = float(phi @ v) + self._noise**2
        self.variance -= shared.square() / scale
        self._aimed.addr_(shared, v @ self._aim, alpha=-1 / scale)
        self._covariance.addr_(v, v, alpha=-1 / scale)


def _root(matrix: Float[Tensor, "f f"]) -> Float[Tensor, "f f"]:
    """Return R with R R^T the matrix, which is positive semidefinite."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors * values.clamp_min(0.0).sqrt()
    return root
