"""Gap x derivative: ask where gaps are wide and the function changes fast."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample import Dispersed, Model, Points, PoolStrategy, Selection, State

STEP = 0.02  # in the unit cube


@final
@dataclass(frozen=True)
class GapDerivative(PoolStrategy[Model]):
    """Scores by gap^k times the size of the k-th derivative, a bound of interpolation's error.

    The gap is the distance to the nearest point, in the unit cube, the derivative that of the model
    along the axes, by differences. LOLA-Voronoi weighs the same two, the volume of a cell and how
    far from linear the function is in it (Crombecq et al., SIAM Journal on Scientific Computing 33,
    2011).

    Args:
        order: k, 1 or 2.

    Raises:
        ValueError: another order.
    """

    selection: Selection = Dispersed(power=0.0)
    order: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in (1, 2):
            raise ValueError(f"order must be 1 or 2, got {self.order}")

    def score(self, x: Points, state: State[Model]) -> Float[Tensor, " n"]:
        """Return gap^k times the derivatives' root sum of squares, in spreads."""
        unit = state.domain.to_unit(x).clamp(STEP, 1 - STEP)
        predict, from_unit = state.model.predict, state.domain.from_unit
        middle, total = predict(from_unit(unit)), torch.zeros(len(x), dtype=x.dtype)
        for step in STEP * torch.eye(unit.shape[1], dtype=x.dtype):
            high, low = predict(from_unit(unit + step)), predict(from_unit(unit - step))
            change = (high - low) / 2 if self.order == 1 else high - 2 * middle + low
            total += (change / state.spread).square().sum(dim=1)
        return state.distance(x).pow(self.order) * total.sqrt()
