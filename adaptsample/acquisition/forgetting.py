"""Which points leave the training set; a choice that every strategy has, whatever it adds."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adaptsample.acquisition.state import State
from adaptsample.core.shapes import Points
from adaptsample.surrogates.protocol import Model


class Retirement(ABC):
    """Which points leave the training set when others enter it; frozen, like a strategy."""

    uses_model: ClassVar[bool] = True

    @abstractmethod
    def retire(self, state: State[Any]) -> Int64[Tensor, " m"]:
        """Return positions in ``state.data``."""


@final
@dataclass(frozen=True)
class KeepAll(Retirement):
    """Nothing that was paid for leaves the training set."""

    uses_model: ClassVar[bool] = False

    def retire(self, state: State[Any]) -> Int64[Tensor, " m"]:
        """Return no positions."""
        del state
        return torch.zeros(0, dtype=torch.int64)


@final
@dataclass(frozen=True)
class DropAll(Retirement):
    """The new points become the whole training set."""

    uses_model: ClassVar[bool] = False

    def retire(self, state: State[Any]) -> Int64[Tensor, " m"]:
        """Return all positions."""
        return torch.arange(len(state.data))


@final
@dataclass(frozen=True)
class DropLowest(Retirement):
    """The points with the lowest signal leave, and at least one stays.

    Args:
        signal: ``"residual"``, the distance between model and value, or ``"change"``, the change of
            the model's prediction in the last fit.
        n: how many leave at a time.
    """

    signal: Literal["residual", "change"] = "residual"
    n: int = 1

    def __post_init__(self) -> None:
        if self.signal not in ("residual", "change"):
            raise ValueError(f"signal must be 'residual' or 'change', got {self.signal!r}")
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")

    def retire(self, state: State[Model]) -> Int64[Tensor, " m"]:
        """Return the positions of the n lowest signals."""
        return _lowest(self.signal, self.n, state)


@final
@dataclass(frozen=True)
class Bounded(Retirement):
    """As many points with the lowest signal leave as are too many: fits stay affordable.

    Args:
        size: how many points stay, at most, when others enter.
        signal: see `DropLowest`.
    """

    size: int = 500
    signal: Literal["residual", "change"] = "residual"

    def __post_init__(self) -> None:
        if self.signal not in ("residual", "change"):
            raise ValueError(f"signal must be 'residual' or 'change', got {self.signal!r}")
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")

    def retire(self, state: State[Model]) -> Int64[Tensor, " m"]:
        """Return the positions of the lowest signals."""
        return _lowest(self.signal, len(state.data) - self.size, state)


def model_change(x: Points, state: State[Model]) -> Float[Tensor, " n"]:
    """Return how much the last fit changed the prediction at x, absolute, summed over outputs.

    Zero everywhere while there is no earlier model.
    """
    if state.previous is None:
        return torch.zeros(len(x), dtype=torch.float64)
    return (state.model.predict(x) - state.previous.predict(x)).abs().sum(dim=1)


def _lowest(
    signal: Literal["residual", "change"], n: int, state: State[Model]
) -> Int64[Tensor, " m"]:
    """Return the positions of the n lowest signals; at least one point stays."""
    if signal == "change":
        size = model_change(state.data.x, state)
    else:
        size = (state.model.predict(state.data.x) - state.data.y).abs().sum(dim=1)
    return size.topk(max(min(n, len(state.data) - 1), 0), largest=False).indices
