"""What a run leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from adaptsample.core.dataset import Dataset
from adaptsample.core.extras import needs_extra
from adaptsample.evaluation.evaluation import Evaluation
from adaptsample.surrogates.protocol import Model

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclass(frozen=True)
class Round:
    """One recorded round; its errors belong to the model fitted on exactly its evaluations.

    Args:
        round: its number; 0 is the initial design.
        n_evaluations: evaluations charged so far, gradients and failures included.
        errors: ``mae``, ``rmse`` and ``max`` against exact values; empty where none are known.
        training_set: points that the model was fitted on.
        dropped: points that this round's proposal took out of the training set.
        fresh_mae: mean absolute error of predictions made since the last recorded round, before
            their values were known; None if nothing was foretold.
        choice: what a model that was chosen among several says of the choice.
        seconds: wall time so far.
    """

    round: int
    n_evaluations: float
    errors: Mapping[str, float]
    training_set: int
    dropped: int
    fresh_mae: float | None
    choice: Mapping[str, Any] | None
    seconds: float

    def to_record(self) -> dict[str, Any]:
        """Return the line that a ledger keeps."""
        return {"kind": "round", **vars(self), "errors": dict(self.errors)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Round":
        """Read a ledger's line back."""
        values: dict[str, Any] = {field.name: record.get(field.name) for field in fields(cls)}
        return cls(**values)


@final
@dataclass(frozen=True, eq=False)
class Run:
    """The result of a run.

    Args:
        model: the final model, fitted on ``data``.
        data: the final training set.
        evaluations: every paid evaluation, failed ones included, in the order they were used.
        rounds: one record for each recorded round, the last one included.
        seconds: wall time, by ``fit``, ``propose``, ``evaluate`` and ``total``.
        status: ``"done"``; ``"confirmed"`` if enough fresh values were foretold to within the
            tolerance; ``"exhausted"`` or ``"stalled"`` if the strategy had nothing new to ask.
        run_file: the durable record, if one was kept.
    """

    model: Model
    data: Dataset
    evaluations: tuple[Evaluation, ...]
    rounds: tuple[Round, ...]
    seconds: Mapping[str, float]
    status: str
    run_file: Path | None

    @property
    def confirmed(self) -> bool:
        """Whether the run ended because the tolerance was confirmed on fresh values."""
        return self.status == "confirmed"

    @property
    def n_evaluations(self) -> float:
        """Evaluations charged to the budget, gradients and failures included."""
        return self.rounds[-1].n_evaluations

    @property
    def errors(self) -> Mapping[str, float]:
        """Errors of the final model where exact values are known, else empty."""
        return self.rounds[-1].errors

    def to_dataframe(self) -> "pd.DataFrame":
        """Return one row per recorded round.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        with needs_extra("pandas", "a data frame"):
            import pandas as pd  # noqa: PLC0415  # optional and slow to import

        rows = [{**vars(r), **r.errors} for r in self.rounds]
        return pd.DataFrame(rows).drop(columns=["errors", "choice"])
