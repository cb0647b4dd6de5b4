"""Measure what gradients are worth: errors against the total price of values and gradients.

A gradient costs 0, 0.5, 1 or d evaluations. Runs that buy values only, all gradients, or those that
are worth it, ask the points of the same Sobol sequence with the same network, so what differs is
what was bought. Cells are kept beside the page as JSON; what was interrupted goes on with --resume.

    python -m benchmarks.strategies.gradient_price
    python -m benchmarks.strategies.gradient_price --only peak --resume
    python -m benchmarks.strategies.gradient_price --quick
"""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from statistics import mean
from typing import Final

from adaptsample.oracles.problems import PROBLEMS
from benchmarks.harness.command import Benchmark
from benchmarks.harness.jobs import Cell, Job
from benchmarks.harness.tables import groups, machine, markdown, number, whole
from benchmarks.strategies.runs import Schedule, measure_run

BUYERS: Final[Mapping[str, str]] = {
    "values": "no_gradients()",
    "all": "all_gradients()",
    "worth_it": "worth_it()",
}
SURROGATES: Final = ("mlp()", "mlp(training=levenberg_marquardt(gradient_weight=0.1))")
"""With slopes that count as much as values, as is the default, and a tenth of that."""
PLANS: Final = {
    "sin": Schedule(n_initial=8, batch_size=4, budget=20),
    "exp_sin": Schedule(n_initial=8, batch_size=4, budget=28),
    "franke": Schedule(n_initial=20, batch_size=10, budget=60),
    "peak": Schedule(n_initial=20, batch_size=20, budget=100),
    "borehole": Schedule(n_initial=20, batch_size=20, budget=80),
}
QUICK: Final = "mlp(hidden=(4,), training=levenberg_marquardt(starts=1, iterations=30))"
QUICK_PLAN: Final = Schedule(n_initial=6, batch_size=2, budget=10)
FLOOR: Final = 1e-10
"""Errors below that are rounding."""
TIE: Final = 1.02
"""Ratios up to that are chance."""


def prices(problem: str) -> list[float]:
    """Return what a gradient may cost, from nothing to as much as d values."""
    return sorted({0.0, 0.5, 1.0, float(PROBLEMS[problem].domain.dimension)})


def jobs(seeds: int, *, quick: bool) -> list[Job]:
    """Return every combination, the first seed of everything first; values alone have no price."""
    problems, surrogates = (["sin"], [QUICK]) if quick else (list(PLANS), list(SURROGATES))
    return [
        Job(problem, f"{price:g} {buyer} {surrogate}", 0, seed)
        for seed in range(seeds)
        for problem in problems
        for surrogate in surrogates
        for buyer in BUYERS
        for price in (prices(problem)[:1] if buyer == "values" else prices(problem))
        if surrogate == surrogates[0] or (buyer, price) == ("all", 0.0)
    ]


def measure(job: Job) -> Cell:
    """Run one sampler to its budget."""
    return _measure(job, PLANS[job.problem])


def measure_quickly(job: Job) -> Cell:
    """Run one sampler to a tiny budget."""
    return _measure(job, QUICK_PLAN)


def _measure(job: Job, plan: Schedule) -> Cell:
    price, buyer, surrogate = job.method.split(" ", 2)
    method = f"{surrogate} sobol(gradients={BUYERS[buyer]})"
    spelled = Job(job.problem, method.replace(", ", ","), job.n, job.seed)
    cell = measure_run(spelled, plan=plan, share_start=False, gradient_cost=float(price))
    told = {"price": float(price), "buyer": buyer, "surrogate": surrogate}
    return cell | told | {"error": max(cell["curve"][-1][1], FLOOR)}


_HEADING: Final = (
    "function",
    "price of a gradient",
    "total",
    "seeds",
    "values only",
    "all gradients",
    "worth_it",
    "gradients that it bought",
)


def page(cells: Sequence[Cell], command: str) -> str:
    """Return Markdown."""
    good = [cell for cell in cells if "failure" not in cell]
    failed = [f"- failed: {c['problem']} {c['method']}: {c['failure']}\n" for c in cells
              if "failure" in c]  # fmt: skip
    usual = [cell for cell in good if cell["surrogate"] != SURROGATES[1]]
    other = [c for c in good if c["surrogate"] == SURROGATES[1] or c["buyer"] == "values"]
    usual = [c for (_,), some in groups(usual, "problem").items() for c in whole(some, "seed")]
    rows, verdicts = [], []
    for (problem,), some in groups(usual, "problem").items():
        found = _ratios(some)
        rows += _rows(problem, some, found)
        verdicts.append(_verdict(problem, found))
    return "\n".join(
        [
            "# What a gradient is worth\n",
            f"```sh\n{command}\n```\n",
            "## Where gradients pay\n",
            "".join(verdicts),
            "## Final errors at the same total price\n",
            "Root mean square errors on the reference set in spreads, geometric means over "
            "seeds, in brackets what they are of the error with values only (paired, the "
            "least and the largest ratio after it). The initial design has values only, and is "
            "charged. A price of d is that of forward differences.\n",
            markdown(_HEADING, rows),
            "## Errors against the price spent\n",
            _curves(usual),
            _weights(other),
            "".join(failed),
            f"{machine(cells=cells)}\n",
        ]
    )


def _ratios(cells: Sequence[Cell]) -> dict[tuple[str, float], list[float]]:
    """Return the errors by that of values only with the same seed, by buyer and price."""
    values = {c["seed"]: c["error"] for c in cells if c["buyer"] == "values"}
    found: dict[tuple[str, float], list[float]] = {}
    for cell in cells:
        if cell["seed"] in values and cell["buyer"] != "values":
            ratio = cell["error"] / values[cell["seed"]]
            found.setdefault((cell["buyer"], cell["price"]), []).append(ratio)
    return found


def _mean(positive: Iterable[float]) -> float:
    return exp(mean(map(log, positive)))


def _rows(
    problem: str, cells: Sequence[Cell], found: Mapping[tuple[str, float], Sequence[float]]
) -> list[list[str]]:
    table = groups(cells, "buyer", "price")
    values = [c["error"] for c in table.get(("values", 0.0), [])]
    if not values:
        return []
    total = max(cell["curve"][-1][0] for cell in cells)
    rows = []
    for price in sorted({price for _, price in found}):
        row = [problem, f"{price:g}", f"{total:g}", str(len(values)), number(_mean(values))]
        for buyer in ("all", "worth_it"):
            some, ratios = table.get((buyer, price), []), found.get((buyer, price), [])
            if ratios:
                extremes = f"{number(min(ratios))}..{number(max(ratios))}"
                error = number(_mean(c["error"] for c in some))
                row.append(f"{error} ({number(_mean(ratios))}; {extremes})")
            else:
                row.append("-")
        bought = table.get(("worth_it", price), [])
        n_later = sum(c["n_points"] - c["curve"][0][0] for c in bought)
        share = sum(c["n_gradients"] for c in bought) / n_later if n_later else 0.0
        rows.append([*row, f"{share:.0%}" if bought else "-"])
    return rows


def _verdict(problem: str, found: Mapping[tuple[str, float], Sequence[float]]) -> str:
    lines = []
    for buyer in ("all", "worth_it"):
        means = {p: _mean(ratios) for (name, p), ratios in sorted(found.items()) if name == buyer}
        if not means:
            continue
        name = {"all": "all gradients", "worth_it": "`worth_it`"}[buyer]
        free, most = means.get(0.0, 1.0), max(found.get((buyer, 0.0), [1.0]))
        worse = "never worse" if free <= TIE else f"WORSE, {number(free)} times the error,"
        paying = [f"{p:g}" for p, ratio in means.items() if ratio < 1 / TIE]
        stops = [f"{p:g}" for p, ratio in means.items() if ratio > TIE]
        told = f"pays at {', '.join(paying) or 'no price'}, costs at {', '.join(stops) or 'none'}"
        free_told = f"{worse} at price 0 (the largest ratio is {number(most)})"
        lines.append(f"- {problem}, {name}: {free_told}; {told}\n")
    return "".join(lines)


def _curves(cells: Sequence[Cell]) -> str:
    """Return the errors of the first half of the budget and of all of it, and between."""
    rows = []
    for (problem,), some in groups(cells, "problem").items():
        total = max(cell["curve"][-1][0] for cell in some)
        for (buyer, price), runs in groups(some, "buyer", "price").items():
            row = [problem, buyer, "any" if buyer == "values" else f"{price:g}"]
            for share in (0.5, 0.75, 1.0):
                errors = [_spent(run["curve"], share * total) for run in runs]
                row.append(number(_mean(errors)))
            rows.append(row)
    heading = ["function", "bought", "price of a gradient"]
    return markdown([*heading, "half of the total spent", "three quarters", "all"], rows)


def _spent(curve: Sequence[tuple[float, float]], price: float) -> float:
    """Return the error when so much was spent: that of the last round that it pays for."""
    paid = [error for n, error in curve if n <= price + 1e-9]
    return max(paid[-1] if paid else curve[0][1], FLOOR)


def _weights(cells: Sequence[Cell]) -> str:
    """Return what free gradients do if slopes count for less."""
    rows = []
    for (problem,), some in groups(cells, "problem").items():
        ratios = _ratios(some).get(("all", 0.0), [])
        if ratios:
            extremes = f"{number(min(ratios))}..{number(max(ratios))}"
            rows.append([problem, f"{number(_mean(ratios))} ({extremes})"])
    if not rows:
        return ""
    table = markdown(["function", "all gradients, price 0: error / values only"], rows)
    return f"## If slopes count a tenth as much as values\n\n{table}"


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command."""
    Benchmark(
        "benchmarks.strategies.gradient_price",
        __doc__,
        lambda seeds, quick: jobs(seeds, quick=quick),
        (measure, measure_quickly),
        lambda cells, command, _: page(cells, command),
        seeds=(5, 2),
    ).main(arguments)


if __name__ == "__main__":
    main()
