"""What many runs come to: paired ratios, levels, areas, wins and losses, ranks, profiles.

Errors are compared at equal evaluations, on logarithmic scales, and in pairs: two rivals on the
same oracle with the same seed began with the same points. Where runs are of different length, those
on an oracle are compared at the longest budget that all of them reach.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, inf, isnan, log, nan
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import binomtest, bootstrap, friedmanchisquare, quantile_test, wilcoxon

from adaptsample.comparison.curves import Curve

Array = npt.NDArray[np.float64]


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
        curves: of all runs.
        alpha: level of all tests together.

    Raises:
        ValueError: no curves, or two of the same oracle, rival and seed.
    """

    curves: tuple[Curve, ...]
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not self.curves:
            raise ValueError("there are no finished runs with known errors to compare")
        counts = Counter((c.oracle, c.rival, c.seed) for c in self.curves)
        (oracle, rival, seed), most = counts.most_common(1)[0]
        if most > 1:
            raise ValueError(
                f"{oracle}, {rival}, seed {seed} is there twice; "
                "leave one out, or call its folder by another name"
            )

    @cached_property
    def _table(self) -> dict[tuple[str, str, int], Curve]:
        return {(c.oracle, c.rival, c.seed): c for c in self.curves}

    @cached_property
    def _seeds(self) -> dict[tuple[str, str], set[int]]:
        found: dict[tuple[str, str], set[int]] = {}
        for oracle, rival, seed in self._table:
            found.setdefault((oracle, rival), set()).add(seed)
        return found

    @cached_property
    def oracles(self) -> list[str]:
        """All oracles, in the order in which they come."""
        return list(dict.fromkeys(curve.oracle for curve in self.curves))

    @cached_property
    def rivals(self) -> list[str]:
        """All rivals, in the order in which they come."""
        return list(dict.fromkeys(curve.rival for curve in self.curves))

    @cached_property
    def shared(self) -> list[str]:
        """The oracles on which all rivals were run."""
        return [o for o in self.oracles if all(self.seeds(o, r) for r in self.rivals)]

    @cached_property
    def budgets(self) -> dict[str, float]:
        """The evaluations at which the runs on each oracle are compared."""
        return {
            oracle: min(c.evaluations[-1] for c in self.curves if c.oracle == oracle)
            for oracle in self.oracles
        }

    @cached_property
    def unfair(self) -> list[str]:
        """Say where runs with the same seed did not begin with the same points, or were longer."""
        told = []
        for oracle in self.oracles:
            some = [c for c in self.curves if c.oracle == oracle]
            starts = {
                seed: {c.start for c in some if c.seed == seed} for seed in self.seeds(oracle)
            }
            if other := [str(seed) for seed, found in starts.items() if len(found) > 1]:
                told.append(f"{oracle}: initial designs differ for seed {', '.join(other)}")
            if (longest := max(c.evaluations[-1] for c in some)) > self.budgets[oracle]:
                told.append(
                    f"{oracle}: compared at {self.budgets[oracle]:g} evaluations, "
                    f"which all runs reach, though some have {longest:g}"
                )
        return told

    def of(self, oracle: str, rival: str) -> list[Curve]:
        """Return the curves of a rival on an oracle, by seed."""
        return [self._table[oracle, rival, seed] for seed in self.seeds(oracle, rival)]

    def seeds(self, oracle: str, *rivals: str) -> list[int]:
        """Return the seeds for which all of some rivals (or any rival, if none) have a curve."""
        if not rivals:
            return sorted({c.seed for c in self.curves if c.oracle == oracle})
        return sorted(set.intersection(*(self._seeds.get((oracle, r), set()) for r in rivals)))

    def final(self, oracle: str, rival: str) -> Estimate:
        """Return the geometric mean of the final errors, with a bootstrap interval over seeds."""
        n = self.budgets[oracle]
        return _geometric([log(curve.at(n)) for curve in self.of(oracle, rival)])

    def log_ratios(self, oracle: str, rival: str, other: str) -> list[float]:
        """Return the log ratio of final errors for each seed that both have."""
        n = self.budgets[oracle]
        return [
            log(self._table[oracle, rival, s].at(n) / self._table[oracle, other, s].at(n))
            for s in self.seeds(oracle, rival, other)
        ]

    def ratio(self, rival: str, other: str, oracles: Iterable[str] | None = None) -> Estimate:
        """Return the geometric mean of paired ratios over seeds, then over oracles.

        The interval is of seeds that are drawn anew, for all oracles together. Oracles on which the
        two have no seed in common are left out; nan if there is no other.
        """
        found = _mean_of_means(self.log_ratios(o, rival, other) for o in oracles or self.oracles)
        return Estimate(exp(found.value), exp(found.low), exp(found.high))

    def area_gain(self, rival: str, other: str, oracles: Iterable[str] | None = None) -> Estimate:
        """Return by how many decades a rival's error is lower, on average over the whole runs.

        Means and interval are those of `ratio`.
        """
        return _mean_of_means(
            [
                self._table[oracle, other, s].area(n) - self._table[oracle, rival, s].area(n)
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
        return half, end, end / 2

    def evaluations_to(self, level: float, oracle: str, rival: str) -> Estimate:
        """Return the median evaluations until the error first is a level.

        All that is known of a run which does not arrive is that it takes longer than those which
        do: it is censored, and the median is infinite if half of them are. The interval is free of
        assumptions (Conover, Practical Nonparametric Statistics, 1999), from the least to infinity
        with fewer than six seeds.
        """
        needed = [c.evaluations_to(level) for c in self.of(oracle, rival)]
        needed = [m if m <= self.budgets[oracle] else inf for m in needed]
        middle = float(np.quantile(needed, 0.5, method="higher"))
        interval: Any = quantile_test(needed, p=0.5).confidence_interval()
        low, high = float(interval.low), float(interval.high)
        return Estimate(middle, min(needed) if isnan(low) else low, inf if isnan(high) else high)

    def success_rate(self, level: float, oracle: str, rival: str) -> Estimate:
        """Return the share of runs that end at a level or below it (Wilson's interval)."""
        finals = [curve.at(self.budgets[oracle]) for curve in self.of(oracle, rival)]
        good = sum(error <= level for error in finals)
        interval = binomtest(good, len(finals)).proportion_ci(method="wilson")
        return Estimate(good / len(finals), float(interval.low), float(interval.high))

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
            o: ("win" if float(np.median(ratios[o])) < 0 else "loss") if is_rejected else "tie"
            for o, is_rejected in zip(ratios, rejected, strict=True)
        }

    @cached_property
    def ranks(self) -> Ranks:
        """Ranks of the geometric-mean final errors over oracles on which all rivals were run.

        Friedman's test, and Nemenyi's after it (Demsar, JMLR 7, 2006).

        Raises:
            ValueError: there is no oracle on which all were run, or only one rival.
        """
        shared = self.shared
        if not shared or len(self.rivals) < 2:
            raise ValueError("ranks need two rivals, and an oracle on which all of them were run")
        errors = pd.DataFrame(
            [[self.final(o, r).value for r in self.rivals] for o in shared],
            index=shared,
            columns=self.rivals,
        )
        mean = errors.rank(axis=1).mean().sort_values(kind="stable")
        is_enough = len(self.rivals) > 2 and len(shared) > 2
        p_value = float(friedmanchisquare(*errors.to_numpy().T).pvalue) if is_enough else nan
        different = pd.DataFrame(posthoc_nemenyi_friedman(errors))
        return Ranks({str(r): float(v) for r, v in mean.items()}, p_value, different)

    def profile(self, rival: str, tolerance: float) -> tuple[Array, Array]:
        """Return a data profile: the share of problems solved within so many evaluations.

        A problem is an oracle with a seed. It is solved when the error has fallen from the initial
        one by all but ``tolerance`` of the way to the least that any rival reaches (Moré and Wild,
        SIAM Journal on Optimization 20, 2009).

        Args:
            rival: whose.
            tolerance: in (0, 1).

        Returns:
            evaluations / (variables + 1), ascending, and shares.
        """
        spent, total = [], 0
        for oracle in self.oracles:
            n = self.budgets[oracle]
            for seed in self.seeds(oracle):
                rivals = [c for c in self.curves if (c.oracle, c.seed) == (oracle, seed)]
                start, best = max(c.errors[0] for c in rivals), min(c.at(n) for c in rivals)
                total += 1
                curve = self._table.get((oracle, rival, seed))
                if curve is not None:
                    needed = curve.evaluations_to(best + tolerance * (start - best))
                    if needed <= n:
                        spent.append(needed / (curve.dimension + 1))
        found = np.sort(np.array(spent))
        return found, np.arange(1, len(found) + 1) / total


def _geometric(logs: Sequence[float]) -> Estimate:
    found = _mean(logs)
    return Estimate(exp(found.value), exp(found.low), exp(found.high))


def _mean_of_means(rows: Iterable[Sequence[float]]) -> Estimate:
    """Return the mean over rows of their means, with an interval over the columns (seeds)."""
    found = [row for row in rows if row]
    if not found:
        return Estimate(nan, nan, nan)
    value = float(np.mean([np.mean(row) for row in found]))
    n = min(map(len, found))
    around = _mean(list(np.array([row[:n] for row in found]).mean(axis=0)))
    return Estimate(value, around.low, around.high)


def _mean(values: Sequence[float]) -> Estimate:
    """Return the mean with a bootstrap interval; nothing is known about it from one value."""
    array = np.array(values)
    mean = float(array.mean())
    if len(array) < 2:
        return Estimate(mean, -inf, inf)
    if np.ptp(array) == 0:
        return Estimate(mean, mean, mean)
    result: Any = bootstrap((array,), np.mean, rng=np.random.default_rng(0), method="percentile")
    low, high = result.confidence_interval
    return Estimate(mean, float(low), float(high))


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
