"""Gradient-weighted: draw more points where the model is steep."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample import Model, State
from adaptsample.acquisition import PoolStrategy, PowerDraw, Selection
from adaptsample.core import Points

STEP = 0.01  # in the unit cube


@final
@dataclass(frozen=True)
class GradientWeighted(PoolStrategy[Model]):
    """Draws with probability ~ ``|gradient of the model| / mean + 1``, in the unit cube.

    What moving meshes do with an arc-length monitor (Huang and Russell, Adaptive moving mesh
    methods, 2011).
    """

    selection: Selection = PowerDraw()

    def score(self, x: Points, state: State[Model]) -> Float[Tensor, " n"]:
        """Return the norm of the gradient, by differences, in spreads."""
        unit = state.domain.to_unit(x).clamp(STEP, 1 - STEP)
        predict, from_unit = state.model.predict, state.domain.from_unit
        total = torch.zeros(len(x), dtype=x.dtype)
        for step in STEP * torch.eye(unit.shape[1], dtype=x.dtype):
            rise = predict(from_unit(unit + step)) - predict(from_unit(unit - step))
            total += (rise / (2 * STEP * state.spread)).square().sum(dim=1)
        return total.sqrt()
