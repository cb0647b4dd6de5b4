"""A recipe that claims what a test needs, to see what is made of it."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.scaling import spread_of


@dataclass(frozen=True)
class Claim:
    """Fits a line, and claims whatever it is told to claim.

    Args:
        errors: held-out residuals in spreads of the values, point by point, then from the first
            again.
        off: how far predictions lie above the line, in spreads.
        n_parameters: the number of parameters.
        swing: how much larger errors are between the points.
        doubt: the distance to another fit, in spreads; NaN if there is none.
        noise: the standard deviation of the noise, in spreads; NaN if it tells none.
        is_refitted: whether the residuals are of fits that did not know the points.
    """

    errors: tuple[float, ...] = (0.0,)
    off: float = 0.0
    n_parameters: int = 1
    swing: float = 1.0
    doubt: float = math.nan
    noise: float = math.nan
    is_refitted: bool = False

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> "ClaimModel":
        del generator, start
        return ClaimModel(self, data)


@dataclass(frozen=True)
class ClaimModel:
    recipe: Claim
    data: Dataset

    def predict(self, x: Tensor) -> Tensor:
        line = torch.linalg.lstsq(_terms(self.data.x), self.data.y).solution
        return _terms(x) @ line + self.recipe.off * spread_of(self.data.y)

    def held_out_residuals(self, *, generator: Generator) -> Tensor:
        del generator
        n, errors = len(self.data), self.recipe.errors
        claimed = [errors[k % len(errors)] for k in range(n)]
        return torch.tensor(claimed, dtype=torch.float64)[:, None] * spread_of(self.data.y)

    @property
    def n_parameters(self) -> tuple[int, ...]:
        return (self.recipe.n_parameters,)

    @property
    def swings(self) -> tuple[float, ...]:
        return (self.recipe.swing,)

    @property
    def doubts(self) -> tuple[float, ...]:
        return (self.recipe.doubt,)

    @property
    def noise_std(self) -> Tensor:
        return self.recipe.noise * spread_of(self.data.y)

    @property
    def is_refitted(self) -> tuple[bool, ...]:
        return (self.recipe.is_refitted,)


def _terms(x: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(x[:, :1]), x], dim=1)
