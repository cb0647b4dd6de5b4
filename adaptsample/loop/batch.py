"""What is asked in a round: the part of a proposal that may be asked and can be paid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from adaptsample.acquisition import Proposal
from adaptsample.core.shapes import Points, Values
from adaptsample.surrogates import Model


@final
@dataclass(frozen=True, eq=False)
class Batch:
    """What is asked in a round, as the run file has it.

    Args:
        x: the points (n, d).
        gradient: at which of them the gradient is wanted too.
        drop: positions in the training set that leave it.
        predicted: what the model says of them (n, k), before anybody knows; None without a model.
    """

    x: Points
    gradient: Bool[Tensor, " n"]
    drop: Int64[Tensor, " m"]
    predicted: Values | None

    @classmethod
    def of(
        cls, proposal: Proposal, model: Model | None, *, budget: float, gradient_cost: float
    ) -> "Batch":
        """Return the part of a proposal that the budget pays for, with what the model predicts."""
        x, gradient = proposal.add, proposal.gradient
        if gradient is None or budget < 1 + gradient_cost:
            gradient = torch.zeros(len(x), dtype=torch.bool)  # too little left for a gradient
        price = torch.cumsum(1 + gradient_cost * gradient, dim=0)
        n = max(int((price <= budget + 1e-9).sum()), min(1, len(x)))
        predicted = None if model is None or n == 0 else model.predict(x[:n])
        if predicted is not None and not bool(torch.isfinite(predicted).all()):
            predicted = None
        return cls(x[:n], gradient[:n], proposal.drop, predicted)

    def to_record(self, number: int) -> dict[str, Any]:
        """Return the line that a ledger keeps; ``number`` is the round's."""
        return {
            "kind": "proposal",
            "round": number,
            "x": self.x.tolist(),
            "gradient": self.gradient.tolist() if bool(self.gradient.any()) else None,
            "drop": self.drop.tolist(),
            "foretold": None if self.predicted is None else self.predicted.tolist(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], dimension: int) -> "Batch":
        """Read a ledger's line back."""
        x = torch.tensor(record["x"], dtype=torch.float64).reshape(-1, dimension)
        wanted = record["gradient"] or [False] * len(x)
        predicted = record["foretold"]
        return cls(
            x,
            torch.tensor(wanted, dtype=torch.bool),
            torch.tensor(record["drop"], dtype=torch.int64),
            None if predicted is None else torch.tensor(predicted, dtype=torch.float64),
        )
