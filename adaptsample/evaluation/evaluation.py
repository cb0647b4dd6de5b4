"""Questions to an oracle, and evaluations, which answer them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

LONGEST_MESSAGE = 2000
"""Characters of a reason that are kept."""


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
            Evaluation(self.x, None, None, status, message[:LONGEST_MESSAGE], seconds)
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


def _tensor(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
