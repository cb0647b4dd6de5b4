"""Scores of predictive distributions, against numerical integration and definitions."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from adaptsample.core.randomness import derive_generator
from adaptsample.metrics.calibration import (
    LEVELS,
    calibrated_scale,
    calibration_scores,
    crps_gaussian,
    interval_score,
    nll_gaussian,
    proportion_in_interval,
)

SCORES = [nll_gaussian, crps_gaussian, interval_score]
CASES = [(0.3, 1.1, 0.7), (-2.0, 1.0, 0.5), (5.0, 5.0, 2.0), (1.0, -3.0, 4.0)]  # y, mean, std


def column(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def normal(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 1, dtype=torch.float64, generator=derive_generator(seed, "normal"))


@pytest.mark.parametrize(("y", "mean", "std"), CASES)
def test_crps_is_the_integral_that_defines_it(y: float, mean: float, std: float):
    def below(t: float) -> float:
        return norm.cdf(t, mean, std) ** 2

    def above(t: float) -> float:
        return norm.sf(t, mean, std) ** 2

    low, high = min(y, mean) - 12 * std, max(y, mean) + 12 * std
    points = [mean] if low < mean < high else None
    expected = quad(below, low, y, limit=200, points=points if mean < y else None)[0]
    expected += quad(above, y, high, limit=200, points=points if mean > y else None)[0]
    assert crps_gaussian(column(y), column(mean), column(std)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("y", "mean", "std"), CASES)
def test_nll_is_minus_the_log_density(y: float, mean: float, std: float):
    expected = -norm.logpdf(y, mean, std)
    assert nll_gaussian(column(y), column(mean), column(std)) == pytest.approx(expected)


@pytest.mark.parametrize(("y", "mean", "std"), CASES)
@pytest.mark.parametrize("level", LEVELS)
def test_interval_score_is_the_sum_of_both_quantile_losses(
    y: float, mean: float, std: float, level: float
):
    alpha = 1 - level
    expected = 0.0
    for p in (alpha / 2, 1 - alpha / 2):
        quantile = norm.ppf(p, mean, std)
        expected += (2 / alpha) * (float(y < quantile) - p) * (quantile - y)
    score = interval_score(column(y), column(mean), column(std), [level])
    assert score == pytest.approx(expected)


def test_intervals_cover_what_lies_inside_and_nothing_else():
    y = column(-1.0, 0.0, 0.6, 0.7, 1.9, 2.0)
    zero, one = torch.zeros_like(y), torch.ones_like(y)
    assert proportion_in_interval(y, zero, one, 0.5) == pytest.approx(2 / 6)
    assert proportion_in_interval(y, zero, one, 0.95) == pytest.approx(5 / 6)


def test_normal_values_are_covered_as_often_as_claimed():
    y = 2 + 3 * normal(20_000)
    scores = calibration_scores(y, torch.full_like(y, 2.0), torch.full_like(y, 3.0))
    for level in LEVELS:
        assert scores[f"coverage_{level * 100:.0f}"] == pytest.approx(level, abs=0.01)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("wrong", [(0.5, 1.0), (0.0, 0.6), (0.0, 1.6)])
def test_no_wrong_distribution_scores_better_than_the_true_one(score, wrong: tuple[float, float]):
    # quantiles of the normal distribution stand for all of it
    y = torch.special.ndtri((torch.arange(4000, dtype=torch.float64)[:, None] + 0.5) / 4000)
    mean, std = (torch.full_like(y, number) for number in wrong)
    assert score(y, torch.zeros_like(y), torch.ones_like(y)) < score(y, mean, std)


def test_scores_in_units_of_y_follow_them():
    y, mean, std = normal(50), normal(50, 1), normal(50, 2).abs() + 0.1
    for score in (crps_gaussian, interval_score):
        assert score(7 * y, 7 * mean, 7 * std) == pytest.approx(7 * score(y, mean, std))


def test_a_summary_holds_every_score():
    y, std = normal(10), torch.ones(10, 1, dtype=torch.float64)
    scores = calibration_scores(y, torch.zeros_like(y), std)
    assert list(scores) == ["coverage_50", "coverage_80", "coverage_95", "nll", "crps", "interval"]
    assert scores["crps"] == crps_gaussian(y, torch.zeros_like(y), std)


def test_the_scale_turns_residuals_into_standard_normal_ones():
    z = normal(4000)[:, 0]
    std = torch.linspace(0.1, 2, 4000, dtype=torch.float64)
    assert calibrated_scale(z * std, std) == pytest.approx(1, abs=0.03)
    assert calibrated_scale(5 * z * std, std) == pytest.approx(5 * calibrated_scale(z * std, std))


def test_a_few_wild_residuals_hardly_move_the_scale():
    z = normal(1000)[:, 0]
    wild = torch.where(torch.arange(1000) % 10 == 0, 1e9, z)
    assert calibrated_scale(wild, torch.ones_like(z)) == pytest.approx(1, abs=0.25)
    assert math.sqrt(float(wild.square().mean())) > 1e8


def test_exact_residuals_have_scale_zero():
    assert calibrated_scale(torch.zeros(3), torch.ones(3)) == 0


@pytest.mark.parametrize("function", [*SCORES, calibration_scores])
def test_what_cannot_be_scored_is_refused(function):
    y, std = column(1.0, 2.0), column(1.0, 1.0)
    with pytest.raises(ValueError, match="one shape"):
        function(y, y[:1], std)
    with pytest.raises(ValueError, match="std > 0"):
        function(y, y, column(1.0, 0.0))
    with pytest.raises(ValueError, match="at least one"):
        function(y[:0], y[:0], y[:0])
    with pytest.raises(ValueError, match="finite"):
        function(column(1.0, np.nan), y, std)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_is_a_probability(level: float):
    with pytest.raises(ValueError, match=r"0\.95"):
        proportion_in_interval(column(1.0), column(1.0), column(1.0), level)
