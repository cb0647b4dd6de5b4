"""BAIT: ask what makes predictions surer at all points, those that are known among them."""

from dataclasses import dataclass
from typing import Any, final

from jaxtyping import Int64
from torch import Generator, Tensor

from adaptsample.acquisition import FeatureStrategy, LinearPosterior, Rows


@final
@dataclass(frozen=True)
class Bait(FeatureStrategy[Any]):
    """Greedily minimises trace(C F), with F the Fisher information of pool and training set.

    For regression that is `integrated_variance` with the training points in the target (Ash et al.,
    Gone fishing: neural active learning with Fisher embeddings, NeurIPS 2021), here with the
    forward selection alone.

    Args:
        noise: standard deviation of the noise, for features of mean square 1.
    """

    noise: float = 1e-3

    def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Int64[Tensor, " n"]:
        """Return the candidates in the order in which they are chosen."""
        del generator
        information = rows.new.T @ rows.new + rows.known.T @ rows.known
        posterior = LinearPosterior(rows.new, rows.known, noise=self.noise, target=information)
        return posterior.greedy(n, by="reduction")
