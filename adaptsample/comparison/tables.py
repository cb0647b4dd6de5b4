"""Tables of runs, made from their run files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from adaptsample.ledger import Recorded, read


@final
@dataclass(frozen=True)
class Row:
    """What one run came to.

    Args:
        oracle: the folder of the oracle.
        run: the folder of the surrogate and the strategy.
        seed: the run's seed.
        n_evaluations: evaluations charged, gradients and failures included.
        errors: ``mae``, ``rmse`` and ``max`` of the last recorded round; empty if unknown.
        seconds: wall time until then.
        finished: whether the run spent its budget.
    """

    oracle: str
    run: str
    seed: int
    n_evaluations: float
    errors: dict[str, float]
    seconds: float
    finished: bool


def rows(folder: Path) -> list[Row]:
    """Return a row for each run file below a folder, sorted by oracle, run and seed."""
    found = [_row(read(path)) for path in folder.rglob("seed-*.jsonl")]
    return sorted((row for row in found if row), key=lambda r: (r.oracle, r.run, r.seed))


def markdown(table: Sequence[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = [
        "| oracle | surrogate-strategy | seed | evaluations | MAE | RMSE | max | seconds |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in table:
        measured = [
            f"{row.errors[key]:.2e}" if row.errors else "-" for key in ("mae", "rmse", "max")
        ]
        spent = f"{row.n_evaluations:g}" + ("" if row.finished else " (unfinished)")
        cells = [row.oracle, row.run, str(row.seed), spent, *measured, f"{row.seconds:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _row(recorded: Recorded) -> Row | None:
    if not recorded.rounds:
        return None
    last = recorded.rounds[-1]
    return Row(
        oracle=recorded.path.parent.parent.name,
        run=recorded.path.parent.name,
        seed=recorded.spec["seed"],
        n_evaluations=last["n_evaluations"],
        errors=dict(last["errors"]),
        seconds=last["seconds"],
        finished=recorded.end is not None,
    )
