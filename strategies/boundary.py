"""Boundary: ask on which side of a jump or crease a point is, where the models disagree most."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample import State
from adaptsample.acquisition import SearchStrategy
from adaptsample.core import Points
from adaptsample.surrogates import SupportsCommittee, SupportsStd

BRANCHES = 1e-3  # weight of the standard deviation, which decides where no side is in doubt


@final
@dataclass(frozen=True)
class Boundary(SearchStrategy[SupportsCommittee]):
    """Halves the version space: the members that separate the data alike (Tong and Koller 2001).

    At a point each member votes for the upper or the lower half of what the members predict there.
    The score is the entropy of the votes among members that agree about all pending points, so that
    a batch asks different questions, times the height in question and distance^(1/4). Where all
    agree on the sides, the standard deviation of the branches decides. The surrogate `jump` and
    `auto`, once it chose a jump, answer with a sample of all boundaries that fit the data.

    Cost: `n_candidates` + 64 `n_steps` predictions of the committee for each point.
    """

    def score(self, x: Points, state: State[SupportsCommittee]) -> Float[Tensor, " n"]:
        """Return what the side would tell, in bits times spreads, or the deviation."""
        members = state.model.committee(torch.cat([x, state.pending])) / state.spread
        low, high = members.amin(dim=0), members.amax(dim=0)
        votes = (members > low / 2 + high / 2).to(x.dtype)
        at_x, at_pending = votes[:, : len(x)], votes[:, len(x) :]
        alike = (at_pending[:, None] == at_pending).flatten(2).all(dim=2)
        groups = torch.unique(alike, dim=0).to(x.dtype)
        shares = torch.einsum("gm,mnk->gnk", groups, at_x) / groups.sum(dim=1)[:, None, None]
        bits = -(torch.xlogy(shares, shares) + torch.xlogy(1 - shares, 1 - shares))
        weight = groups.mean(dim=1)[:, None, None]
        score: Tensor = ((weight * bits).sum(dim=0) * (high - low)[: len(x)]).sum(dim=-1)
        if isinstance(state.model, SupportsStd):
            score = score + BRANCHES * (state.model.std(x) / state.spread).sum(dim=-1)
        return score * state.distance(x).pow(0.25)
