"""Gap x derivative: ask where gaps are wide and the function changes fast."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample import Model, State
from adaptsample.acquisition import Candidates, CandidateStrategy, Dispersed
from adaptsample.core import Points

STEP = 0.02  # in the unit cube


@final
@dataclass(frozen=True)
class GapDerivative(CandidateStrategy[Model]):
    """Maximises gap^k times the size of the k-th derivative, a bound of interpolation's error.

    The gap is the distance to the nearest point that is taken or chosen, in the unit cube; the
    derivative is that of the model along the axes, by differences. LOLA-Voronoi weighs the same
    two, the volume of a cell and how far from linear the function is in it (Crombecq et al., SIAM
    Journal on Scientific Computing 33, 2011).

    Cost: candidates x (points known + points asked), and 2 d + 1 predictions of the candidates.

    Args:
        order: k, 1 or 2.

    Raises:
        ValueError: another order.
    """

    order: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in (1, 2):
            raise ValueError(f"order must be 1 or 2, got {self.order}")

    def choose(
        self, x: Points, state: State[Model], n: int, *, generator: Generator
    ) -> Int64[Tensor, " m"]:
        """Return the candidates in the order in which they are chosen."""
        unit = state.domain.to_unit
        candidates = Candidates(unit(x), unit(state.taken))
        selection = Dispersed(power=self.order, n_best=len(x))
        score = self._derivative(unit(x).clamp(STEP, 1 - STEP), state)
        return selection.select(score, n, candidates=candidates, generator=generator)

    def _derivative(self, u: Points, state: State[Model]) -> Float[Tensor, " n"]:
        """Return the root sum of squares of the derivatives' sizes, in spreads."""
        predict, from_unit = state.model.predict, state.domain.from_unit
        middle, total = predict(from_unit(u)), torch.zeros(len(u), dtype=u.dtype)
        for step in STEP * torch.eye(u.shape[1], dtype=u.dtype):
            high, low = predict(from_unit(u + step)), predict(from_unit(u - step))
            change = (high - low) / 2 if self.order == 1 else high - 2 * middle + low
            total += (change / state.spread).square().sum(dim=1)
        return total.sqrt() / STEP**self.order
