"""Rows at the same point: each point counts once, with the mean of its values."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptsample.core.dataset import Dataset

F64 = torch.float64


def of(x: list[float], y: list[float]) -> Dataset:
    return Dataset(torch.tensor(x, dtype=F64)[:, None], torch.tensor(y, dtype=F64)[:, None])


def test_distinct_points_come_in_the_order_in_which_they_first_came():
    found = of([3, 1, 3, 2, 1], [1, 5, 3, 7, 5]).distinct()
    assert found.x[:, 0].tolist() == [3, 1, 2]
    assert found.y[:, 0].tolist() == [2, 5, 7]


def test_data_without_repeats_are_themselves():
    data = of([3, 1], [1, 5])
    assert data.distinct() is data
    assert data.by_row(data.y) is data.y


def test_residuals_of_the_rows_are_off_by_what_they_are_off_the_mean():
    found = of([0, 1, 0], [1, 5, 4]).distinct()
    assert found.by_row(torch.tensor([[0.5], [0.25]], dtype=F64))[:, 0].tolist() == [-1, 0.25, 2]


def test_the_noise_is_pooled_over_all_points():
    found = of([0, 0, 1, 1, 1, 2], [0, 2, 0, 0, 3, 9]).distinct()
    pooled = math.sqrt((2 * 1.0 + 2 * 1.0 + 4.0) / 3)
    assert found.noise_std(torch.ones(1, dtype=F64)).tolist() == pytest.approx([pooled])


@pytest.mark.parametrize("estimate", [0.5, math.nan])
def test_where_equal_points_have_equal_values_the_estimate_of_the_noise_remains(estimate: float):
    told = of([0, 0, 1], [2, 2, 3]).distinct().noise_std(torch.tensor([estimate], dtype=F64))
    assert told.tolist() == pytest.approx([estimate], nan_ok=True)


def test_gradients_are_the_means_of_those_observed():
    gradient = torch.tensor([1.0, math.nan, 3.0, math.nan], dtype=F64).view(4, 1, 1)
    data = of([0, 0, 0, 1], [1, 1, 1, 1])
    found = Dataset(data.x, data.y, gradient).distinct().gradient
    assert found is not None
    assert found.flatten().tolist() == pytest.approx([2, math.nan], nan_ok=True)


@given(
    st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=5, unique=True),
    st.integers(2, 5),
)
def test_a_table_told_several_times_is_the_table(values: list[float], times: int):
    once = of([*map(float, range(len(values)))], values)
    again = Dataset(once.x.repeat(times, 1), once.y.repeat(times, 1)).distinct()
    assert torch.equal(again.x, once.x)
    assert torch.equal(again.y, once.y)


def test_the_mean_of_the_largest_numbers_is_finite():
    assert of([0, 0, 1], [-1.7e308, 1.7e308, 0]).distinct().y[:, 0].tolist() == [0, 0]
