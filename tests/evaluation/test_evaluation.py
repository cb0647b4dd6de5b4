"""Questions and evaluations: what is kept of them, to the bit."""

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from adaptsample.evaluation.evaluation import Evaluation, Question, Status, point_key

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2)


def _point(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype == torch.float64 and a.numpy().tobytes() == b.numpy().tobytes()


def test_points_are_told_apart_by_every_bit_but_the_sign_of_zero() -> None:
    x = _point(0.1, 0.0)
    assert point_key(x) == point_key(_point(0.1, -0.0))
    assert point_key(x) != point_key(_point(math.nextafter(0.1, 1), 0.0))
    assert point_key(x) != point_key(_point(0.0, 0.1))


@given(NUMBERS, NUMBERS, NUMBERS, st.text(), st.sampled_from([1, 2, 3]))
def test_an_evaluation_comes_back_from_its_line_to_the_bit(
    x: Any, y: Any, slopes: Any, message: str, attempt: int
) -> None:
    gradient = _point(*slopes)[:, None].repeat(1, 2)
    made = Evaluation(
        _point(*x), _point(*y), gradient, Status.OK, message, 0.25, 1.5, 3, attempt, 7
    )
    record = json.loads(json.dumps(made.to_record(11)))
    assert (record["kind"], record["number"]) == ("evaluation", 11)
    read = Evaluation.from_record(record)
    assert all(_same(getattr(read, n), getattr(made, n)) for n in ("x", "y", "gradient"))
    others = ("status", "message", "seconds", "price", "round", "attempt", "asked")
    assert [getattr(read, n) for n in others] == [getattr(made, n) for n in others]
    assert read.to_record(11) == record


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_a_failure_comes_back_from_its_line_without_values(status: Status) -> None:
    record = Evaluation(_point(1, 2), None, None, status, "why").to_record(1)
    read = Evaluation.from_record(json.loads(json.dumps(record)))
    assert (read.y, read.gradient, read.status, read.message) == (None, None, status, "why")


def test_a_line_of_format_1_answers_no_question() -> None:
    record = Evaluation(_point(1), _point(2), asked=5).to_record(1)
    del record["asked"]
    assert Evaluation.from_record(record).asked is None


def test_an_answer_says_which_question_it_answers_and_is_else_unchanged() -> None:
    question = Question(_point(0.5), True, seed=3, asked=8, round=2, attempt=3)
    given = Evaluation(question.x, _point(1), seconds=0.5, price=2.0)
    answer = question.answered(given)
    assert (answer.asked, answer.round, answer.attempt) == (8, 2, 3)
    assert (answer.y, answer.seconds, answer.price) == (given.y, 0.5, 2.0)
    assert given.asked is None


def test_a_failed_question_has_the_reason_but_not_all_of_a_long_one() -> None:
    question = Question(_point(0.5), False, seed=0, asked=4, round=1, attempt=2)
    failure = question.failed(Status.TIMEOUT, "late " * 1000, seconds=3.0)
    assert failure.status is Status.TIMEOUT
    assert failure.message == ("late " * 400)
    assert (failure.y, failure.seconds, failure.asked, failure.attempt) == (None, 3.0, 4, 2)
