"""What a comparison came to, as tables of text."""

from collections.abc import Iterable
from math import isfinite, isnan

from adaptsample.comparison.statistics import Comparison, Estimate
from adaptsample.comparison.tables import Table


def baseline_of(rival: str, rivals: Iterable[str], baseline: str) -> str | None:
    """Return the rival that has the same surrogate and the strategy ``baseline``, if there is one.

    Without one of the same surrogate, it is the first of any surrogate.
    """
    found = [r for r in rivals if r == baseline or r.endswith(f"-{baseline}")]
    same = [r for r in found if rival.startswith(r.removesuffix(baseline))]
    return max(same, key=len) if same else next(iter(found), None)


def overview(comparison: Comparison, *, baseline: str) -> Table:
    """Return a row for each rival over all oracles, the least error first.

    Args:
        comparison: of all runs.
        baseline: the strategy that others are measured against, with the same surrogate.

    Raises:
        ValueError: nobody uses the baseline.
    """
    ranks = comparison.ranks.mean if comparison.shared and len(comparison.rivals) > 1 else {}
    rows = []
    for rival in comparison.rivals:
        other = _baseline(comparison, rival, baseline)
        ratio = comparison.ratio(rival, other)
        verdicts = list(comparison.verdicts(rival, other).values())
        counts = " / ".join(str(verdicts.count(v)) for v in ("win", "tie", "loss"))
        rows.append(
            (
                ratio.value,
                [
                    rival,
                    _estimate(ratio),
                    "-" if rival == other else counts,
                    _signed(comparison.area_gain(rival, other)),
                    f"{ranks[rival]:.2f}" if rival in ranks else "-",
                ],
            )
        )
    headings = [
        "surrogate-strategy",
        f"error / {baseline}'s (95 %)",
        f"win / tie / loss against {baseline}",
        f"decades below {baseline}, all along (95 %)",
        "mean rank",
    ]
    rows.sort(key=lambda row: (isnan(row[0]), row[0]))
    return Table.of(headings, [cells for _, cells in rows])


def by_oracle(comparison: Comparison, *, baseline: str, target: float | None = None) -> Table:
    """Return a row for each oracle and rival, the least error first.

    Args:
        comparison: of all runs.
        baseline: the strategy that others are measured against, with the same surrogate.
        target: an error to reach; by default that of the baseline at the end, for each oracle.

    Raises:
        ValueError: nobody uses the baseline.
    """
    rows = []
    for oracle in comparison.oracles:
        present = [r for r in comparison.rivals if comparison.seeds(oracle, r)]
        for rival in sorted(present, key=lambda r: comparison.final(oracle, r).value):
            other = _baseline(comparison, rival, baseline)
            own = target
            if own is None and comparison.seeds(oracle, other):
                own = comparison.levels(oracle, other)[1]
            needed = "-" if own is None else _needed(comparison, own, oracle, rival)
            rate = comparison.success_rate(own, oracle, rival) if own is not None else None
            ratios = comparison.ratio(rival, other, [oracle])
            rows.append(
                [
                    oracle,
                    rival,
                    str(len(comparison.seeds(oracle, rival))),
                    f"{comparison.budgets[oracle]:g}",
                    _estimate(comparison.final(oracle, rival)),
                    _estimate(ratios),
                    "-" if rival == other else comparison.verdicts(rival, other).get(oracle, "-"),
                    needed,
                    "-" if rate is None else f"{rate.value:.0%} ({rate.low:.0%}..{rate.high:.0%})",
                ]
            )
    aim = f"{target:g}" if target is not None else f"{baseline}'s final error"
    headings = [
        "oracle",
        "surrogate-strategy",
        "seeds",
        "evaluations",
        "error (95 %)",
        f"error / {baseline}'s (95 %)",
        f"against {baseline}",
        f"evaluations to {aim}",
        f"runs that reach {aim}",
    ]
    return Table.of(headings, rows)


def _baseline(comparison: Comparison, rival: str, baseline: str) -> str:
    found = baseline_of(rival, comparison.rivals, baseline)
    if found is None:
        raise ValueError(
            f"no run uses the strategy {baseline!r}, the baseline; there are "
            f"{', '.join(comparison.rivals)}"
        )
    return found


def _needed(comparison: Comparison, level: float, oracle: str, rival: str) -> str:
    needed = comparison.evaluations_to(level, oracle, rival)
    if not isfinite(needed.value):
        return f"> {comparison.budgets[oracle]:g}"
    high = f"{needed.high:.0f}" if isfinite(needed.high) else f"> {comparison.budgets[oracle]:g}"
    return f"{needed.value:.0f} ({needed.low:.0f}..{high})"


def _estimate(found: Estimate) -> str:
    if isnan(found.value):
        return "-"
    if not isfinite(found.high):
        return f"{found.value:.2g}"
    return f"{found.value:.2g} ({found.low:.2g}..{found.high:.2g})"


def _signed(found: Estimate) -> str:
    if isnan(found.value):
        return "-"
    if not isfinite(found.high):
        return f"{found.value:+.2f}"
    return f"{found.value:+.2f} ({found.low:+.2f}..{found.high:+.2f})"
