"""Calls oracles. A failure is a value: an evaluation with a status and the reason."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample._types import Points
from adaptsample.domain import Box
from adaptsample.oracles import Differentiable, Oracle, OutputError, Stochastic, SupportsExact
from adaptsample.randomness import derive_generator

Array: TypeAlias = Tensor | npt.ArrayLike
_LONGEST_MESSAGE = 2000


class Status(StrEnum):
    """How an evaluation ended."""

    OK = "ok"
    FAILED = "failed"  # the oracle raised
    NON_FINITE = "non_finite"  # it answered NaN or infinity
    WRONG_OUTPUT = "wrong_output"  # it answered something that is not n_outputs numbers


@final
@dataclass(frozen=True, eq=False)
class Question:
    """One evaluation to make.

    Args:
        x: the point (d,).
        gradient: whether the gradient is wanted too.
        seed: the run's seed.
        number: the evaluation's number in the run; with the seed it decides the noise of a
            stochastic oracle.
    """

    x: Float[Tensor, " d"]
    gradient: bool
    seed: int
    number: int


@final
@dataclass(frozen=True, eq=False)
class Evaluation:
    """One paid call of the oracle at one point.

    Args:
        x: the point (d,).
        y: the values (k,); None unless the status is ok.
        gradient: the gradient (k, d), if it was wanted and the status is ok.
        status: how it ended.
        message: why it failed; empty if it did not.
        seconds: wall time of the call.
        price: what it costs, in evaluations; more than 1 with a gradient.
        round: the round that asked for it.
        attempt: 1, or more after a retry.
    """

    x: Float[Tensor, " d"]
    y: Float[Tensor, " k"] | None
    gradient: Float[Tensor, "k d"] | None = None
    status: Status = Status.OK
    message: str = ""
    seconds: float = 0.0
    price: float = 1.0
    round: int = 0
    attempt: int = 1

    def to_record(self, number: int) -> dict[str, Any]:
        """Return the line that a ledger keeps; floats round-trip exactly."""
        return {
            "kind": "evaluation",
            "number": number,
            "round": self.round,
            "x": self.x.tolist(),
            "y": None if self.y is None else self.y.tolist(),
            "gradient": None if self.gradient is None else self.gradient.tolist(),
            "status": str(self.status),
            "message": self.message,
            "seconds": self.seconds,
            "price": self.price,
            "attempt": self.attempt,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Evaluation":
        """Read a ledger's line back."""
        return cls(
            x=_tensor(record["x"]),
            y=None if record["y"] is None else _tensor(record["y"]),
            gradient=None if record["gradient"] is None else _tensor(record["gradient"]),
            status=Status(record["status"]),
            message=record["message"],
            seconds=record["seconds"],
            price=record["price"],
            round=record["round"],
            attempt=record["attempt"],
        )


def evaluate(
    oracle: Oracle, questions: Sequence[Question], *, executor: Executor | None = None
) -> Iterator[list[tuple[int, Evaluation]]]:
    """Ask the oracle and yield answers, with the questions' positions, as soon as they are there.

    An oracle that is its own exact version costs nothing, so it is asked all at once. Any other is
    asked one point at a time, for each result to be kept before the next is paid.

    Args:
        oracle: what is evaluated.
        questions: the evaluations to make.
        executor: evaluates the points in parallel; the oracle must be picklable if it uses
            processes.
    """
    if isinstance(oracle, SupportsExact) and oracle.exact is oracle:
        yield list(enumerate(_answer(oracle, questions)))
    elif executor is None:
        for position, question in enumerate(questions):
            yield [(position, _answer(oracle, [question])[0])]
    else:
        futures = {
            executor.submit(_answer, oracle, [question]): position
            for position, question in enumerate(questions)
        }
        try:
            for future in as_completed(futures):
                yield [(futures[future], future.result()[0])]
        finally:
            for future in futures:
                future.cancel()


def _answer(oracle: Oracle, questions: Sequence[Question]) -> list[Evaluation]:
    """Ask about some points in one call."""
    x = torch.stack([question.x for question in questions])
    start = perf_counter()
    gradient: Any = None
    try:
        y = _values(oracle, x, questions[0])
        if any(question.gradient for question in questions):
            gradient = _gradient(oracle, x)
    except OutputError as error:
        return _failures(x, Status.WRONG_OUTPUT, str(error), start)
    except (Exception, SystemExit) as error:  # a failing oracle must not end the run
        return _failures(x, Status.FAILED, f"{type(error).__name__}: {_text(error)}", start)
    seconds = (perf_counter() - start) / len(x)
    return [
        judge(x[i], y[i], gradient[i] if question.gradient else None, seconds=seconds)
        for i, question in enumerate(questions)
    ]


def _values(oracle: Oracle, x: Points, question: Question) -> Float[Tensor, "n k"]:
    if isinstance(oracle, Stochastic):
        noise = derive_generator(question.seed, "noise", question.number)
        answer = oracle.sample(x.clone(), generator=noise)
    else:
        answer = oracle(x.clone())
    return _shaped(answer, (len(x), oracle.n_outputs))


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


def told(
    domain: Box,
    x: Array,
    y: Array | list[Any],
    gradient: Array | None,
    *,
    n_outputs: int | None,
    gradient_cost: float,
    round: int,
) -> list[Evaluation]:
    """Return the evaluations that somebody else made.

    Args:
        domain: where the points must lie.
        x: points (n, d).
        y: values (n,) or (n, k); those that are not finite make failed evaluations.
        gradient: d y_k / d x_d (n, k, d), or None.
        n_outputs: k, if it is known already.
        gradient_cost: price of a gradient.
        round: the round to count them in.

    Raises:
        ValueError: what is not numbers, has the wrong shape, or lies outside the domain.
    """
    points, values = _numbers(x, "x"), _numbers(y, "y")
    values = values[:, None] if values.ndim == 1 else values
    d, k = domain.dimension, n_outputs or values.shape[-1]
    if points.ndim != 2 or points.shape[1] != d or values.shape != (len(points), k):
        raise ValueError(
            f"tell() needs x of shape (n, {d}) and y of shape (n,) or (n, {k}), "
            f"got {tuple(points.shape)} and {tuple(values.shape)}"
        )
    inside = domain.contains(points)
    if not bool(inside.all()):
        raise ValueError(f"{points[~inside][0].tolist()} is outside the domain {domain}")
    slopes = None if gradient is None else _numbers(gradient, "gradient")
    if slopes is not None and slopes.shape != (len(points), k, d):
        raise ValueError(
            f"gradient must have shape {(len(points), k, d)}, got {tuple(slopes.shape)}"
        )
    price = 1.0 if slopes is None else 1.0 + gradient_cost
    return [
        judge(point, values[i], None if slopes is None else slopes[i], price=price, round=round)
        for i, point in enumerate(points)
    ]


def _failures(x: Points, status: Status, message: str, start: float) -> list[Evaluation]:
    seconds = (perf_counter() - start) / len(x)
    message = message[:_LONGEST_MESSAGE]
    return [Evaluation(row, None, None, status, message, seconds) for row in x]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(its message cannot be shown)"


def _tensor(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _numbers(values: Any, name: str) -> Tensor:
    try:
        return torch.as_tensor(values, dtype=torch.float64).detach().clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is no array of numbers: {error}") from None
