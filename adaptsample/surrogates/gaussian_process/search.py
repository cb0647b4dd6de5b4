"""The search for hyper-parameters: a race of climbs from several starts.

Rough and noisy explanations of the same data are different maxima of the posterior, and so are
those of different kernels: each kernel and each level of noise has starts of its own, isotropic
ones. Most of them lead to few different maxima, and the way up is steep at first and flat at last.
A climb is given up where it is behind the best and its last steps foretell that it will remain so.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from math import inf, log
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize

from adaptsample.core.threads import one_thread
from adaptsample.surrogates.gaussian_process.kriging import Kriged
from adaptsample.surrogates.gaussian_process.likelihood import Array, Kriging

SCALES = (1e-2, 1e3)
"""Range of the length-scales; the data fill [-1, 1]^d."""

_START_SCALES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)  # times sqrt(d), the cube's size
_START_NOISES = (1e-10, 1e-2, 1.0)  # kept within the range

_STEPS, _FACTOR = 3, 4.0
"""A climb may gain as much as in so many steps, so many times; the steps are more by d / 2."""

_INDIFFERENT = 0.03
"""Posteriors that differ by no more than this, in nats, are equally good."""

_TOLERANCE = 1e-8
"""A climb ends with a step that gains no more, in units of the posterior."""


class _Start(NamedTuple):
    loss: float
    kriging: Kriging
    theta: Array


def likeliest(krigings: Sequence[Kriging], n_starts: int, theta: Array | None) -> Kriged:
    """Return the fit of highest posterior.

    Args:
        krigings: the same data with several kernels.
        n_starts: number of climbs for each kernel and level of noise.
        theta: hyper-parameters that are one more start.
    """
    with one_thread():
        starts = [start for kriging in krigings for start in _starts(kriging, n_starts)]
        starts.sort(key=lambda start: start.loss)
        if theta is not None:  # a maximum not long ago: others are up against it
            starts[:0] = [_Start(kriging.value(theta), kriging, theta) for kriging in krigings]
        best = _climb(starts[0], inf)
        for start in starts[1:]:
            best = min(best, _climb(start, best.loss), key=lambda climb: climb.loss)
    return Kriged(best.kriging, torch.from_numpy(best.theta))


def _starts(kriging: Kriging, n_starts: int) -> Iterator[_Start]:
    """Yield the best isotropic starts of each level of noise."""
    d = kriging.design.u.shape[1]
    for noise in sorted({min(noise, kriging.noise[1]) for noise in _START_NOISES}):
        thetas = [np.log([*[scale * d**0.5] * d, noise]) for scale in _START_SCALES]
        starts = (_Start(kriging.value(theta), kriging, theta) for theta in thetas)
        yield from sorted(starts, key=lambda start: start.loss)[:n_starts]


def _climb(start: _Start, to_beat: float) -> _Start:
    """Maximise the posterior by L-BFGS-B, as long as the loss may come below ``to_beat``."""
    n_steps = _STEPS + (len(start.theta) - 1) // 2
    last = deque([start.loss], maxlen=n_steps + 1)

    def give_up(intermediate_result: OptimizeResult) -> None:
        loss = float(intermediate_result.fun)
        last.append(loss)
        if len(last) > n_steps and loss - _FACTOR * (last[0] - loss) > to_beat - _INDIFFERENT:
            raise StopIteration

    ranges = [SCALES] * (len(start.theta) - 1) + [start.kriging.noise]
    found = minimize(
        start.kriging.loss,
        start.theta,
        jac=True,
        method="L-BFGS-B",
        bounds=[(log(low), log(high)) for low, high in ranges],
        callback=give_up,
        options={"ftol": _TOLERANCE},
    )
    return _Start(float(found.fun), start.kriging, found.x)
