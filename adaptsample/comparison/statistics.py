"""What many runs come to: paired ratios, levels, areas, wins and losses, ranks, profiles.

Errors are compared at equal evaluations, on logarithmic scales, and in pairs: two rivals on the
same oracle with the same seed began with the same points. Where runs are of different length, those
on an oracle are compared at the most evaluations that more than half of them reach; shorter ones
are left out. Runs that stopped before that for a reason of their own have no final error, so they
are in no mean; but they count as not arriving, wherever it is counted how many arrive.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, exp, inf, isnan, log, log2, nan, sqrt
from typing import Any, final

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, bootstrap, friedmanchisquare, quantile_test, t, wilcoxon

from adaptsample.comparison.curves import Curve
from adaptsample.core.extras import needs_extra

with needs_extra("compare", "a comparison"):
    import pandas as pd
    from scikit_posthocs import posthoc_nemenyi_friedman

Array = npt.NDArray[np.float64]

_FEW = 10
"""With fewer seeds bootstrap intervals are too narrow, and Student's are taken."""


@final
@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@final
@dataclass(frozen=True)
class Ranks:
    """Which rivals are ahead over all oracles.

    Args:
        mean: mean rank of each rival, 1 is the best.
        p_value: of Friedman's test that all are alike; nan with fewer than 3 rivals or oracles.
        different: p-values of Nemenyi's test for all pairs, as a square table.
    """

    mean: dict[str, float]
    p_value: float
    different: pd.DataFrame


@final
@dataclass(frozen=True)
class Comparison:
    """Rivals on the same oracles with the same seeds.

    Args:
        curves: of all runs, also unfinished ones.
        at: evaluations at which errors are compared; see `budgets`.
        alpha: level of the tests of one rival against another, on all oracles together.

    Raises:
        ValueError: no finished run, none as long as ``at``, or two of the same oracle, rival and
            seed.
    """

    curves: tuple[Curve, ...]
    at: float | None = None
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not any(curve.is_finished for curve in self.curves):
            raise ValueError("there are no finished runs with known errors to compare")
        if not self.compared:
            least = min(c.evaluations[0] for c in self.curves if c.errors)
            most = max(c.reach for c in self.curves)
            raise ValueError(
                f"no error is known at {self.at:g} evaluations; they are from {least:g} to {most:g}"
            )
        counts = Counter((c.oracle, c.rival, c.seed) for c in self.curves)
        (oracle, rival, seed), most = counts.most_common(1)[0]
        if most > 1:
            raise ValueError(
                f"{oracle}, {rival}, seed {seed} is there twice; "
                "leave one out, or call its folder by another name"
            )

    @cached_property
    def compared(self) -> dict[tuple[str, str, int], Curve]:
        """The runs whose errors are compared, by oracle, rival and seed."""
        return {
            (c.oracle, c.rival, c.seed): c
            for c in self.curves
            if c.errors and c.evaluations[0] <= self.budgets.get(c.oracle, 0.0) <= c.reach
        }

    @cached_property
    def stopped(self) -> dict[tuple[str, str, int], Curve]:
        """The runs that stopped before they could be compared, by oracle, rival and seed."""
        return {
            (c.oracle, c.rival, c.seed): c
            for c in self.curves
            if not c.is_finished and c.reach < self.budgets.get(c.oracle, 0.0)
        }

    @cached_property
    def _seeds(self) -> dict[tuple[str, str], set[int]]:
        found: dict[tuple[str, str], set[int]] = {}
        for oracle, rival, seed in self.compared:
            found.setdefault((oracle, rival), set()).add(seed)
        return found

    @cached_property
    def oracles(self) -> list[str]:
        """All oracles with runs to compare, in the order in which they come."""
        return list(dict.fromkeys(oracle for oracle, _, _ in self.compared))

    @cached_property
    def rivals(self) -> list[str]:
        """All rivals with runs to compare, in the order in which they come."""
        return list(dict.fromkeys(rival for _, rival, _ in self.compared))

    @cached_property
    def shared(self) -> list[str]:
        """The oracles on which all rivals were run with some seed."""
        return [oracle for oracle in self.oracles if self.seeds(oracle, *self.rivals)]

    @cached_property
    def budgets(self) -> dict[str, float]:
        """The evaluations at which the runs on each oracle are compared.

        ``at``, or the most that more than half of the finished runs reach.
        """
        reached: dict[str, list[float]] = {}
        for curve in self.curves:
            if curve.is_finished:
                reached.setdefault(curve.oracle, []).append(curve.reach)
        return {
            oracle: sorted(found, reverse=True)[len(found) // 2] if self.at is None else self.at
            for oracle, found in reached.items()
        }

    def of(self, oracle: str, rival: str) -> list[Curve]:
        """Return the curves of a rival on an oracle, by seed."""
        return [self.compared[oracle, rival, seed] for seed in self.seeds(oracle, rival)]

    def seeds(self, oracle: str, *rivals: str) -> list[int]:
        """Return the seeds for which all of some rivals (or any rival, if none) have a curve."""
        if not rivals:
            return sorted({seed for found, _, seed in self.compared if found == oracle})
        return sorted(set.intersection(*(self._seeds.get((oracle, r), set()) for r in rivals)))

    def final(self, oracle: str, rival: str) -> Estimate:
        """Return the geometric mean of the final errors, with its interval over seeds."""
        n = self.budgets[oracle]
        return _exp(_mean_of_means([[log(curve.at(n)) for curve in self.of(oracle, rival)]]))

    def log_ratios(self, oracle: str, rival: str, other: str) -> list[float]:
        """Return the log ratio of final errors for each seed that both have."""
        n = self.budgets[oracle]
        return [
            log(self.compared[oracle, rival, s].at(n) / self.compared[oracle, other, s].at(n))
            for s in self.seeds(oracle, rival, other)
        ]

    def ratio(self, rival: str, other: str, oracles: Iterable[str] | None = None) -> Estimate:
        """Return the geometric mean of paired ratios over seeds, then over oracles.

        The interval is of seeds that are drawn anew on each oracle, or Student's where there are
        few. Oracles on which the two have no seed in common are left out; nan if there is no other.
        """
        rows = (self.log_ratios(o, rival, other) for o in oracles or self.oracles)
        return _exp(_mean_of_means(rows))

    def area_gain(self, rival: str, other: str, oracles: Iterable[str] | None = None) -> Estimate:
        """Return by how many decades a rival's error is lower, on average over the whole runs.

        Means and interval are those of `ratio`.
        """
        return _mean_of_means(
            [
                self.compared[oracle, other, s].area(n) - self.compared[oracle, rival, s].area(n)
                for s in self.seeds(oracle, rival, other)
                for n in [self.budgets[oracle]]
            ]
            for oracle in oracles or self.oracles
        )

    def levels(self, oracle: str, baseline: str) -> tuple[float, float, float]:
        """Return three errors: the baseline's mean half way and at the end, and half of that."""
        n, curves = self.budgets[oracle], self.of(oracle, baseline)
        start = max(curve.evaluations[0] for curve in curves)
        half, end = (
            exp(float(np.mean([log(curve.at(m)) for curve in curves])))
            for m in ((start + n) / 2, n)
        )
        return half, end * (1 + 1e-12), end / 2  # a mean of one error is not below it

    def evaluations_to(self, level: float, oracle: str, rival: str) -> Estimate:
        """Return the median evaluations until the error first is a level.

        All that is known of a run which does not arrive is that it takes longer than those which
        do: it is censored, and the median is infinite if half of them are. The interval is free of
        assumptions (Conover, Practical Nonparametric Statistics, 1999), from the least to infinity
        with fewer than six seeds.
        """
        needed = self._needed(level, oracle, rival)
        middle = float(np.median(needed))
        interval: Any = quantile_test(needed, p=0.5).confidence_interval()
        low, high = float(interval.low), float(interval.high)
        return Estimate(middle, min(needed) if isnan(low) else low, inf if isnan(high) else high)

    def success_rate(self, level: float, oracle: str, rival: str) -> Estimate:
        """Return the share of runs whose error ever is a level, with Wilson's interval."""
        needed = self._needed(level, oracle, rival)
        good = sum(m < inf for m in needed)
        interval = binomtest(good, len(needed)).proportion_ci(method="wilson")
        return Estimate(good / len(needed), float(interval.low), float(interval.high))

    def _needed(self, level: float, oracle: str, rival: str) -> list[float]:
        """Return each run's evaluations to a level, infinite where the budget is not enough."""
        runs = {**self.compared, **self.stopped}
        found = [c.evaluations_to(level) for k, c in runs.items() if k[:2] == (oracle, rival)]
        return [m if m <= self.budgets[oracle] else inf for m in found]

    def verdicts(self, rival: str, other: str) -> dict[str, str]:
        """Return "win", "tie" or "loss" for each oracle that both were run on.

        Wilcoxon's signed-rank test of the paired log errors, with Holm's correction over the
        oracles, so that rivals which are alike are called different anywhere with at most the
        probability ``alpha``.
        """
        ratios = {o: self.log_ratios(o, rival, other) for o in self.oracles}
        ratios = {o: row for o, row in ratios.items() if row}
        p_values = [
            float(wilcoxon(row, zero_method="zsplit").pvalue) if any(row) else 1.0
            for row in ratios.values()
        ]
        rejected = holm(p_values, self.alpha)
        return {
            o: ("win" if _is_lower(ratios[o]) else "loss") if is_rejected else "tie"
            for o, is_rejected in zip(ratios, rejected, strict=True)
        }

    @property
    def least_seeds(self) -> int:
        """How many seeds a win or a loss needs at least, with as many oracles."""
        return 1 + ceil(log2(len(self.oracles) / self.alpha))

    @cached_property
    def ranks(self) -> Ranks:
        """Ranks of the geometric-mean final errors over oracles on which all rivals were run.

        The means are over the seeds that all rivals have. Friedman's test, and Nemenyi's after it
        (Demsar, JMLR 7, 2006).

        Raises:
            ValueError: there is no oracle on which all were run, or only one rival.
        """
        shared = self.shared
        if not shared or len(self.rivals) < 2:
            raise ValueError("ranks need two rivals, and an oracle on which all of them were run")
        errors = pd.DataFrame(
            [[self._common(o, rival) for rival in self.rivals] for o in shared],
            index=shared,
            columns=self.rivals,
        )
        mean = errors.rank(axis=1).mean().sort_values(kind="stable")
        is_enough = len(self.rivals) > 2 and len(shared) > 2
        p_value = float(friedmanchisquare(*errors.to_numpy().T).pvalue) if is_enough else nan
        different = pd.DataFrame(posthoc_nemenyi_friedman(errors))
        return Ranks({str(r): float(v) for r, v in mean.items()}, p_value, different)

    def _common(self, oracle: str, rival: str) -> float:
        """Return the mean log error over the seeds that all rivals have."""
        n, seeds = self.budgets[oracle], self.seeds(oracle, *self.rivals)
        return float(np.mean([log(self.compared[oracle, rival, seed].at(n)) for seed in seeds]))

    @cached_property
    def tried(self) -> list[tuple[str, int]]:
        """The oracles with seeds on which all rivals were run, or stopped."""
        places = {*self.compared, *self.stopped}
        found = sorted({(oracle, seed) for oracle, _, seed in self.compared})
        return [(o, s) for o, s in found if all((o, rival, s) in places for rival in self.rivals)]

    def profile(self, rival: str, tolerance: float) -> tuple[Array, Array]:
        """Return a data profile: the share of problems solved within so many evaluations.

        A problem is an oracle with a seed on which all rivals were run. It is solved when the error
        has fallen from the initial one by all but ``tolerance`` of the way to the least that any
        rival reaches (Moré and Wild, SIAM Journal on Optimization 20, 2009).

        Args:
            rival: whose.
            tolerance: in (0, 1).

        Returns:
            evaluations / (variables + 1), ascending, and shares.
        """
        spent = []
        runs = {**self.compared, **self.stopped}
        for oracle, seed in self.tried:
            n = self.budgets[oracle]
            rivals = [c for r in self.rivals for c in [runs[oracle, r, seed]] if c.errors]
            start, best = max(c.errors[0] for c in rivals), min(c.at(n) for c in rivals)
            curve = runs[oracle, rival, seed]
            needed = curve.evaluations_to(best + tolerance * (start - best))
            if needed <= n:
                spent.append(needed / (curve.dimension + 1))
        found = np.sort(np.array(spent))
        return found, np.arange(1, len(found) + 1) / max(1, len(self.tried))


def _is_lower(differences: Sequence[float]) -> bool:
    """Return on which side the signed-rank test sees them; their median may be 0."""
    return float(wilcoxon(differences, zero_method="zsplit", alternative="less").pvalue) < 0.5


def _exp(logarithm: Estimate) -> Estimate:
    return Estimate(exp(logarithm.value), exp(logarithm.low), exp(logarithm.high))


def _mean_of_means(rows: Iterable[Sequence[float]]) -> Estimate:
    """Return the mean over rows of their means, with its interval."""
    found = [np.array(row) for row in rows if row]
    if not found:
        return Estimate(nan, nan, nan)
    value = float(_grand_mean(*found))
    return Estimate(value, *_interval(found, value))


def _grand_mean(*rows: Array, axis: int = -1) -> Array:
    return np.asarray(np.mean([row.mean(axis=axis) for row in rows], axis=0))


def _interval(rows: Sequence[Array], value: float) -> tuple[float, float]:
    """Return an interval of the mean of means; the whole line if a row says nothing of scatter."""
    sizes = np.array(list(map(len, rows)))
    if sizes.min() < 2:
        return -inf, inf
    if not any(map(np.ptp, rows)):
        return value, value
    if sizes.min() < _FEW:
        # Welch's standard error, with Satterthwaite's degrees of freedom
        parts = np.array([row.var(ddof=1) for row in rows]) / sizes / len(rows) ** 2
        freedom = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum()
        half = float(t.ppf(0.975, freedom)) * sqrt(parts.sum())
        return value - half, value + half
    result: Any = bootstrap(
        rows, _grand_mean, rng=np.random.default_rng(0), method="percentile", vectorized=True
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Tell which hypotheses are rejected at a family-wise level (Holm 1979).

    The function of statsmodels collects all garbage at each call, which takes a quarter of a
    second.
    """
    array = np.array(p_values)
    order = np.argsort(array, kind="stable")
    passes = array[order] <= alpha / np.arange(len(array), 0, -1)
    n_rejected = len(array) if passes.all() else int(np.argmin(passes))
    rejected = np.zeros(len(array), dtype=bool)
    rejected[order[:n_rejected]] = True
    return rejected.tolist()
