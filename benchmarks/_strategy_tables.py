"""What the runs of many strategies come to: ratios, levels, areas, wins and losses.

All statements are about pairs: two strategies on the same problem with the same surrogate, seed
and first points.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, isfinite, isnan, log, nan
from statistics import median
from typing import Final, final

import numpy as np
from scipy.stats import bootstrap, wilcoxon

from benchmarks._jobs import Cell
from benchmarks._tables import groups, markdown

ROUNDING: Final = 1e-10
"""NRMSE below which differences are rounding."""

ALPHA: Final = 0.05

Curve = Sequence[tuple[float, float]]


@final
@dataclass(frozen=True)
class Results:
    """Curves by problem, strategy and seed, of one surrogate."""

    curves: dict[tuple[str, str, int], Curve]

    @classmethod
    def of(cls, cells: Iterable[Cell], surrogate: str) -> "Results":
        """Return the curves of all cells of a surrogate that did not fail."""
        found: dict[tuple[str, str, int], Curve] = {}
        for cell in cells:
            name, strategy = cell["method"].split(" ", 1)
            if name == surrogate and "failure" not in cell:
                curve = [(n, max(error, ROUNDING)) for n, error in cell["curve"]]
                found[cell["problem"], strategy, cell["seed"]] = curve
        return cls(found)

    @property
    def problems(self) -> list[str]:
        """All problems, in the order in which they come."""
        return list(dict.fromkeys(problem for problem, _, _ in self.curves))

    @property
    def strategies(self) -> list[str]:
        """All strategies by name."""
        return sorted({strategy for _, strategy, _ in self.curves})

    def tried(self, strategy: str, problems: Iterable[str]) -> list[str]:
        """Return those of some problems on which the strategy did not fail."""
        return [problem for problem in problems if self.seeds(problem, strategy)]

    def seeds(self, problem: str, *strategies: str) -> list[int]:
        """Return the seeds for which all of some strategies have a curve."""
        per = [{s for p, t, s in self.curves if (p, t) == (problem, name)} for name in strategies]
        return sorted(set.intersection(*per))

    def final(self, problem: str, strategy: str) -> float:
        """Return the geometric mean of the final errors."""
        seeds = self.seeds(problem, strategy)
        return exp(np.mean([log(self.curves[problem, strategy, s][-1][1]) for s in seeds]))

    def log_ratios(self, problem: str, strategy: str, other: str) -> list[float]:
        """Return the log ratio of final errors for each seed."""
        return [
            log(self.curves[problem, strategy, s][-1][1] / self.curves[problem, other, s][-1][1])
            for s in self.seeds(problem, strategy, other)
        ]

    def ratio(self, problems: Iterable[str], strategy: str, other: str) -> float:
        """Return the geometric mean of ratios over seeds, then over problems."""
        tried = self.tried(strategy, problems)
        means = [np.mean(self.log_ratios(p, strategy, other)) for p in tried]
        return exp(float(np.mean(means))) if means else nan

    def interval(self, problems: Iterable[str], strategy: str, other: str) -> tuple[float, float]:
        """Return the 95 % bootstrap interval of `ratio`, over seeds that are drawn anew."""
        table = [self.log_ratios(p, strategy, other) for p in self.tried(strategy, problems)]
        n = min(map(len, table))
        by_seed = np.array([row[:n] for row in table]).mean(axis=0)
        if np.ptp(by_seed) == 0:
            return exp(by_seed[0]), exp(by_seed[0])
        found = bootstrap(
            (by_seed,), np.mean, rng=np.random.default_rng(0), method="percentile"
        ).confidence_interval
        return exp(found.low), exp(found.high)

    def area(self, problem: str, strategy: str, seed: int) -> float:
        """Return the mean of log10 error over evaluations, piecewise linear between rounds."""
        n, error = map(np.array, zip(*self.curves[problem, strategy, seed], strict=True))
        return float(np.trapezoid(np.log10(error), n) / (n[-1] - n[0]))

    def area_gain(self, problems: Iterable[str], strategy: str, other: str) -> float:
        """Return by how many decades the area is below the other's, the mean over all runs."""
        gains = [
            self.area(p, other, s) - self.area(p, strategy, s)
            for p in problems
            for s in self.seeds(p, strategy, other)
        ]
        return float(np.mean(gains))

    def levels(self, problem: str, baseline: str) -> list[float]:
        """Return three errors: the baseline's mean half way and at the end, and half of that."""
        seeds = self.seeds(problem, baseline)
        curves = [self.curves[problem, baseline, s] for s in seeds]
        middle = len(curves[0]) // 2
        half, end = (exp(np.mean([log(c[i][1]) for c in curves])) for i in (middle, -1))
        return [half, end, end / 2]

    def evaluations_to(self, level: float, problem: str, strategy: str, seed: int) -> float:
        """Return the evaluations at which a curve first reaches a level, infinite if it does not.

        Between rounds the error falls log-linearly.
        """
        curve = self.curves[problem, strategy, seed]
        if curve[0][1] <= level:
            return curve[0][0]
        for (n0, e0), (n1, e1) in pairwise(curve):
            if e1 <= level:
                return n0 + (n1 - n0) * log(e0 / level) / log(e0 / e1)
        return inf

    def shares_to(self, problems: Iterable[str], strategy: str, baseline: str) -> list[str]:
        """Return for each level the median share of the budget, and how many runs reach it."""
        told = []
        for level in range(3):
            shares = []
            for problem in problems:
                error = self.levels(problem, baseline)[level]
                for seed in self.seeds(problem, strategy):
                    budget = self.curves[problem, strategy, seed][-1][0]
                    n = self.evaluations_to(error, problem, strategy, seed)
                    shares.append(n / budget)
            reached = sum(map(isfinite, shares)) / len(shares)
            middle = median(shares)
            share = f"{middle:.2f}" if isfinite(middle) else ">1"
            told.append(f"{share} ({reached:.0%})")
        return told

    def verdicts(self, strategy: str, other: str) -> dict[str, str]:
        """Return "win", "tie" or "loss" for each problem.

        Paired Wilcoxon tests of log errors, with Holm's correction over the problems.
        """
        tried = self.tried(strategy, self.problems)
        ratios = {p: self.log_ratios(p, strategy, other) for p in tried}
        p_values = {
            p: 1.0 if not any(r) else float(wilcoxon(r, zero_method="zsplit").pvalue)
            for p, r in ratios.items()
        }
        rejected = holm(list(p_values.values()), ALPHA)
        return {
            p: ("win" if np.median(ratios[p]) < 0 else "loss") if is_rejected else "tie"
            for p, is_rejected in zip(p_values, rejected, strict=True)
        }


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Tell which hypotheses are rejected at a family-wise level (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415

    return [bool(r) for r in multipletests(p_values, alpha=alpha, method="holm")[0]]


def summary(results: Results, kinds: Mapping[str, Sequence[str]]) -> str:
    """Return a row for each strategy, the best on the whole first.

    Args:
        results: of one surrogate.
        kinds: problems by kind.
    """
    present = {k: [p for p in ps if p in results.problems] for k, ps in kinds.items()}
    present = {k: ps for k, ps in present.items() if ps}
    rows = []
    for strategy in results.strategies:
        verdicts = list(results.verdicts(strategy, "random").values())
        low, high = results.interval(results.problems, strategy, "random")
        overall = results.ratio(results.problems, strategy, "sobol")
        cells = [
            strategy,
            *(_ratio(results.ratio(ps, strategy, "sobol")) for ps in present.values()),
            f"{overall:.2f}",
            f"{results.ratio(results.problems, strategy, 'random'):.2f} ({low:.2f}..{high:.2f})",
            " / ".join(str(verdicts.count(v)) for v in ("win", "tie", "loss")),
            *results.shares_to(results.problems, strategy, "sobol"),
            f"{results.area_gain(results.problems, strategy, 'sobol'):+.2f}",
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


def detail(results: Results) -> str:
    """Return the ratio to Sobol's error on every problem, and Sobol's own error."""
    own = ["Sobol's NRMSE", *(f"{results.final(p, 'sobol'):.1e}" for p in results.problems)]
    best = sorted(results.strategies, key=lambda s: results.ratio(results.problems, s, "sobol"))
    rows = []
    for name in best:
        ratios = (_ratio(results.ratio([p], name, "sobol")) for p in results.problems)
        rows.append([name, *ratios])
    return markdown(["error / Sobol's", *results.problems], [own, *rows])


def _ratio(value: float) -> str:
    if isnan(value):
        return "-"
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def losers(results: Results) -> str:
    """Say which strategies lose to random, and where; and who beats it nowhere."""
    lines = []
    for strategy in results.strategies:
        if strategy == "random":
            continue
        verdicts = results.verdicts(strategy, "random")
        ratio = results.ratio(results.problems, strategy, "random")
        lost = [p for p, verdict in verdicts.items() if verdict == "loss"]
        worse = [
            f"{p} ({results.ratio([p], strategy, 'random'):.2f})"
            for p in results.problems
            if results.ratio([p], strategy, "random") > 1.1
        ]
        if lost or worse or ratio > 1:
            lines.append(
                f"- `{strategy}` ({ratio:.2f} on the whole): loses on {', '.join(lost) or 'none'}; "
                f"worse by more than a tenth on {', '.join(worse) or 'none'}\n"
            )
    return "".join(lines) or "- none\n"


def by_surrogate(cells: Iterable[Cell]) -> dict[str, Results]:
    """Return the results of each surrogate."""
    found = list(cells)
    names = dict.fromkeys(cell["method"].split(" ", 1)[0] for cell in found)
    return {name: Results.of(found, name) for name in names}


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
