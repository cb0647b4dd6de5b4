"""MaxDet: ask what the features determine least, again and again (D-optimal design)."""

from dataclasses import dataclass
from typing import Any, final

from jaxtyping import Int64
from torch import Generator, Tensor

from adaptsample.acquisition import FeatureStrategy, LinearPosterior, Rows


@final
@dataclass(frozen=True)
class MaxDet(FeatureStrategy[Any]):
    """Greedily maximises the determinant of the batch's kernel matrix, given what is known.

    That is uncertainty sampling with an update by rank one after each point (Fedorov, Theory of
    optimal experiments, 1972; for networks: Holzmüller et al., A framework and benchmark for deep
    batch active learning for regression, JMLR 24, 2023).

    Args:
        noise: standard deviation of the noise, for features of mean square 1.
    """

    noise: float = 1e-3

    def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Int64[Tensor, " n"]:
        """Return the candidates in the order in which they are chosen."""
        del generator
        posterior = LinearPosterior(rows.new, rows.known, noise=self.noise)
        return posterior.greedy(n, by="variance")
