"""What is to be known of a comparison before its numbers are believed."""

from collections import Counter
from collections.abc import Iterator

from adaptsample.comparison.statistics import Comparison


def doubts(comparison: Comparison) -> list[str]:
    """Say where runs did not begin alike, are of other length than compared, or stopped."""
    return [
        *(f"{o}: {doubt}" for o in comparison.oracles for doubt in _starts(comparison, o)),
        *(f"{o}: {doubt}" for o in comparison.budgets for doubt in _lengths(comparison, o)),
        *_stops(comparison),
    ]


def _starts(comparison: Comparison, oracle: str) -> Iterator[str]:
    some = [curve for (name, _, _), curve in comparison.compared.items() if name == oracle]
    seeds = [
        str(seed)
        for seed in comparison.seeds(oracle)
        if len({curve.start for curve in some if curve.seed == seed}) > 1
    ]
    if seeds:
        yield f"initial designs differ for seed {', '.join(seeds)}"
    sizes = sorted({curve.evaluations[0] for curve in some})
    if len(sizes) > 1:
        yield f"runs begin with {' and '.join(f'{n:g}' for n in sizes)} evaluations"


def _lengths(comparison: Comparison, oracle: str) -> Iterator[str]:
    n = comparison.budgets[oracle]
    some = [curve for curve in comparison.curves if curve.oracle == oracle]
    longest = max(curve.reach for curve in some)
    if longest > n:
        yield f"compared at {n:g} evaluations, though some runs have {longest:g}"
    early: Counter[tuple[str, float]] = Counter()
    left_out: Counter[tuple[str, float, float]] = Counter()
    for curve in some:
        if (oracle, curve.rival, curve.seed) in comparison.compared:
            last = max(m for m in curve.evaluations if m <= n)
            early[curve.rival, last] += last < n < curve.evaluations[-1]
        elif curve.is_finished:
            left_out[curve.rival, curve.evaluations[0], curve.reach] += 1
    for (rival, last), count in early.items():
        if count:
            yield f"last measured at {last:g} evaluations: {count} of {rival}"
    for (rival, first, end), count in left_out.items():
        yield (
            f"left out for having from {first:g} to {end:g} evaluations, where {n:g} are compared: "
            f"{count} of {rival}"
        )


def _stops(comparison: Comparison) -> Iterator[str]:
    stopped: dict[tuple[str, str], list[str]] = {}
    for oracle, rival, seed in comparison.stopped:
        stopped.setdefault((oracle, rival), []).append(str(seed))
    for (oracle, rival), seeds in stopped.items():
        yield (
            f"{oracle}: {rival} stopped early with seed {', '.join(seeds)}; such runs are in no "
            "mean, and count as not arriving"
        )
