"""Integrated variance reduction: ask what makes all predictions surer, not the one point."""

from dataclasses import dataclass
from typing import Any, final

from jaxtyping import Int64
from torch import Generator, Tensor

from adaptsample.acquisition import FeatureStrategy, LinearPosterior, Rows


@final
@dataclass(frozen=True)
class IntegratedVariance(FeatureStrategy[Any]):
    """Greedily shrinks the mean predictive variance of all candidates (IVR, also called ALC).

    The variance is that of linear regression on the features (Cohn, Neural network exploration
    using optimal experiment design, Neural Networks 9, 1996; for Gaussian processes: Seo et al.,
    IJCNN 2000). Each point that is chosen updates it by rank one.

    Args:
        noise: standard deviation of the noise, for features of mean square 1.
    """

    noise: float = 1e-3

    def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Int64[Tensor, " n"]:
        """Return the candidates in the order in which they are chosen."""
        del generator
        posterior = LinearPosterior(
            rows.new, rows.known, noise=self.noise, target=rows.new.T @ rows.new
        )
        return posterior.greedy(n, by="reduction")
