"""Asking an oracle. A failure is a value: an evaluation with a status and the reason."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points
from adaptsample.errors import OutputError
from adaptsample.evaluation.evaluation import (
    LONGEST_MESSAGE,
    Evaluation,
    Question,
    Status,
)
from adaptsample.oracles import Differentiable, Joint, Oracle, Stochastic


def answer(oracle: Oracle, questions: Sequence[Question]) -> list[Evaluation]:
    """Ask the oracle about some points in one call; whatever it raises is a failed evaluation."""
    x = torch.stack([question.x for question in questions])
    start = perf_counter()
    gradient: Any = None
    try:
        wanted = any(question.gradient for question in questions)
        if wanted and isinstance(oracle, Joint):
            y, gradient = _both(oracle, x)
        else:
            y = _values(oracle, x, questions[0])
            gradient = _gradient(oracle, x) if wanted else None
    except OutputError as error:
        return _failures(questions, Status.WRONG_OUTPUT, str(error), start)
    except TimeoutError as error:
        return _failures(questions, Status.TIMEOUT, text_of(error), start)
    except (Exception, SystemExit) as error:  # a failing oracle must not end the run
        return _failures(questions, Status.FAILED, text_of(error), start)
    seconds = (perf_counter() - start) / len(x)
    return [
        question.answered(
            judge(x[i], y[i], gradient[i] if question.gradient else None, seconds=seconds)
        )
        for i, question in enumerate(questions)
    ]


def _values(oracle: Oracle, x: Points, question: Question) -> Float[Tensor, "n k"]:
    if isinstance(oracle, Stochastic):
        role = "noise" if question.attempt == 1 else f"noise/{question.attempt}"
        noise = derive_generator(question.seed, role, question.asked)
        answer = oracle.sample(x.clone(), generator=noise)
    else:
        answer = oracle(x.clone())
    return _shaped(answer, (len(x), oracle.n_outputs))


def _both(oracle: Joint, x: Points) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k d"]]:
    y, gradient = oracle.value_and_gradient(x.clone())
    shape = len(x), oracle.n_outputs
    return _shaped(y, shape), _shaped(gradient, (*shape, x.shape[1]))


def _gradient(oracle: Oracle, x: Points) -> Float[Tensor, "n k d"]:
    if not isinstance(oracle, Differentiable):
        raise OutputError(f"{oracle!r} has no gradient")
    return _shaped(oracle.gradient(x.clone()), (len(x), oracle.n_outputs, x.shape[1]))


def _shaped(answer: object, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(answer, (Tensor, np.ndarray)) or tuple(answer.shape) != shape:
        what = f"shape {tuple(answer.shape)}" if isinstance(answer, (Tensor, np.ndarray)) else ""
        raise OutputError(
            f"the oracle answered {what or type(answer).__name__}, expected an array of {shape}"
        )
    return torch.as_tensor(answer, dtype=torch.float64).detach()


def judge(
    x: Float[Tensor, " d"],
    y: Float[Tensor, " k"],
    gradient: Float[Tensor, "k d"] | None,
    *,
    seconds: float = 0.0,
    price: float = 1.0,
    round: int = 0,
) -> Evaluation:
    """Return the evaluation that these answers make: failed if any number is not finite."""
    bad = [
        f"the {name} is {value.tolist()}"
        for name, value in (("value", y), ("gradient", gradient))
        if value is not None and not bool(torch.isfinite(value).all())
    ]
    return Evaluation(
        x,
        None if bad else y,
        None if bad else gradient,
        Status.NON_FINITE if bad else Status.OK,
        " and ".join(bad),
        seconds,
        price,
        round,
    )


def text_of(error: BaseException) -> str:
    """Return an exception's type and message, for people; the message may be hostile."""
    try:
        return f"{type(error).__name__}: {str(error)[:LONGEST_MESSAGE]}"
    except Exception:  # its __str__ is somebody else's code
        return f"{type(error).__name__}: (its message cannot be shown)"


def _failures(
    questions: Sequence[Question], status: Status, message: str, start: float
) -> list[Evaluation]:
    seconds = (perf_counter() - start) / len(questions)
    return [question.failed(status, message, seconds=seconds) for question in questions]
