"""Models take torch tensors or NumPy arrays and answer in the same kind: the one place for it."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = TypeVar("Array", Tensor, NDArray[np.float64])


class HasDimension(Protocol):
    """A model of points with ``dimension`` coordinates."""

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""


M = TypeVar("M", bound=HasDimension)


def accepts_arrays(method: Callable[[M, Tensor], Tensor]) -> Callable[[M, Array], Array]:
    """Let a model's method on points, tensor (n, d) -> tensor, take NumPy arrays as well.

    The method itself sees a finite float64 tensor of shape (n, d) on the CPU. Its caller gets back
    what it gave, a tensor or an array.

    Raises:
        ValueError: points of another shape, or not finite; the message names both shapes.
    """

    def checked(model: M, x: Array) -> Array:
        points = torch.as_tensor(x, dtype=torch.float64, device="cpu")
        if points.ndim != 2 or points.shape[1] != model.dimension:
            raise ValueError(
                f"points must have shape (n, {model.dimension}), got {tuple(points.shape)}"
            )
        if not torch.isfinite(points).all():
            bad = int((~torch.isfinite(points)).any(dim=1).nonzero()[0])
            raise ValueError(f"points must be finite, got {points[bad].tolist()} in row {bad}")
        answer = method(model, points)
        return answer if isinstance(x, Tensor) else answer.numpy()

    checked.__name__, checked.__doc__ = method.__name__, method.__doc__
    return checked
