"""Error against exact values on a fixed reference set that costs no budget."""

import torch

from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points, Values
from adaptsample.oracles.protocol import Finite, Oracle

_PER_AXIS = {1: 2001, 2: 100}
_N_SOBOL = 2**13


def reference_points(domain: Box) -> Points:
    """Return the points at which the grid error is measured.

    1-D: 2,001 equispaced points. 2-D: a 100 x 100 grid. Above: 2 ** 13 scrambled Sobol points,
    always the same.
    """
    if domain.dimension in _PER_AXIS:
        return domain.grid(_PER_AXIS[domain.dimension])
    return domain.sobol(_N_SOBOL, generator=derive_generator(0, "reference"))


def reference_set(exact: Oracle) -> Dataset:
    """Return the exact values at the reference points, without the points where none exists.

    The reference points of a finite oracle are its pool.
    """
    x = exact.pool if isinstance(exact, Finite) else reference_points(exact.domain)
    y = exact(x)
    finite = torch.isfinite(y).all(dim=1)
    return Dataset(x[finite], y[finite])


def errors(predicted: Values, exact: Values) -> dict[str, float]:
    """Return mean absolute, root mean square and largest error, over all points and outputs."""
    error = (predicted - exact).abs()
    largest = float(error.max())
    # scaled, so that squares of large errors do not overflow
    scale = largest if largest > 0 else 1.0
    return {
        "mae": float(error.mean()),
        "rmse": scale * float((error / scale).square().mean().sqrt()),
        "max": largest,
    }
