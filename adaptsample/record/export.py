"""Evaluations as a table: for pandas, as CSV, as JSON lines, as Parquet.

Floats are written so that reading them gives the same bits. In CSV, text that a spreadsheet would
take for a formula gets an apostrophe in front; numbers are left alone.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from adaptsample.core.extras import needs_extra
from adaptsample.evaluation.evaluation import Evaluation
from adaptsample.record.run_file import Recorded

if TYPE_CHECKING:
    import pandas as pd

Columns: TypeAlias = dict[str, list[Any]]
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def recorded_columns(recorded: Recorded) -> Columns:
    """Return the evaluations of a run file; see `columns`."""
    evaluations = [Evaluation.from_record(record) for record in recorded.evaluations]
    return columns(evaluations, tuple(recorded.spec["domain"]))


def columns(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Columns:
    """Return evaluations by column, in the order in which they were used.

    The variables have columns of their names. The value is ``value``, or ``value_0``, ``value_1``
    and so on, and a derivative ``value_0/x``; None where an evaluation failed. Then come
    ``status``, ``message``, ``round``, ``seconds``, ``price`` and ``attempt``. A name that is taken
    by a variable gets an underscore at its end.

    Args:
        evaluations: the evaluations.
        names: of the variables.
    """
    n_outputs = max((len(e.y) for e in evaluations if e.y is not None), default=1)
    outputs = ["value"] if n_outputs == 1 else [f"value_{j}" for j in range(n_outputs)]
    table: Columns = {name: [] for name in names}
    for i, name in enumerate(names):
        table[name] = [float(e.x[i]) for e in evaluations]

    def add(name: str, column: list[Any]) -> None:
        while name in table:
            name += "_"
        table[name] = column

    for j, output in enumerate(outputs):
        add(output, [None if e.y is None else float(e.y[j]) for e in evaluations])
    if any(e.gradient is not None for e in evaluations):
        for j, output in enumerate(outputs):
            for i, name in enumerate(names):
                slopes = [
                    None if e.gradient is None else float(e.gradient[j, i]) for e in evaluations
                ]
                add(f"{output}/{name}", slopes)
    add("status", [str(e.status) for e in evaluations])
    for name in ("message", "round", "seconds", "price", "attempt"):
        add(name, [getattr(e, name) for e in evaluations])
    return table


def to_dataframe(table: Columns) -> "pd.DataFrame":
    """Return a table as a data frame.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    with needs_extra("pandas", "a data frame"):
        import pandas as pd  # noqa: PLC0415  # optional and slow to import

    return pd.DataFrame(table)


def write_csv(table: Columns, file: TextIO) -> None:
    """Write a table as CSV (RFC 4180); the file should be opened with ``newline=""``."""
    writer = csv.writer(file)
    writer.writerow(map(_cell, table))
    writer.writerows([_cell(value) for value in row] for row in zip(*table.values(), strict=True))


def write_jsonl(table: Columns, file: TextIO) -> None:
    """Write a table as JSON lines, one object for each evaluation."""
    for row in zip(*table.values(), strict=True):
        file.write(json.dumps(dict(zip(table, row, strict=True))) + "\n")


def write_parquet(table: Columns, path: Path) -> None:
    """Write a table as Parquet.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    with needs_extra("parquet", "Parquet"):
        import pyarrow as pa  # noqa: PLC0415  # optional and slow to import
        import pyarrow.parquet as pq  # noqa: PLC0415  # as above
    pq.write_table(pa.table(table), path)


def _cell(value: object) -> object:
    """Return a value as a cell of CSV: numbers exact, text that is never a formula."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
