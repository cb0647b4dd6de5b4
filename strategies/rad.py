"""RAD: draw by how large held-out errors are nearby."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import State
from adaptsample.acquisition import PoolStrategy, PowerDraw, Selection, k_nearest
from adaptsample.core import Points
from adaptsample.surrogates import SupportsHeldOut

N_NEIGHBOURS = 3


@final
@dataclass(frozen=True)
class RAD(PoolStrategy[SupportsHeldOut]):
    """Residual-based adaptive distribution: probability ~ error^k / mean + c.

    By default k = 1 and c = 1; ``selection=PowerDraw(2.0, 0.0)`` is RAR-D (Wu, Zhu, Tan, Kartha and
    Lu, A comprehensive study of non-adaptive and residual-based adaptive sampling for
    physics-informed neural networks, CMAME 403, 2023). There residuals are known everywhere; here
    the error is that of cross-validation, interpolated by inverse distance between the three
    nearest training points.

    Cost: candidates x training points; and the cross-validation, for networks five refits.
    """

    selection: Selection = PowerDraw()

    def score(self, x: Points, state: State[SupportsHeldOut]) -> Float[Tensor, " n"]:
        """Return the interpolated size of the held-out residuals, in spreads."""
        residuals = state.model.held_out_residuals(generator=state.generator("residuals"))
        size = (residuals / state.spread).abs().sum(dim=-1).nan_to_num()
        unit = state.domain.to_unit
        k = min(N_NEIGHBOURS, len(size))
        squares, near = k_nearest(unit(x), unit(state.data.x), k)
        weight = 1 / squares.sqrt().clamp_min(1e-12)
        return (weight * size[near]).sum(dim=1) / weight.sum(dim=1)
