"""What somebody else evaluated is checked before it is believed."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from adaptsample import Box
from adaptsample.evaluation.evaluation import Evaluation, Status
from adaptsample.evaluation.telling import check_told, told, told_failed

BOX = Box({"x": (0, 1), "y": (-2, 3)})


def _told(x: Any, y: Any, gradient: Any = None, n_outputs: int | None = None) -> list[Evaluation]:
    return told(BOX, x, y, gradient, n_outputs=n_outputs, gradient_cost=0.5, round=3)


@pytest.mark.parametrize("as_array", [np.array, list, torch.tensor])
def test_points_and_values_may_be_any_numbers(as_array: Any) -> None:
    first, second = _told(as_array([[0, 0], [1, 3]]), as_array([4, 5]))
    assert (first.x.dtype, first.x.tolist(), second.x.tolist()) == (torch.float64, [0, 0], [1, 3])
    assert first.y is not None
    assert second.y is not None
    assert (first.y.tolist(), second.y.tolist()) == ([4.0], [5.0])
    assert (first.price, first.round, first.asked) == (1.0, 3, None)
    assert first.status is second.status is Status.OK


def test_several_outputs_are_columns() -> None:
    [only] = _told([[0.5, 0.5]], [[1.0, 2.0, 3.0]])
    assert only.y is not None
    assert only.y.tolist() == [1.0, 2.0, 3.0]


def test_what_is_told_is_a_copy() -> None:
    x, y = np.array([[0.5, 0.5]]), np.array([1.0])
    [only] = _told(x, y)
    x[:], y[:] = 9, 9
    assert only.y is not None
    assert (only.x.tolist(), only.y.tolist()) == ([0.5, 0.5], [1.0])


def test_a_gradient_has_its_price() -> None:
    [only] = _told([[0.5, 0.5]], [1.0], [[[2.0, -1.0]]])
    assert only.gradient is not None
    assert (only.gradient.tolist(), only.price) == ([[2.0, -1.0]], 1.5)


def test_values_that_are_not_finite_fail_alone() -> None:
    bad, good = _told([[0.5, 0.5], [0.1, 0.1]], [math.nan, 2.0])
    assert (bad.status, bad.y) == (Status.NON_FINITE, None)
    assert good.status is Status.OK


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[0.5, 0.5]], [1.0, 2.0], r"x of shape \(n, 2\) and y of shape \(n,\) or \(n, 1\)"),
        ([[0.5, 0.5, 0.5]], [1.0], r"got \(1, 3\) and \(1, 1\)"),
        ([0.5, 0.5], [1.0, 2.0], r"got \(2,\) and \(2, 1\)"),
        ([[0.5, 0.5]], [], r"got \(1, 2\) and \(0, 1\)"),
        ([["a", "b"]], [1.0], "x is no array of numbers"),
        ([[0.5, 0.5]], ["high"], "y is no array of numbers"),
        ([[0.5, 0.5]], None, "y is no array of numbers"),
        ([[0.5, 0.5], [0.5]], [1.0, 2.0], "x is no array of numbers"),
        ([[0.5, 3.5]], [1.0], r"\[0\.5, 3\.5\] is outside the domain"),
        ([[math.nan, 0.5]], [1.0], r"\[nan, 0\.5\] is outside the domain"),
    ],
)
def test_what_is_no_evaluation_is_refused(x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _told(x, y)


def test_the_number_of_outputs_is_held_to_once_it_is_known() -> None:
    with pytest.raises(ValueError, match=r"\(n, 2\), got \(1, 2\) and \(1, 1\)"):
        _told([[0.5, 0.5]], [1.0], n_outputs=2)


def test_a_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gradient must have shape \(1, 1, 2\), got \(1, 2\)"):
        _told([[0.5, 0.5]], [1.0], [[2.0, -1.0]])


def test_points_evaluated_in_vain_have_the_reason() -> None:
    first, second = told_failed(BOX, [[0, 0], [1, 1]], "no mesh " * 1000, round=2)
    assert (first.status, first.y, first.round, first.price) == (Status.FAILED, None, 2, 1.0)
    assert first.message == "no mesh " * 250
    assert second.x.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("x", "message"),
    [([0.5, 0.5], r"x must have shape \(n, 2\), got \(2,\)"), ([[5, 5]], "outside")],
)
def test_points_in_vain_must_be_points_all_the_same(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        told_failed(BOX, x, "why", round=0)


def test_what_was_evaluated_is_told_back_as_it_was() -> None:
    mine = _told([[0.5, 0.5], [0.1, 0.1]], [1.0, 2.0])
    back = check_told([[0.5, 0.5], [0.1, 0.1]], mine, None, is_recorded=lambda e: e in mine)
    assert back == mine


@pytest.mark.parametrize(
    ("x", "is_recorded", "message"),
    [
        ([[0.5, 0.5]], True, "got 1 points and 2 evaluations"),
        ([[0.1, 0.1], [0.5, 0.5]], True, r"evaluation 0 is of \[0\.5, 0\.5\], not of \[0\.1, 0"),
        ([[0.5, 0.5], [0.1, 0.1]], False, "evaluation 0 was not made by this sampler"),
    ],
)
def test_what_was_not_evaluated_is_not_told_back(x: Any, is_recorded: bool, message: str) -> None:
    mine = _told([[0.5, 0.5], [0.1, 0.1]], [1.0, 2.0])
    with pytest.raises(ValueError, match=message):
        check_told(x, mine, None, is_recorded=lambda _: is_recorded)


def test_a_gradient_beside_evaluations_is_refused() -> None:
    mine = _told([[0.5, 0.5]], [1.0])
    with pytest.raises(ValueError, match="leave gradient out"):
        check_told([[0.5, 0.5]], mine, [[[1.0, 1.0]]], is_recorded=lambda _: True)
