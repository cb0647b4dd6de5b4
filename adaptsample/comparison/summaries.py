"""What a comparison came to: a row for each rival, over all oracles and on each."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite, isnan, nan
from typing import Any, Final, final

from adaptsample.comparison.statistics import Comparison, Estimate
from adaptsample.comparison.tables import Table

RIVAL: Final = "surrogate-strategy"
_UNKNOWN: Final = Estimate(nan, nan, nan)


@final
@dataclass(frozen=True)
class Overall:
    """A rival against the baseline, over all oracles.

    Args:
        rival: surrogate and strategy.
        baseline: the rival that it is measured against; itself, of a baseline.
        oracles: how many both were run on.
        pairs: runs with the same oracle and seed.
        ratio: geometric mean of the errors by the baseline's.
        wins: oracles on which it is better, by Wilcoxon's test with Holm's correction.
        ties: oracles on which the two cannot be told apart.
        losses: oracles on which it is worse.
        decades: by which its error is lower all along.
        mean_rank: among all rivals; nan if they share no oracle.
    """

    rival: str
    baseline: str
    oracles: int
    pairs: int
    ratio: Estimate
    wins: int
    ties: int
    losses: int
    decades: Estimate
    mean_rank: float


@final
@dataclass(frozen=True)
class Standing:
    """A rival on one oracle.

    Args:
        oracle: the oracle.
        rival: surrogate and strategy.
        seeds: runs that are compared.
        stopped: runs that stopped before.
        evaluations: at which they are compared.
        error: geometric mean over seeds.
        ratio: of paired errors by the baseline's.
        verdict: "win", "tie" or "loss"; empty of a baseline, and without pairs.
        level: an error to reach; nan if there is none.
        needed: median evaluations until the error is the level, infinite if it never is.
        arrived: share of the runs whose error ever is.
    """

    oracle: str
    rival: str
    seeds: int
    stopped: int
    evaluations: float
    error: Estimate
    ratio: Estimate
    verdict: str
    level: float
    needed: Estimate
    arrived: Estimate


def baseline_of(rival: str, rivals: Iterable[str], baseline: Collection[str]) -> str | None:
    """Return the rival that has the same surrogate and the baseline's strategy, if there is one.

    Without one of the same surrogate, it is the first of any surrogate.

    Args:
        rival: whose.
        rivals: all of them.
        baseline: what the strategy may be called.
    """
    found = [
        (other, other.removesuffix(name))
        for other in rivals
        for name in baseline
        if other == name or other.endswith(f"-{name}")
    ]
    same = [entry for entry in found if rival.startswith(entry[1])]
    if same:
        return max(same, key=lambda entry: len(entry[1]))[0]
    return found[0][0] if found else None


def overall(comparison: Comparison, *, baseline: Collection[str]) -> list[Overall]:
    """Return a row for each rival over all oracles, the least ratio first.

    Args:
        comparison: of all runs.
        baseline: what the strategy may be called that others are measured against, with the same
            surrogate.

    Raises:
        ValueError: nobody uses the baseline.
    """
    against = _against(comparison, baseline)
    ranks = comparison.ranks.mean if comparison.shared and len(comparison.rivals) > 1 else {}
    rows = []
    for rival, other in against.items():
        pairs = [len(comparison.seeds(oracle, rival, other)) for oracle in comparison.oracles]
        verdicts = list(comparison.verdicts(rival, other).values())
        rows.append(
            Overall(
                rival,
                other,
                oracles=sum(n > 0 for n in pairs),
                pairs=sum(pairs),
                ratio=comparison.ratio(rival, other),
                wins=verdicts.count("win"),
                ties=verdicts.count("tie"),
                losses=verdicts.count("loss"),
                decades=comparison.area_gain(rival, other),
                mean_rank=ranks.get(rival, nan),
            )
        )
    return sorted(rows, key=lambda row: (isnan(row.ratio.value), row.ratio.value))


def by_oracle(
    comparison: Comparison, *, baseline: Collection[str], target: float | None = None
) -> list[Standing]:
    """Return a row for each oracle and rival, the least error first.

    Args:
        comparison: of all runs.
        baseline: what the strategy may be called that others are measured against, with the same
            surrogate.
        target: an error to reach; by default that of the baseline at the end, for each oracle.

    Raises:
        ValueError: nobody uses the baseline.
    """
    against = _against(comparison, baseline)
    rows = []
    for oracle in comparison.oracles:
        stopped = Counter(r for found, r, _ in comparison.stopped if found == oracle)
        errors = {r: comparison.final(oracle, r) for r in comparison.rivals}
        present = [r for r in errors if comparison.seeds(oracle, r) or stopped[r]]
        for rival in sorted(present, key=lambda r: (isnan(errors[r].value), errors[r].value)):
            other, level = against[rival], target
            if level is None and comparison.seeds(oracle, other):
                level = comparison.levels(oracle, other)[1]
            verdicts = {} if rival == other else comparison.verdicts(rival, other)
            rows.append(
                Standing(
                    oracle,
                    rival,
                    seeds=len(comparison.seeds(oracle, rival)),
                    stopped=stopped[rival],
                    evaluations=comparison.budgets[oracle],
                    error=errors[rival],
                    ratio=comparison.ratio(rival, other, [oracle]),
                    verdict=verdicts.get(oracle, ""),
                    level=nan if level is None else level,
                    needed=_UNKNOWN
                    if level is None
                    else comparison.evaluations_to(level, oracle, rival),
                    arrived=_UNKNOWN
                    if level is None
                    else comparison.success_rate(level, oracle, rival),
                )
            )
    return rows


def _against(comparison: Comparison, baseline: Collection[str]) -> dict[str, str]:
    """Return whom each rival is measured against."""
    found = {r: baseline_of(r, comparison.rivals, baseline) for r in comparison.rivals}
    if any(other is None for other in found.values()):
        raise ValueError(
            f"no run uses the strategy {next(iter(baseline))!r}, the baseline; there are "
            f"{', '.join(comparison.rivals)}"
        )
    return {rival: other for rival, other in found.items() if other is not None}


# ---- as text, and as numbers --------------------------------------------------------------------


def overall_table(rows: Iterable[Overall], *, baseline: str) -> Table:
    """Return rows over all oracles for people."""
    headings = [
        RIVAL,
        "oracles",
        "pairs",
        f"error / {baseline}'s (95 %)",
        f"win / tie / loss against {baseline}",
        f"decades below {baseline}, all along (95 %)",
        "mean rank",
    ]
    return Table.of(
        headings,
        [
            [
                row.rival,
                str(row.oracles),
                str(row.pairs),
                _estimate(row.ratio, ".3g"),
                "-" if row.rival == row.baseline else f"{row.wins} / {row.ties} / {row.losses}",
                _estimate(row.decades, "+.2f"),
                "-" if isnan(row.mean_rank) else f"{row.mean_rank:.2f}",
            ]
            for row in rows
        ],
    )


def by_oracle_table(
    rows: Iterable[Standing], *, baseline: str, target: float | None = None
) -> Table:
    """Return rows of each oracle for people."""
    aim = f"{target:g}" if target is not None else f"{baseline}'s final error"
    headings = [
        "oracle",
        RIVAL,
        "seeds",
        "evaluations",
        "error (95 %)",
        f"error / {baseline}'s (95 %)",
        f"against {baseline}",
        f"evaluations to {aim}",
        f"runs that reach {aim}",
    ]
    return Table.of(
        headings,
        [
            [
                row.oracle,
                row.rival,
                f"{row.seeds}" + (f" ({row.stopped} stopped)" if row.stopped else ""),
                f"{row.evaluations:g}",
                _estimate(row.error),
                _estimate(row.ratio, ".3g"),
                row.verdict or "-",
                _needed(row),
                _estimate(row.arrived, ".0%"),
            ]
            for row in rows
        ],
    )


def numbers(rows: Sequence[Overall] | Sequence[Standing]) -> Table:
    """Return rows for a spreadsheet: a column for each number, in full."""
    flat = [_flat(row) for row in rows]
    return Table.of(flat[0] if flat else [], [row.values() for row in flat])


def _flat(row: Overall | Standing) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for field in fields(row):
        value = getattr(row, field.name)
        name = RIVAL if field.name == "rival" else field.name
        if isinstance(value, Estimate):
            ends = {"": value.value, "_low": value.low, "_high": value.high}
            found |= {f"{name}{end}": _written(number) for end, number in ends.items()}
        else:
            found[name] = _written(value)
    return found


def _written(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if isnan(value) else repr(value).removesuffix(".0")


def _needed(row: Standing) -> str:
    if isnan(row.needed.value):
        return "-"
    most = f"> {row.evaluations:g}"
    if not isfinite(row.needed.value):
        return most
    high = f"{row.needed.high:.0f}" if isfinite(row.needed.high) else most
    return f"{row.needed.value:.0f} ({row.needed.low:.0f}..{high})"


def _estimate(found: Estimate, digits: str = ".2g") -> str:
    if isnan(found.value):
        return "-"
    if not isfinite(found.high):
        return f"{found.value:{digits}}"
    return f"{found.value:{digits}} ({found.low:{digits}}..{found.high:{digits}})"
