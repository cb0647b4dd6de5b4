"""How honest a predictive distribution is: scores of Gaussian predictions against exact values.

A prediction is a mean and a standard deviation, both in the units of the value y. A *calibrated*
prediction covers y as often as its intervals claim. Coverage alone is satisfied by intervals that
are equally wide everywhere, so the proper scores judge calibration and sharpness together: negative
log likelihood (NLL), continuous ranked probability score (CRPS) and interval score are all least,
in expectation, for the true distribution.

References:
    T. Gneiting and A. E. Raftery (2007), Strictly proper scoring rules, prediction, and estimation.
    Y. Chung et al. (2021), Uncertainty Toolbox: the names of the scores.
"""

from collections.abc import Sequence
from math import log, pi, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.shapes import Values

LEVELS = (0.5, 0.8, 0.95)
"""The central intervals whose coverage is reported."""

_WITHIN_ONE_STD = 0.6826894921370859  # share of a normal distribution


def calibration_scores(y: Values, mean: Values, std: Values) -> dict[str, float]:
    """Return all scores: coverage_50, coverage_80, coverage_95, nll, crps, interval.

    Args:
        y: exact values (n, k).
        mean: predictive means (n, k).
        std: predictive standard deviations (n, k), above 0 and in the units of y.

    Raises:
        ValueError: shapes that differ, numbers that are not finite, or a std of 0 or less.
    """
    coverage = {
        f"coverage_{level * 100:.0f}": proportion_in_interval(y, mean, std, level)
        for level in LEVELS
    }
    return {
        **coverage,
        "nll": nll_gaussian(y, mean, std),
        "crps": crps_gaussian(y, mean, std),
        "interval": interval_score(y, mean, std),
    }


def proportion_in_interval(y: Values, mean: Values, std: Values, level: float) -> float:
    """Return the share of values in the central interval of probability ``level``."""
    return float((_standardised(y, mean, std).abs() <= _half_width(level)).double().mean())


def nll_gaussian(y: Values, mean: Values, std: Values) -> float:
    """Return the mean negative log likelihood."""
    z = _standardised(y, mean, std)
    return float((0.5 * log(2 * pi) + torch.log(std) + z.square() / 2).mean())


def crps_gaussian(y: Values, mean: Values, std: Values) -> float:
    """Return the mean continuous ranked probability score, in the units of y.

    CRPS(F, y) = integral of (F(t) - 1[t >= y])^2 dt, in closed form for Gaussian F (Gneiting and
    Raftery, section 4.2). As the std goes to 0 it becomes the absolute error.
    """
    z = _standardised(y, mean, std)
    density = torch.exp(-z.square() / 2) / sqrt(2 * pi)
    return float((std * (z * torch.erf(z / sqrt(2)) + 2 * density - 1 / sqrt(pi))).mean())


def interval_score(y: Values, mean: Values, std: Values, levels: Sequence[float] = LEVELS) -> float:
    """Return the mean interval score, in the units of y: width, plus a penalty for misses.

    An interval of probability 1 - alpha pays 2 / alpha for each unit by which it misses y (Gneiting
    and Raftery, section 6.2). The score is averaged over ``levels``.
    """
    distance = _standardised(y, mean, std).abs()
    total = 0.0
    for level in levels:
        half = _half_width(level)
        miss = (distance - half).clamp_min(0.0)
        total += float((std * (2 * half + 2 / (1 - level) * miss)).mean())
    return total / len(levels)


def calibrated_scale(residuals: Float[Tensor, " n"], std: Float[Tensor, " n"]) -> float:
    """Return the factor on ``std`` that makes held-out residuals look standard normal.

    It is the quantile of ``|residual| / std`` that one standard deviation is for a normal
    distribution (68.27 %), so almost a third of the residuals may be arbitrarily large.

    Raises:
        ValueError: shapes that differ, numbers that are not finite, or a std of 0 or less.
    """
    z = _standardised(residuals, torch.zeros_like(residuals), std)
    return float(torch.quantile(z.abs(), _WITHIN_ONE_STD))


def _half_width(level: float) -> float:
    """Return the half width of a central interval of the standard normal distribution."""
    if not 0 < level < 1:
        raise ValueError(f"level is a probability between 0 and 1, e.g. 0.95; got {level}")
    return float(torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)))


def _standardised(y: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    if not y.shape == mean.shape == std.shape:
        raise ValueError(
            "y, mean and std must have one shape, "
            f"got {tuple(y.shape)}, {tuple(mean.shape)} and {tuple(std.shape)}"
        )
    if not (torch.isfinite(y).all() and torch.isfinite(mean).all() and torch.isfinite(std).all()):
        raise ValueError("y, mean and std must be finite; leave out points that are not")
    if y.numel() == 0 or bool((std <= 0).any()):
        raise ValueError(
            "scores need at least one value and std > 0 everywhere; "
            "give an exact prediction the smallest std that you believe in"
        )
    return (y - mean) / std
