"""Rows of a table as an oracle: what was measured already, asked one row at a time.

Only the rows can be asked, so the oracle offers them as its pool. Which rows are worth their price
is what a strategy is judged by when an experiment is replayed.
"""

import csv
import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, isnan
from pathlib import Path
from statistics import mean
from typing import Any, Literal, TypeAlias, final

import torch

from adaptsample.core.domain import Box
from adaptsample.core.shapes import Points, Values

Row: TypeAlias = tuple[str, Mapping[str, object]]
"""Where a row stands, for messages, and its cells by column."""
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})


@final
@dataclass(frozen=True, init=False, eq=False)
class TableOracle:
    """An oracle that knows the rows of a table and nothing between them.

    Rows with equal inputs are one point, and its value is their mean. The domain reaches from the
    least to the largest value of each input. Looking up costs nothing, so the oracle is its own
    exact version: the error of a run is measured on all rows.

    Args:
        columns: the columns by name, all of one length.
        inputs: the columns that are the variables, in order.
        outputs: the columns that are approximated.
        where: only rows with these values in these columns are used; numbers are compared as
            numbers.
        missing: whether a row that lacks a needed number is refused or skipped. Missing are empty
            cells, NaN, NA, N/A, null, none and ?.

    Raises:
        ValueError: an unknown column, a cell that is missing or no finite number, no row that is
            left, or an input that is the same in all rows; the message names row and column.
    """

    domain: Box
    outputs: tuple[str, ...]
    digest: str
    n_skipped: int = field(compare=False)
    pool: Points = field(compare=False, repr=False)
    _values: Values = field(compare=False, repr=False)
    _positions: dict[tuple[float, ...], int] = field(compare=False, repr=False)

    def __init__(
        self,
        columns: Mapping[str, Iterable[object]],
        *,
        inputs: Sequence[str],
        outputs: Sequence[str],
        where: Mapping[str, object] | None = None,
        missing: Literal["refuse", "skip"] = "refuse",
    ) -> None:
        where = where or {}
        _check_columns(list(columns), inputs, outputs, where)
        if missing not in ("refuse", "skip"):
            raise ValueError(f"missing must be 'refuse' or 'skip', got {missing!r}")
        kept, skipped = _numbers(_matching(_rows(columns), where), [*inputs, *outputs], missing)
        found: dict[tuple[float, ...], list[list[float]]] = {}
        for row in kept:
            x = tuple(value + 0.0 for value in row[: len(inputs)])  # -0.0 is the point 0.0
            found.setdefault(x, []).append(row[len(inputs) :])
        pool = torch.tensor(list(found), dtype=torch.float64)
        values = torch.tensor([_mean(ys) for ys in found.values()], dtype=torch.float64)
        content = pool.numpy().tobytes() + values.numpy().tobytes()
        for name, value in {
            "domain": Box({name: _range(name, pool[:, i]) for i, name in enumerate(inputs)}),
            "outputs": tuple(outputs),
            "digest": hashlib.blake2b(content, digest_size=8).hexdigest(),
            "n_skipped": skipped,
            "pool": pool,
            "_values": values,
            "_positions": {x: i for i, x in enumerate(found)},
        }.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_csv(
        cls,
        path: Path | str,
        *,
        inputs: Sequence[str],
        outputs: Sequence[str],
        where: Mapping[str, object] | None = None,
        missing: Literal["refuse", "skip"] = "refuse",
    ) -> "TableOracle":
        """Read a CSV file: UTF-8, separated by commas, with the columns' names in the first line.

        Raises:
            ValueError: no such file, or one that is no CSV; and see `TableOracle`.
        """
        where = where or {}
        try:
            with Path(path).open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file, strict=True)
                header = [name.strip() for name in next(reader, [])]
                _check_columns(header, inputs, outputs, where)
                positions = {name: header.index(name) for name in (*inputs, *outputs, *where)}
                columns: dict[str, list[object]] = {name: [] for name in positions}
                for cells in filter(None, reader):  # no blank lines
                    _check_length(cells, header, reader.line_num)
                    for name, position in positions.items():
                        columns[name].append(cells[position])
            return cls(columns, inputs=inputs, outputs=outputs, where=where, missing=missing)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8: {error}") from None
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}: {error}") from None
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror}") from None

    @property
    def n_outputs(self) -> int:
        """Number of outputs, k."""
        return len(self.outputs)

    @property
    def exact(self) -> "TableOracle":
        """The table itself."""
        return self

    def __call__(self, x: Points) -> Values:
        """Look up n points, each of which is in ``pool``.

        Raises:
            ValueError: a point that is no row of the table.
        """
        try:
            return self._values[[self._positions[tuple(point)] for point in x.tolist()]]
        except KeyError as error:
            raise ValueError(
                f"{error.args[0]} is no row of the table; ask points of pool"
            ) from None


def _check_length(cells: Sequence[str], header: Sequence[str], line: int) -> None:
    if len(cells) != len(header):
        raise ValueError(
            f"line {line} has {len(cells)} cells, the header has {len(header)} "
            "(cells are separated by commas, and numbers have a decimal point)"
        )


def _rows(columns: Mapping[str, Iterable[object]]) -> Iterator[Row]:
    lists = {name: list(column) for name, column in columns.items()}
    lengths = {name: len(column) for name, column in lists.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns have different lengths: {lengths}")
    for number, cells in enumerate(zip(*lists.values(), strict=True), start=1):
        yield f"row {number}", dict(zip(lists, cells, strict=True))


def _check_columns(
    header: Sequence[str],
    inputs: Sequence[str],
    outputs: Sequence[str],
    where: Mapping[str, object],
) -> None:
    if isinstance(inputs, str) or isinstance(outputs, str) or not inputs or not outputs:
        raise ValueError("a table needs input and output columns, as in inputs=['age']")
    for name in (*inputs, *outputs, *where):
        if name not in header:
            near = difflib.get_close_matches(name, header, n=3, cutoff=0.5) or header
            raise ValueError(f"there is no column {name!r}; is it one of {', '.join(near)}?")
        if header.count(name) > 1:
            raise ValueError(f"{header.count(name)} columns are called {name!r}; rename them")
    used = [*inputs, *outputs]
    for name in used:
        if used.count(name) > 1:
            raise ValueError(f"the column {name!r} is used twice as an input or output")


def _matching(rows: Iterable[Row], where: Mapping[str, object]) -> Iterator[Row]:
    """Yield the rows that have the wanted cells."""
    found: dict[str, dict[str, None]] = {name: {} for name in where}
    none_left = True
    for place, row in rows:
        for name, seen in found.items():
            if len(seen) < 5:
                seen[str(row[name]).strip()] = None
        if all(_same(row[name], wanted) for name, wanted in where.items()):
            none_left = False
            yield place, row
    if none_left:
        filters = " and ".join(f"{name}={value}" for name, value in where.items())
        values = "; ".join(f"{name} has {', '.join(seen)}" for name, seen in found.items())
        raise ValueError(f"no row has {filters} ({values})" if where else "there are no rows")


def _same(cell: object, wanted: object) -> bool:
    if str(cell).strip() == str(wanted).strip():
        return True
    try:
        return float(str(cell)) == float(str(wanted))
    except ValueError:
        return False


def _numbers(
    rows: Iterable[Row], names: Sequence[str], missing: str
) -> tuple[list[list[float]], int]:
    """Return the rows' numbers in these columns, and how many rows were skipped."""
    kept, skipped = [], 0
    for place, row in rows:
        numbers = [_number(row[name], place, name) for name in names]
        if None not in numbers:
            kept.append([number for number in numbers if number is not None])
        elif missing == "skip":
            skipped += 1
        else:
            raise ValueError(
                f"{place} has no value of {names[numbers.index(None)]!r}; fill it in, or skip rows "
                "with missing values"
            )
    if not kept:
        raise ValueError(f"no row is left: {skipped} have missing values")
    return kept, skipped


def _number(cell: Any, place: str, name: str) -> float | None:
    """Return a cell as a number, None if it is missing."""
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in _MISSING):
        return None
    try:
        if isinstance(cell, str) and "_" in cell:
            raise ValueError
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{place} has {cell!r} as {name!r}, which is no number") from None
    if isnan(number):
        return None
    if not isfinite(number):
        raise ValueError(f"{place} has {number} as {name!r}, which is not finite")
    return number


def _mean(rows: Sequence[Sequence[float]]) -> Sequence[float]:
    """Return the mean of each column, correctly rounded: equal values stay what they are."""
    return rows[0] if len(rows) == 1 else [mean(column) for column in zip(*rows, strict=True)]


def _range(name: str, column: torch.Tensor) -> tuple[float, float]:
    low, high = float(column.min()), float(column.max())
    if low == high:
        raise ValueError(f"{name!r} is {low:g} in all rows; leave it out of the inputs")
    return low, high
