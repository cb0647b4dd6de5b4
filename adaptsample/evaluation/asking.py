"""Asking an oracle. A failure is a value: an evaluation with a status and the reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from time import perf_counter
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points
from adaptsample.errors import OutputError
from adaptsample.oracles import Differentiable, Joint, Oracle, Stochastic

Array: TypeAlias = Tensor | npt.ArrayLike
_LONGEST_MESSAGE = 2000


def point_key(x: Float[Tensor, " d"]) -> bytes:
    """Return what tells points apart: their exact coordinates (-0.0 is 0.0)."""
    return bytes((x + 0.0).numpy().tobytes())


class Status(StrEnum):
    """How an evaluation ended."""

    OK = "ok"
    FAILED = "failed"  # the oracle raised
    NON_FINITE = "non_finite"  # it answered NaN or infinity
    WRONG_OUTPUT = "wrong_output"  # it answered something that is not n_outputs numbers
    TIMEOUT = "timeout"  # it took too long
    WORKER_LOST = "worker_lost"  # the process that evaluated died


@final
@dataclass(frozen=True, eq=False)
class Question:
    """One evaluation to make.

    Args:
        x: the point (d,).
        gradient: whether the gradient is wanted too.
        seed: the run's seed.
        asked: its number among all that the run asks; with the seed and the attempt it decides the
            noise of a stochastic oracle.
        round: the round that asks it.
        attempt: 1, or more after failures.
    """

    x: Float[Tensor, " d"]
    gradient: bool
    seed: int
    asked: int
    round: int = 0
    attempt: int = 1

    def failed(self, status: "Status", message: str, *, seconds: float = 0.0) -> "Evaluation":
        """Return the evaluation that failed for this reason."""
        return self.answered(
            Evaluation(self.x, None, None, status, message[:_LONGEST_MESSAGE], seconds)
        )

    def answered(self, answer: "Evaluation") -> "Evaluation":
        """Return an answer with what says which question it answers."""
        return replace(answer, asked=self.asked, round=self.round, attempt=self.attempt)


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
        asked: number of the question that it answers; None if nobody asked, or in a run file of
            format 1.
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
    asked: int | None = None

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
            "asked": self.asked,
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
            asked=record.get("asked"),
        )


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
    _check_inside(domain, points)
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


def told_failed(domain: Box, x: Array, reason: str, *, round: int) -> list[Evaluation]:
    """Return the evaluations of points (n, d) that somebody else made in vain; see `told`."""
    points = _numbers(x, "x")
    if points.ndim != 2 or points.shape[1] != domain.dimension:
        raise ValueError(f"x must have shape (n, {domain.dimension}), got {tuple(points.shape)}")
    _check_inside(domain, points)
    message = reason[:_LONGEST_MESSAGE]
    return [Evaluation(x, None, None, Status.FAILED, message, round=round) for x in points]


def check_told(
    x: Array, evaluations: list[Evaluation], *, is_recorded: Callable[[Evaluation], bool]
) -> list[Evaluation]:
    """Return evaluations that are told back, if they are those of the points (n, d).

    Raises:
        ValueError: another number of them, of other points, or some that are not on record.
    """
    points = _numbers(x, "x")
    if len(points) != len(evaluations):
        raise ValueError(f"tell() got {len(points)} points and {len(evaluations)} evaluations")
    for i, (point, evaluation) in enumerate(zip(points, evaluations, strict=True)):
        if not torch.equal(point, evaluation.x):
            raise ValueError(
                f"evaluation {i} is of {evaluation.x.tolist()}, not of {point.tolist()}; "
                "tell what evaluate(x) returned, in that order"
            )
        if not is_recorded(evaluation):
            raise ValueError(
                f"evaluation {i} was not made by this sampler; tell its values instead: tell(x, y)"
            )
    return evaluations


def _check_inside(domain: Box, points: Points) -> None:
    inside = domain.contains(points)
    if not bool(inside.all()):
        raise ValueError(f"{points[~inside][0].tolist()} is outside the domain {domain}")


def text_of(error: BaseException) -> str:
    """Return an exception's type and message, for people; the message may be hostile."""
    try:
        return f"{type(error).__name__}: {str(error)[:_LONGEST_MESSAGE]}"
    except Exception:  # its __str__ is somebody else's code
        return f"{type(error).__name__}: (its message cannot be shown)"


def _failures(
    questions: Sequence[Question], status: Status, message: str, start: float
) -> list[Evaluation]:
    seconds = (perf_counter() - start) / len(questions)
    return [question.failed(status, message, seconds=seconds) for question in questions]


def _tensor(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _numbers(values: Any, name: str) -> Tensor:
    try:
        return torch.as_tensor(values, dtype=torch.float64).detach().clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is no array of numbers: {error}") from None
