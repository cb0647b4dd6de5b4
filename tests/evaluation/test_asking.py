"""Asking an oracle: one answer for each question, whatever the oracle does."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from adaptsample import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.evaluation.asking import answer, judge, text_of
from adaptsample.evaluation.evaluation import Question, Status
from adaptsample.oracles import FunctionOracle

BOX = Box({"x": (0, 1), "y": (0, 1)})
X = torch.tensor([[0.25, 0.5], [1.0, 0.125]], dtype=torch.float64)


def _questions(*gradient: bool, attempt: int = 1) -> list[Question]:
    return [
        Question(x, wanted, seed=5, asked=10 + i, round=2, attempt=attempt)
        for i, (x, wanted) in enumerate(zip(X, gradient, strict=True))
    ]


class _Oracle:
    """Answers what it is told to, and notes what it is asked."""

    domain, n_outputs = BOX, 1

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def __call__(self, x: Tensor) -> Any:
        self.asked.append(x.tolist())
        x.fill_(9.0)  # what it does with its points is its own affair
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_all_questions_are_asked_at_once_and_each_gets_its_answer() -> None:
    oracle = _Oracle(np.array([[1.5], [-2.0]]))
    first, second = answer(oracle, _questions(False, False))
    assert oracle.asked == [X.tolist()]
    assert (first.x.tolist(), second.x.tolist()) == (X[0].tolist(), X[1].tolist())
    assert first.y is not None
    assert second.y is not None
    assert (first.y.tolist(), second.y.tolist()) == ([1.5], [-2.0])
    assert (first.asked, second.asked, first.round, first.attempt) == (10, 11, 2, 1)
    assert first.status is second.status is Status.OK
    assert first.seconds == second.seconds >= 0.0


def test_the_gradient_is_given_to_those_who_wanted_it() -> None:
    oracle = FunctionOracle(
        lambda x: x[:, 0] * x[:, 1], BOX, gradient=lambda x: np.stack([x[:, 1], x[:, 0]], axis=1)
    )
    first, second = answer(oracle, _questions(False, True))
    assert first.gradient is None
    assert second.gradient is not None
    assert second.gradient.tolist() == [[0.125, 1.0]]


def test_an_oracle_that_gives_both_is_called_once() -> None:
    class Both(_Oracle):
        def gradient(self, x: Tensor) -> Tensor:
            raise AssertionError("paid twice")

        def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
            self.asked.append("both")
            return x[:, :1], torch.ones(2, 1, 2, dtype=torch.float64)

    oracle = Both(AssertionError("paid twice"))
    first, _ = answer(oracle, _questions(True, True))
    assert oracle.asked == ["both"]
    assert first.y is not None
    assert first.gradient is not None
    assert (first.y.tolist(), first.gradient.tolist()) == ([0.25], [[1.0, 1.0]])


def test_a_gradient_that_the_oracle_has_not_is_a_wrong_output() -> None:
    first, _ = answer(_Oracle(X[:, :1]), _questions(True, False))
    assert first.status is Status.WRONG_OUTPUT
    assert "has no gradient" in first.message


@pytest.mark.parametrize(("attempt", "role"), [(1, "noise"), (2, "noise/2"), (3, "noise/3")])
def test_noise_is_drawn_by_seed_question_and_attempt(attempt: int, role: str) -> None:
    class Noisy(_Oracle):
        def sample(self, x: Tensor, *, generator: Generator) -> Tensor:
            return torch.rand(len(x), 1, generator=generator, dtype=torch.float64)

    first, second = answer(Noisy(None), _questions(False, False, attempt=attempt))
    expected = torch.rand(2, 1, generator=derive_generator(5, role, 10), dtype=torch.float64)
    assert first.y is not None
    assert second.y is not None
    assert [*first.y, *second.y] == [*expected[:, 0]]


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        (ValueError("no mesh"), Status.FAILED, "ValueError: no mesh"),
        (SystemExit(3), Status.FAILED, "SystemExit: 3"),
        (TimeoutError("too late"), Status.TIMEOUT, "TimeoutError: too late"),
        (torch.zeros(3, 1), Status.WRONG_OUTPUT, "shape (3, 1), expected an array of (2, 1)"),
        (torch.zeros(2), Status.WRONG_OUTPUT, "shape (2,), expected an array of (2, 1)"),
        ([[1.0], [2.0]], Status.WRONG_OUTPUT, "answered list, expected an array of (2, 1)"),
        (None, Status.WRONG_OUTPUT, "answered NoneType"),
    ],
)
def test_whatever_goes_wrong_is_an_answer_to_every_question(
    given: Any, status: Status, message: str
) -> None:
    answers = answer(_Oracle(given), _questions(False, False))
    assert [a.status for a in answers] == [status, status]
    assert all(message in a.message for a in answers)
    assert [a.asked for a in answers] == [10, 11]
    assert all(a.y is None for a in answers)


def test_who_sits_at_the_terminal_may_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        answer(_Oracle(KeyboardInterrupt()), _questions(False, False))


def test_one_value_that_is_not_finite_fails_alone() -> None:
    first, second = answer(_Oracle(torch.tensor([[np.nan], [3.0]])), _questions(False, False))
    assert first.status is Status.NON_FINITE
    assert first.y is None
    assert first.message == "the value is [nan]"
    assert second.status is Status.OK
    assert second.y is not None
    assert second.y.dtype == torch.float64


def test_numbers_are_judged_with_their_gradient() -> None:
    y = torch.tensor([1.0], dtype=torch.float64)
    slopes = torch.tensor([[np.inf, 0.0]], dtype=torch.float64)
    good = judge(X[0], y, None, seconds=0.5, price=2.0, round=4)
    assert (good.status, good.message, good.seconds, good.price) == (Status.OK, "", 0.5, 2.0)
    assert good.round == 4
    bad = judge(X[0], y, slopes)
    assert (bad.status, bad.y, bad.gradient) == (Status.NON_FINITE, None, None)
    assert bad.message == "the gradient is [[inf, 0.0]]"
    both = judge(X[0], y / 0, slopes)
    assert both.message == "the value is [inf] and the gradient is [[inf, 0.0]]"


def test_a_hostile_message_is_short_or_left_out() -> None:
    class Hostile(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError

    assert text_of(ValueError("x" * 5000)) == "ValueError: " + "x" * 2000
    assert text_of(Hostile()) == "Hostile: (its message cannot be shown)"
