"""Tables of cells: medians over seeds, comparisons with peers, and the page around them."""

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import exp, isnan, log, nan
from pathlib import Path
from statistics import median
from typing import Any, Final, final

from adaptsample.core.provenance import commit
from adaptsample.oracles.problems import PROBLEMS
from benchmarks.harness.jobs import Cell
from benchmarks.harness.variants import VARIANTS

PACKAGES: Final = ("adaptsample", "torch", "numpy", "scipy", "botorch", "gpytorch", "adaptive")


def page(title: str, table: Callable[[list[Cell]], str], cells: list[Cell], command: str) -> str:
    """Return a section's page: the command, the table of what did not fail, and what made it."""
    good = [cell for cell in cells if "failure" not in cell]
    failed = [
        f"- failed {len(some)} times: {problem} {method} N={n}: {some[0]['failure']}\n"
        for (problem, method, n), some in groups(
            (cell for cell in cells if "failure" in cell), "problem", "method", "n"
        ).items()
    ]
    body = table(good) if good else "no job succeeded\n"
    seeds = len({cell["seed"] for cell in cells})
    return (
        f"# {title}\n\n```sh\n{command}\n```\n\n{body}\n{''.join(failed)}"
        f"- medians over {seeds} seeds, in brackets the least and the largest\n"
        f"- {machine()}\n"
    )


def machine(*others: str, cells: Iterable[Cell] = ()) -> str:
    """Return versions (of other packages, too), commit (of each cell) and machine in a line."""
    found = [f"python {platform.python_version()}"]
    for name in (*PACKAGES, *others):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    counts = Counter(cell.get("commit", "unknown") for cell in cells)
    made = [f"commit {made} ({n} results)" for made, n in counts.most_common()]
    made = made or [f"commit {(commit() or 'unknown')[:9]}"]
    cores = f"{os.cpu_count()} cores, one thread a process"
    return f"{', '.join(found)}; {', '.join(made)}; {_processor()}, {cores}"


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; all columns but the first are numbers."""
    lines = [f"| {' | '.join(headings)} |", "|---|" + "--:|" * (len(headings) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def number(value: float) -> str:
    """Return a count as it is, and two digits or two decimals of anything else."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.1e}" if value and not 0.1 <= abs(value) < 1000 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    """Return the median with the least and the largest value; "-" of nothing."""
    if not values:
        return "-"
    middle = number(median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values))}..{number(max(values))})"


def groups(cells: Iterable[Cell], *keys: str) -> dict[tuple[Any, ...], list[Cell]]:
    """Return cells by the values of keys, in the order in which these first come."""
    found: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        found.setdefault(tuple(cell[key] for key in keys), []).append(cell)
    return found


def whole(cells: Sequence[Cell], *keys: str) -> Sequence[Cell]:
    """Return the groups by some keys that have all methods, for means to be of the same things.

    All cells, if there is no such group.
    """
    methods = {cell["method"] for cell in cells}
    made = groups(cells, *keys).values()
    complete = [c for some in made if {c["method"] for c in some} == methods for c in some]
    return complete or cells


def values(cells: Iterable[Cell], key: str) -> list[float]:
    """Return what cells hold under a key, where they do."""
    return [cell[key] for cell in cells if key in cell]


@final
@dataclass(frozen=True)
class Duel:
    """Our errors next to the best peer's on one problem with n points.

    Args:
        problem: its name.
        n: evaluations.
        ours: a value for each seed.
        peers: medians over seeds by name.
    """

    problem: str
    n: int
    ours: Sequence[float]
    peers: Mapping[str, float]

    @property
    def best(self) -> str:
        """The best peer, "-" if there is none."""
        return min(self.peers, key=self.peers.__getitem__, default="-")

    @property
    def ratio(self) -> float:
        """Our median by the best peer's, below 1 if we are better; NaN if one is missing."""
        if not self.ours or not self.peers:
            return nan
        return max(median(self.ours), _ROUNDING) / max(self.peers[self.best], _ROUNDING)


_ROUNDING = 1e-16  # less is chance


def duels(cells: Iterable[Cell], metric: str, peers: Sequence[str]) -> list[Duel]:
    """Return every comparison, a problem at a time; what is no peer is ours."""
    order = [*VARIANTS, *PROBLEMS]
    ordered = sorted(cells, key=lambda cell: (order.index(cell["problem"]), cell["n"]))
    found = []
    for (problem, n), some in groups(ordered, "problem", "n").items():
        ours = [cell[metric] for cell in some if cell["method"] not in peers]
        theirs = {p: values([c for c in some if c["method"] == p], metric) for p in peers}
        medians = {p: median(those) for p, those in theirs.items() if those}
        found.append(Duel(problem, n, ours, medians))
    return found


def duel_table(cells: Iterable[Cell], metric: str, peers: Sequence[str], bar: float) -> str:
    """Return all duels, the geometric mean of their ratios for each n, and those above a bar."""
    found = duels(cells, metric, peers)
    rows = [
        [duel.problem, str(duel.n), spread(duel.ours)]
        + [spread([duel.peers[p]] if p in duel.peers else []) for p in peers]
        + [duel.best, "-" if isnan(duel.ratio) else number(duel.ratio)]
        for duel in found
    ]
    heading = ["function", "N", f"our {metric.upper()}", *peers, "best peer", "ours / best peer"]
    lines = []
    for n in sorted({duel.n for duel in found}):
        ratios = [duel.ratio for duel in found if duel.n == n and not isnan(duel.ratio)]
        if ratios:
            mean = exp(sum(map(log, ratios)) / len(ratios))
            lines.append(
                f"- N = {n}: geometric mean of the ratios {number(mean)}, median "
                f"{number(median(ratios))}, worst {number(max(ratios))}, "
                f"{sum(r > bar for r in ratios)} of {len(ratios)} above {bar:g}\n"
            )
    above = sorted((duel for duel in found if duel.ratio > bar), key=lambda duel: -duel.ratio)
    named = [f"{duel.problem} at N = {duel.n} ({number(duel.ratio)})" for duel in above]
    lines.append(f"- above {bar:g}: {', '.join(named) or 'none'}\n")
    return f"{markdown(heading, rows)}\n{''.join(lines)}"
