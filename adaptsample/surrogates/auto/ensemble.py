"""The committee that a search ends with, and the weights of its members."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates.auto.candidate import Candidate, LeftOut, Score


@final
@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of a search.

    Attributes:
        committee: the best candidate and those near it; where noise decides, those with a prior.
        weights: of the committee's members in the prediction, not negative, with sum 1.
        scores: how every candidate did, in the order in which they were tried.
        n_searched: number of points at the last search of the whole portfolio.
        standing: how candidates did at that search.
        proven: bold members that stood their trial.
        left_out: what the search did without.
    """

    committee: tuple[Candidate, ...]
    weights: Float[Tensor, " m"]
    scores: tuple[Score, ...]
    n_searched: int
    standing: tuple[Score, ...]
    proven: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def winner(self) -> Candidate:
        """The best candidate."""
        return self.committee[0]

    @property
    def noise_std(self) -> Float[Tensor, ""]:
        """Standard deviation of the noise, by the members that tell; NaN if none does."""
        told = [c.noise_std for c in self.committee if c.noise_std is not None]
        return torch.stack(told).square().mean().sqrt() if told else torch.tensor(torch.nan)

    def hypotheses(self, x: Points) -> Float[Tensor, "m n"]:
        """Predict by all that the members take for possible."""
        return torch.cat([candidate.hypotheses(x) for candidate in self.committee])

    def committee_predictions(self, x: Points) -> Float[Tensor, "m n"]:
        """Predict by each member."""
        return torch.stack([candidate.predict(x) for candidate in self.committee])

    def predict(self, x: Points) -> Float[Tensor, " n"]:
        """Predict by the weighted mean of the committee."""
        return self.weights @ self.committee_predictions(x)


def stacked(committee: Sequence[Candidate]) -> Float[Tensor, " m"]:
    """Return the weights with the least held-out error (stacking; Breiman 1996)."""
    residuals = torch.stack([c.residuals * c.handicap for c in committee], dim=1)
    size = float(residuals.abs().max())
    if len(committee) == 1 or size == 0:
        return torch.eye(len(committee), dtype=residuals.dtype)[0]
    # one more equation, heavy enough to be met: the weights sum to one
    heavy = torch.full_like(residuals[:1], 1e4)
    matrix = torch.cat([residuals / size, heavy]).numpy()
    weights, _ = nnls(matrix, np.append(np.zeros(len(residuals)), 1e4))
    return torch.from_numpy(weights / weights.sum())
