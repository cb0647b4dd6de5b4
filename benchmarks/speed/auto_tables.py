"""Tables of what `benchmarks.speed.auto` measured."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import exp, log
from statistics import median
from typing import Final

from benchmarks.harness.jobs import Cell
from benchmarks.harness.tables import groups, markdown, number, spread, values
from benchmarks.speed.clipper import OUTPUTS

FIT: Final = "fit"
MEMBERS: Final = "members"
RUN: Final = "run"
HERE: Final = "here"
THERE: Final = "there"

FLOOR: Final = 1e-10
"""Relative errors below count as this much: what is exact is not compared by its rounding."""

BAR: Final = 1.5
_TOLD: Final = 0.05  # seconds of a member, in a text of them


def of(cells: Iterable[Cell], what: str, side: str) -> list[Cell]:
    """Return the cells of a kind of measurement and a side."""
    return [cell for cell in cells if cell["method"] == f"{what} {side}"]


def ratios(after: Iterable[Cell], before: Iterable[Cell]) -> dict[str, list[float]]:
    """Return errors by the errors before, of the same points and seed, for each function."""
    known = {(c["problem"], c["n"], c["seed"]): max(c["nrmse"], FLOOR) for c in before}
    found: dict[str, list[float]] = {}
    for cell in after:
        key = cell["problem"], cell["n"], cell["seed"]
        if key in known:
            found.setdefault(cell["problem"], []).append(max(cell["nrmse"], FLOOR) / known[key])
    return found


def verdict(after: Sequence[Cell], before: Sequence[Cell]) -> str:
    """Return lines: the geometric mean of all ratios of errors, and functions above the bar."""
    found = ratios(after, before)
    if not found:
        return ""
    every = [ratio for some in found.values() for ratio in some]
    worst = sorted(((median(some), name) for name, some in found.items()), reverse=True)
    above = [f"{name} ({number(ratio)})" for ratio, name in worst if ratio > BAR]
    return (
        f"- errors by those before, {len(every)} pairs of {len(found)} functions: geometric mean "
        f"{exp(sum(map(log, every)) / len(every)):.3f}; errors below {FLOOR:g} count as {FLOOR:g}\n"
        f"- above {BAR:g} in the median over seeds: {', '.join(above) or 'none'}\n"
    )


def seconds(cells: Iterable[Cell]) -> str:
    """Return the median of CPU seconds up to 10-D, and above."""
    parts: tuple[tuple[str, Callable[[Cell], bool]], ...] = (
        ("up to 10-D", lambda cell: cell["dimension"] <= 10),
        ("above", lambda cell: cell["dimension"] > 10),
    )
    some = [(name, values(filter(holds, cells), "cpu")) for name, holds in parts]
    return ", ".join(f"{name} {median(cpu):.2f} s ({len(cpu)})" for name, cpu in some if cpu)


def suite_table(cells: list[Cell], before: Sequence[Cell] = ()) -> str:
    """Return the suite: seconds and errors, beside those of the other checkout or file."""
    after = of(cells, FIT, HERE)
    before = [c for c in before if not c["method"].endswith(THERE) and "nrmse" in c]
    before = before or of(cells, FIT, THERE)
    found, earlier = ratios(after, before), groups(before, "problem")
    rows = []
    for (name,), some in groups(after, "problem").items():
        row = [name, str(some[0]["dimension"]), str(some[0]["n"])]
        row += [spread(values(some, "cpu")), spread(values(some, "nrmse"))]
        if before:
            old = earlier.get((name,), [])
            row += [spread(values(old, "cpu")), spread(values(old, "nrmse"))]
            row += [spread(found.get(name, []))]
        rows.append(row)
    heading = ["function", "d", "N", "CPU s", "NRMSE"]
    heading += ["CPU s before", "NRMSE before", "error / before"] if before else []
    lines = f"- CPU seconds, medians of (so many) fits: {seconds(after)}\n"
    lines += f"- before: {seconds(before)}\n" if before else ""
    return f"{markdown(heading, rows)}\n{lines}{verdict(after, before)}{_libraries(cells)}"


def cases_table(cells: list[Cell]) -> str:
    """Return seconds and errors of single fits, what members took, and the run on a circuit."""
    sides = [side for side in (HERE, THERE) if any(c["method"].endswith(side) for c in cells)]
    parts = [_fits(cells, sides), _runs(cells, sides), _members(cells, sides)]
    return "\n".join([*filter(None, parts), _libraries(cells)])


def _fits(cells: list[Cell], sides: Sequence[str]) -> str:
    here, there = of(cells, FIT, HERE), of(cells, FIT, THERE)
    rows = [
        [
            f"{name} ({some[0]['dimension']}-D)",
            str(some[0]["n"]),
            side,
            *(spread(values(some, key)) for key in ("cpu", "wall", "nrmse", "mae")),
            _winners(some),
        ]
        for (name,), _ in groups(here + there, "problem").items()
        for side in sides
        if (some := [c for c in of(cells, FIT, side) if c["problem"] == name])
    ]
    if not rows:
        return ""
    heading = ["function", "N", "library", "CPU s", "wall s", "NRMSE", "MAE", "chosen"]
    lines = "".join(
        f"- CPU seconds {side}, medians of (so many) fits: {seconds(of(cells, FIT, side))}\n"
        for side in sides
        if of(cells, FIT, side)
    )
    return f"## Single fits\n\n{markdown(heading, rows)}\n{lines}{verdict(here, there)}"


def _runs(cells: list[Cell], sides: Sequence[str]) -> str:
    made = [(side, cell) for side in sides for cell in of(cells, RUN, side)]
    if not made:
        return ""
    rows = [
        [side, str(cell["n"]), number(cell["cpu"]), number(cell["wall"])]
        + [number(cell[f"{error}_{name}"]) for name in OUTPUTS for error in ("nrmse", "mae")]
        + [number(cell["last_fit"]["cpu"]), "; ".join(cell["won"])]
        for side, cell in made
    ]
    errors = [f"{error} {name}" for name in OUTPUTS for error in ("NRMSE", "MAE")]
    heading = ["library", "evaluations", "CPU s", "wall s", *errors, "CPU s of a fit", "chosen"]
    return f"## A run on a diode clipper, two outputs\n\n{markdown(heading, rows)}"


def _members(cells: list[Cell], sides: Sequence[str]) -> str:
    """Return what members took in each fit, and in all together."""
    fits = [
        (f"{cell['problem']} N={cell['n']}", side, took)
        for what in (MEMBERS, RUN)
        for side in sides
        for cell in of(cells, what, side)
        for took in [cell if what == MEMBERS else cell["last_fit"]]
    ]
    if not fits:
        return ""
    order = list(dict.fromkeys(name for name, *_ in fits))
    fits.sort(key=lambda fit: order.index(fit[0]))
    each = [
        [name, side, number(c["cpu"]), number(_judging(c)), _told(c), "; ".join(c["won"])]
        for name, side, c in fits
    ]
    names = dict.fromkeys(name for *_, c in fits for name in c["members"])
    total = []
    for name in names:
        row = [name]
        for side in sides:
            row += _total(name, [c for _, where, c in fits if where == side])
        total.append(row)
    heading = ["fit", "library", "CPU s", "judging", "members", "chosen"]
    of_side = ("fits", "CPU s", "fits to parts", "CPU s", "chosen first")
    totals = ["member", *(f"{text} {side}" for side in sides for text in of_side)]
    return (
        "## What members take\n\nFits to parts of the points are trials and folds; judging is what "
        f"remains.\n\n{markdown(heading, each)}\n{markdown(totals, total)}"
    )


def _total(name: str, cells: Sequence[Cell]) -> list[str]:
    took = [cell["members"][name] for cell in cells if name in cell["members"]]
    sums = [sum(one[key][part] for one in took) for part in (0, 1) for key in ("fits", "cpu")]
    won = sum(chosen.startswith(f"{name},") for cell in cells for chosen in cell["won"])
    return [*map(number, sums), str(won)]


def _judging(cell: Cell) -> float:
    return float(cell["cpu"] - sum(sum(took["cpu"]) for took in cell["members"].values()))


def _told(cell: Cell) -> str:
    took = sorted(((sum(t["cpu"]), name) for name, t in cell["members"].items()), reverse=True)
    return ", ".join(f"{name} {cpu:.1f}" for cpu, name in took if cpu > _TOLD) or "-"


def _winners(cells: Iterable[Cell]) -> str:
    return "; ".join(name for name, _ in Counter(w for c in cells for w in c["won"]).most_common())


def _libraries(cells: Iterable[Cell]) -> str:
    made: dict[str, set[str]] = {}
    for cell in cells:
        made.setdefault(cell["method"].rpartition(" ")[2], set()).add(cell["library"])
    told = (f"{side} {', '.join(sorted(commits))}" for side, commits in made.items())
    return f"- commits of the libraries: {'; '.join(told)}\n"
