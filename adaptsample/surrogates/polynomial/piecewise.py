"""Piecewise polynomials of one variable: pieces with a Chebyshev basis each, breaks where they pay.

A kink, a jump or a singularity spoils a polynomial on the whole interval, but not its neighbours on
either side. Pieces begin at the gaps between points that make the leave-one-out residuals smallest,
as long as one more pays. Within its gap a break goes to where its two pieces meet, which finds a
kink to all digits once they are resolved.

References:
    R. Pachon, R. Platte and L. N. Trefethen (2010), Piecewise-smooth chebfuns.
"""

from functools import cache, partial
from itertools import pairwise
from math import inf
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from numpy.polynomial import Chebyshev
from scipy.linalg.lapack import dgeqrf, dorgqr
from scipy.optimize import brentq
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.core.threads import one_thread
from adaptsample.surrogates.chebyshev import REACH
from adaptsample.surrogates.polynomial.expansion import Expansion

Array: TypeAlias = npt.NDArray[np.float64]

LEAST_POINTS = 4
"""Points of a piece, at least."""

SHARE = 0.7
"""Coefficients of a piece per point, at most: some points are left to judge by."""

GAIN = 0.25
"""One more piece must bring the squared leave-one-out residuals down to this share."""

MAX_PIECES, MAX_DEGREE = 8, 30

MAX_CUTS = 120
"""In how many places pieces are first tried to begin."""

ROUNDING = 1e-28
"""Squared standardised residuals below this are rounding."""


def piecewise(u: Points, z: Float[Tensor, " n"]) -> Expansion:
    """Fit pieces to scaled points (n, 1); a single piece where no break pays."""
    order = u[:, 0].argsort()
    t, z_sorted = u[order, 0].numpy(), z[order].numpy()
    with one_thread():
        bounds = _best_bounds(t, z_sorted)
        pieces = [(t[begin:end], z_sorted[begin:end]) for begin, end in pairwise(bounds)]
        fits = [Chebyshev.fit(*piece, _best_degree(*piece)[1]) for piece in pieces]
    gaps = [(float(t[i - 1]), float(t[i])) for i in bounds[1:-1]]
    breaks = [_meeting(*two, *gap) for two, gap in zip(pairwise(fits), gaps, strict=True)]
    columns = partial(
        _columns,
        breaks=torch.tensor([-1.0, *breaks, 1.0], dtype=u.dtype),
        degrees=tuple(fit.degree() for fit in fits),
    )
    expansion = Expansion.of(u, z, columns)
    # every break was chosen among the gaps: it counts as one more parameter
    freedom = len(z) - expansion.basis.rank
    dearer = freedom / max(freedom - len(breaks), 1)
    return Expansion.of(u, z, columns, expansion.loo * dearer)


def _best_bounds(t: Array, z: Array) -> list[int]:
    """Return the numbers of the points at which pieces begin, and n.

    Dynamic programming over the number of pieces: of several kinks no single break removes more
    than one, so pieces that are added one by one go astray. Many points are first cut coarsely,
    then each break moves to the best gap nearby.
    """

    @cache
    def cost(begin: int, end: int) -> float:
        return max(_best_degree(t[begin:end], z[begin:end])[0], ROUNDING)

    n = len(t)
    stride = -(-n // MAX_CUTS)
    is_gap = [True, *(t[1:] > t[:-1]).tolist(), True]
    cuts = [i for i in (*range(0, n - LEAST_POINTS + 1, stride), n) if is_gap[i]]
    best: tuple[float, list[int]] = (inf, [0, n])
    ends: dict[int, tuple[float, list[int]]] = {0: (0.0, [0])}
    for i in range(MAX_PIECES):
        reached: dict[int, tuple[float, list[int]]] = {}
        for begin, (so_far, bounds) in ends.items():
            if so_far / GAIN**i > best[0]:
                continue  # nor can it win with more pieces
            for end in cuts:
                if end - begin < LEAST_POINTS or (end in reached and so_far >= reached[end][0]):
                    continue
                total = so_far + cost(begin, end)
                if end not in reached or total < reached[end][0]:
                    reached[end] = total, [*bounds, end]
        if n in reached:
            best = min(best, (reached[n][0] / GAIN**i, reached[n][1]))
        ends = reached
    bounds = best[1]
    for k in range(1, len(bounds) - 1):
        before, now, after = bounds[k - 1 : k + 2]
        near = range(
            max(now - stride, before + LEAST_POINTS), min(now + stride, after - LEAST_POINTS) + 1
        )
        bounds[k] = min(
            (i for i in near if is_gap[i]), key=lambda i: cost(before, i) + cost(i, after)
        )
    return bounds


def _best_degree(t: Array, z: Array) -> tuple[float, int]:
    """Return the least sum of squared leave-one-out residuals, and the degree that has it.

    The bases are nested, so one orthogonalisation serves all degrees. A degree is dearer the more
    of the points it uses up.
    """
    n, n_columns = len(t), max(1, min(MAX_DEGREE + 1, int(SHARE * len(t))))
    middle, half = (t[0] + t[-1]) / 2, (t[-1] - t[0]) / 2
    angles = np.arccos(np.clip((t - middle) / (half if half > 0 else 1.0), -1, 1))
    reflections, factors, *_ = dgeqrf(np.cos(angles[:, None] * np.arange(n_columns)))
    q = dorgqr(reflections, factors)[0]
    rest = z[:, None] - np.cumsum(q * (q.T @ z), axis=1)
    freedom = 1 - np.cumsum(np.square(q), axis=1)
    left_out = np.where(freedom > 1e-6, rest / np.maximum(freedom, 1e-6), z[:, None])
    share = np.arange(1, n_columns + 1) / n
    cost = np.square(left_out).sum(axis=0) / np.square(1 - share)
    degree = int(cost.argmin())
    return float(cost[degree]), degree


def _meeting(left: Chebyshev, right: Chebyshev, low: float, high: float) -> float:
    """Return where two pieces meet within their gap, or its middle if they jump."""
    if (left(low) - right(low)) * (left(high) - right(high)) >= 0:
        return (low + high) / 2
    return float(brentq(lambda at: left(at) - right(at), low, high, xtol=1e-15))


def _columns(
    u: Points, breaks: Float[Tensor, " b"], degrees: tuple[int, ...]
) -> Float[Tensor, "n p"]:
    """Evaluate each piece's basis on its own stretch; zero elsewhere."""
    t = u[:, 0].contiguous()
    piece = torch.bucketize(t, breaks[1:-1])
    parts = []
    for i, degree in enumerate(degrees):
        basis = _chebyshev(_to_unit(t, breaks[i], breaks[i + 1]).clamp(-REACH, REACH), degree + 1)
        parts.append(torch.where((piece == i)[:, None], basis, 0.0))
    return torch.cat(parts, dim=1)


def _chebyshev(s: Float[Tensor, " n"], n_columns: int) -> Float[Tensor, "n p"]:
    order = torch.arange(n_columns)
    columns: Tensor = torch.special.chebyshev_polynomial_t(s[:, None], order)
    return columns


def _to_unit(
    t: Float[Tensor, " n"], low: Float[Tensor, ""], high: Float[Tensor, ""]
) -> Float[Tensor, " n"]:
    width = (high - low) / 2
    return (t - (low + high) / 2) / (width if width > 0 else 1.0)
