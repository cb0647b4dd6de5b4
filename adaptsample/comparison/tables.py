"""Tables, for a terminal, a page, a spreadsheet and an article; and one of single runs."""

import csv
import io
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import rich.table

from adaptsample.comparison.repeat import MALFORMED
from adaptsample.errors import LedgerError
from adaptsample.record.run_file import Recorded, read

_log = logging.getLogger(__name__)

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


@final
@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column names things, the others hold numbers.

    Raises:
        ValueError: a row of another length than the headings.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(f"{len(self.headings)} headings, and a row of {len(row)}: {row}")

    @classmethod
    def of(cls, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> "Table":
        """Return a table of any iterables."""
        return cls(tuple(headings), tuple(map(tuple, rows)))

    def markdown(self) -> str:
        """Return it for a Markdown page."""
        rule = ["---", *["--:"] * (len(self.headings) - 1)]
        escaped = [[c.replace("|", r"\|") for c in row] for row in (self.headings, *self.rows)]
        lines = [escaped[0], rule, *escaped[1:]]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def csv(self) -> str:
        """Return it for a spreadsheet."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.headings, *self.rows])
        return text.getvalue()

    def latex(self) -> str:
        """Return it for an article, with the rules of booktabs."""
        lines = [
            " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in row) + r" \\"
            for row in (self.headings, *self.rows)
        ]
        columns = "l" + "r" * (len(self.headings) - 1)
        body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
        return f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n"

    def rich(self, title: str = "") -> rich.table.Table:
        """Return it for a terminal."""
        table = rich.table.Table(title=title or None, box=None, padding=(0, 2, 0, 0))
        for i, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if i else "left", no_wrap=not i)
        for row in self.rows:
            table.add_row(*row)
        return table


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
    """Return a row for each run file below a folder, sorted by oracle, run and seed.

    Files that cannot be read are named in the log.
    """
    found = []
    for path in folder.rglob("seed-*.jsonl"):
        try:
            row = _row(read(path))
        except LedgerError as error:
            _log.warning("no row: %s", error)
        except MALFORMED as error:
            _log.warning("no row: %s holds records that no run makes (%r)", path, error)
        else:
            found += [row] if row else []
    return sorted(found, key=lambda r: (r.oracle, r.run, r.seed))


def run_table(found: Sequence[Row]) -> Table:
    """Return rows as a table."""
    headings = (
        "oracle",
        "surrogate-strategy",
        "seed",
        "evaluations",
        "MAE",
        "RMSE",
        "max",
        "seconds",
    )
    lines = []
    for row in found:
        errors = [f"{row.errors[k]:.2e}" if row.errors else "-" for k in ("mae", "rmse", "max")]
        spent = f"{row.n_evaluations:g}" + ("" if row.finished else " (unfinished)")
        lines.append([row.oracle, row.run, str(row.seed), spent, *errors, f"{row.seconds:.1f}"])
    return Table.of(headings, lines)


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
