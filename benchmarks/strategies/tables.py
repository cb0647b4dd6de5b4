"""Tables of what the runs of many strategies come to, beside Sobol and random points."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, isfinite, isnan, log
from statistics import median
from typing import Final

import numpy as np

from adaptsample.comparison.curves import Curve
from adaptsample.comparison.statistics import Comparison
from benchmarks.harness.jobs import Cell
from benchmarks.harness.tables import groups, markdown

ROUNDING: Final = 1e-10
"""NRMSE below which differences are rounding."""


def comparison_of(cells: Iterable[Cell], surrogate: str) -> Comparison:
    """Return the comparison of all runs with a surrogate that did not fail."""
    curves = []
    for cell in cells:
        name, strategy = cell["method"].split(" ", 1)
        if name == surrogate and "failure" not in cell:
            spent, errors = zip(*cell["curve"], strict=True)
            floored = tuple(max(error, ROUNDING) for error in errors)
            curves.append(Curve(cell["problem"], strategy, cell["seed"], spent, floored))
    return Comparison(tuple(curves))


def _shares_to(results: Comparison, strategy: str, baseline: str) -> list[str]:
    """Return for each level the median share of the budget, and how many runs reach it."""
    told = []
    for level in range(3):
        shares = []
        for problem in results.oracles:
            error = results.levels(problem, baseline)[level]
            budget = results.budgets[problem]
            needed = [curve.evaluations_to(error) for curve in results.of(problem, strategy)]
            shares += [n / budget for n in needed]
        reached = sum(map(isfinite, shares)) / len(shares)
        middle = median(shares)
        share = f"{middle:.2f}" if isfinite(middle) else ">1"
        told.append(f"{share} ({reached:.0%})")
    return told


def summary(results: Comparison, kinds: Mapping[str, Sequence[str]]) -> str:
    """Return a row for each strategy, the best on the whole first.

    Args:
        results: of one surrogate.
        kinds: problems by kind.
    """
    present = {k: [p for p in ps if p in results.oracles] for k, ps in kinds.items()}
    present = {k: ps for k, ps in present.items() if ps}
    rows = []
    for strategy in results.rivals:
        verdicts = list(results.verdicts(strategy, "random").values())
        against = results.ratio(strategy, "random")
        overall = results.ratio(strategy, "sobol").value
        cells = [
            strategy,
            *(_ratio(results.ratio(strategy, "sobol", ps).value) for ps in present.values()),
            f"{overall:.2f}",
            f"{against.value:.2f} ({against.low:.2f}..{against.high:.2f})",
            " / ".join(str(verdicts.count(v)) for v in ("win", "tie", "loss")),
            *_shares_to(results, strategy, "sobol"),
            f"{results.area_gain(strategy, 'sobol').value:+.2f}",
        ]
        rows.append((overall, cells))
    headings = [
        "strategy",
        *(f"{kind}: error / Sobol's" for kind in present),
        "all: error / Sobol's",
        "error / random's (95 %)",
        "win / tie / loss against random",
        "share of budget to level 1",
        "level 2",
        "level 3",
        "area below Sobol's",
    ]
    return markdown(headings, [cells for _, cells in sorted(rows, key=lambda row: row[0])])


def detail(results: Comparison) -> str:
    """Return the ratio to Sobol's error on every problem, and Sobol's own error."""
    own = ["Sobol's NRMSE", *(f"{results.final(p, 'sobol').value:.1e}" for p in results.oracles)]
    best = sorted(results.rivals, key=lambda s: results.ratio(s, "sobol").value)
    rows = []
    for name in best:
        ratios = (_ratio(results.ratio(name, "sobol", [p]).value) for p in results.oracles)
        rows.append([name, *ratios])
    return markdown(["error / Sobol's", *results.oracles], [own, *rows])


def _ratio(value: float) -> str:
    if isnan(value):
        return "-"
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def losers(results: Comparison) -> str:
    """Say which strategies lose to random, and where; and who beats it nowhere."""
    lines = []
    for strategy in sorted(results.rivals):
        if strategy == "random":
            continue
        verdicts = results.verdicts(strategy, "random")
        ratio = results.ratio(strategy, "random").value
        each = {p: results.ratio(strategy, "random", [p]).value for p in results.oracles}
        lost = [p for p, verdict in verdicts.items() if verdict == "loss"]
        worse = [f"{p} ({value:.2f})" for p, value in each.items() if value > 1.1]
        if lost or worse or ratio > 1:
            lines.append(
                f"- `{strategy}` ({ratio:.2f} on the whole): loses on {', '.join(lost) or 'none'}; "
                f"worse by more than a tenth on {', '.join(worse) or 'none'}\n"
            )
    return "".join(lines) or "- none\n"


def by_surrogate(cells: Iterable[Cell]) -> dict[str, Comparison]:
    """Return the comparison for each surrogate."""
    found = list(cells)
    names = dict.fromkeys(cell["method"].split(" ", 1)[0] for cell in found)
    return {name: comparison_of(found, name) for name in names}


def pool_table(cells: Iterable[Cell], factors: Sequence[int]) -> str:
    """Return how errors change with the number of candidates, by strategy."""
    rows = []
    table = groups(cells, "strategy", "factor")
    for strategy in dict.fromkeys(s for s, _ in table):
        errors = []
        for factor in factors:
            some = table.get((strategy, factor), [])
            errors.append({(c["problem"], c["seed"]): c["error"] for c in some})
        shared = set.intersection(*(set(e) for e in errors))
        means = [exp(np.mean([log(max(e[key], ROUNDING)) for key in shared])) for e in errors]
        base = means[0]
        rows.append(
            [strategy, *(_ratio(m / base) for m in means), f"{max(means) / min(means):.1f}"]
        )
    headings = ["strategy", *(f"{f} x batch" for f in factors), "worst / best"]
    return markdown(headings, rows)
