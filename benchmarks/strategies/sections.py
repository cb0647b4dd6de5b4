"""Compare all strategies on the same problems, surrogates, seeds and first points.

Sections:

- comparison: every strategy x every problem x a small network and a small automatic surrogate;
- jump: 100 evaluations at boundaries against 300 Sobol points, on functions that jump;
- pools: how much it matters how many candidates a strategy draws.

Every run of a comparison begins with the same initial design, which is charged, and the same first
model. Errors are root mean squares against exact values on a reference set that no run sees.
Cells are kept beside the page as JSON; what was interrupted goes on with --resume.

    python -m benchmarks.strategies comparison --workers 2
    python -m benchmarks.strategies comparison --only "mlp lcmd" --only peak --resume
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Final, final

from adaptsample.acquisition.strategy import CandidateStrategy, SearchStrategy
from adaptsample.registry import strategies
from benchmarks.harness.jobs import Cell, Job, run_jobs
from benchmarks.harness.tables import groups, machine, markdown, number, spread
from benchmarks.strategies.runs import JUMPING, Schedule, measure_run
from benchmarks.strategies.tables import by_surrogate, detail, losers, pool_table, summary

COMMAND: Final = "python -m benchmarks.strategies"
CREASED: Final = ("narrow_peak", "tanh_step", "peak", "closed_kink", "ridge_3d", "disc_jump")
SMOOTH: Final = ("runge", "franke", "ishigami", "otl_circuit", "wing_weight")
POOLS: Final = ("friedman_pool",)
KINDS: Final = {"creased or localised": CREASED, "smooth": SMOOTH, "finite pool": POOLS}

JUMPS: Final = ("disc_jump", "sine_edge", *JUMPING)
ADAPTIVE_JUMP: Final = Schedule(n_initial=40, batch_size=5, budget=100)
AT_ONCE: Final = {"sobol": 100, "plain": 300}  # Sobol points, fitted once

FACTORS: Final = (1, 10, 100, 1000)
POOL_PROBLEMS: Final = ("tanh_step", "franke")


@final
@dataclass(frozen=True)
class Section:
    """A part of the results.

    Args:
        jobs: all of them, from the surrogates, the number of seeds and whether to be quick.
        measure: measures one.
        page: Markdown, from all cells.
        path: of the page, from the folder of the cells.
        seeds: how many by default.
    """

    jobs: Callable[[list[str], int, bool], list[Job]]
    measure: Callable[[Job], Cell]
    page: Callable[[list[Cell]], str]
    path: str
    seeds: int


def _comparison_jobs(surrogates: list[str], seeds: int, quick: bool) -> list[Job]:
    """Return every combination, the first seed of everything first, strategies side by side."""
    problems = ("tanh_step",) if quick else (*CREASED, *SMOOTH, *POOLS)
    names = ("random", "sobol", "lcmd") if quick else tuple(strategies())
    combined = product(range(seeds), surrogates, problems, names)
    return [Job(p, f"{m} {s}", 0, seed) for seed, m, p, s in combined]


def _comparison_page(cells: list[Cell]) -> str:
    parts = ["# Strategies beside one another\n\nMADE_BY\n", _EXPLAINED]
    for name, results in by_surrogate(cells).items():
        seeds = max(len(results.seeds(p, "sobol")) for p in results.oracles)
        parts += [
            f"## With the surrogate `{name}`, {seeds} seeds\n",
            summary(results, KINDS),
            "### By problem\n",
            detail(results),
            "### Who loses to random, and where\n",
            losers(results),
        ]
    failed = groups((c for c in cells if "failure" in c), "method", "problem")
    parts += [f"- `{m}` failed on {p}: {some[0]['failure']}\n" for (m, p), some in failed.items()]
    return "\n".join(parts)


_EXPLAINED: Final = """\
A run begins with 20 Sobol points and adds two batches of 20; in one variable with 8 points and adds
four batches of 4. All strategies begin with the same points and the same model. A gradient costs as
much as a value. `mlp` is a network with two layers of 10 units, `auto` chooses between polynomials
and a Gaussian process: the whole portfolio takes half a minute for each fit.

- Errors are root mean squares on the reference set, in spreads; below 1e-10 they are rounding.
  Ratios are geometric means over seeds, paired, and then over problems.
- Win, tie, loss: Wilcoxon's signed-rank test of each problem, 5 % after Holm's correction over the
  problems. Ten seeds must all but agree for it to tell.
- Levels: Sobol's error half way, at the end, and half of that; the median share of the budget that
  it took, and how many of the runs got there.
- Area: by how many decades the error is lower than Sobol's, on average over the whole run.
"""


def _jump_jobs(surrogates: list[str], seeds: int, quick: bool) -> list[Job]:
    del surrogates
    problems = JUMPS[:1] if quick else JUMPS
    combined = product(range(seeds), problems, ("boundary", "sobol", "plain"))
    return [Job(p, f"jump {s}", 0, seed) for seed, p, s in combined]


def _measure_jump(job: Job) -> Cell:
    n = AT_ONCE.get(job.method.removeprefix("jump "))
    plan = ADAPTIVE_JUMP if n is None else Schedule(n_initial=n, batch_size=1, budget=n)
    method = "jump boundary" if n is None else "jump sobol"
    cell = measure_run(replace(job, method=method), plan=plan, share_start=False)
    return cell | {"mae": cell["maes"][-1]}


def _jump_page(cells: list[Cell]) -> str:
    rows = []
    for (problem,), some in groups(cells, "problem").items():
        errors = {m: [c["mae"] for c in some if c["method"] == f"jump {m}"] for m in _JUMP_COLUMNS}
        few, many = errors["boundary"], errors["plain"]
        ratio = number(mean(few) / mean(many)) if few and many else "-"
        rows.append([problem, *(spread(errors[m]) for m in _JUMP_COLUMNS), ratio])
    headings = ["function", *_JUMP_COLUMNS.values(), "means: boundary 100 / Sobol 300"]
    return (
        "# A jump: 100 evaluations at the boundary against 300 Sobol points\n\nMADE_BY\n\n"
        "Surrogate `jump`; mean absolute errors in units of the spread, median over seeds with the "
        "least and the largest. 40 Sobol points, then batches of 5.\n\n" + markdown(headings, rows)
    )


_JUMP_COLUMNS: Final = {
    "boundary": "boundary, 100",
    "sobol": "Sobol, 100",
    "plain": "Sobol, 300",
}


def _pool_jobs(surrogates: list[str], seeds: int, quick: bool) -> list[Job]:
    del surrogates
    problems = POOL_PROBLEMS[:1] if quick else POOL_PROBLEMS
    names = ("topk", "max_det") if quick else _drawing()
    combined = product(range(seeds), problems, names, FACTORS)
    return [Job(p, f"mlp {s} {f}", 0, seed) for seed, p, s, f in combined]


def _drawing() -> list[str]:
    """Return the strategies that draw candidates, but for the one that is dear."""
    drawing = (CandidateStrategy, SearchStrategy)
    found = [name for name, cls in strategies().items() if issubclass(cls, drawing)]
    return [name for name in found if name != "botorch_variance"]


def _measure_pool(job: Job) -> Cell:
    surrogate, name, factor = job.method.split(" ")
    batch = 4 if job.problem == "tanh_step" else 20
    strategy = f"{name}(n_candidates={int(factor) * batch})"
    cell = measure_run(replace(job, method=f"{surrogate} {strategy}"))
    return {"strategy": name, "factor": int(factor), "error": cell["curve"][-1][1]}


def _pool_page(cells: list[Cell]) -> str:
    good = [cell for cell in cells if "failure" not in cell]
    seeds = len({cell["seed"] for cell in good})
    return (
        "# How many candidates to draw\n\nMADE_BY\n\n"
        f"Final errors on {', '.join(POOL_PROBLEMS)} with a small network, geometric means over "
        f"problems and {seeds} seeds, in units of the error with as many candidates as points, "
        "which is random sampling.\n\n" + pool_table(good, FACTORS)
    )


SECTIONS: Final = {
    "comparison": Section(_comparison_jobs, measure_run, _comparison_page, "../strategies.md", 10),
    "jump": Section(_jump_jobs, _measure_jump, _jump_page, "jump.md", 5),
    "pools": Section(_pool_jobs, _measure_pool, _pool_page, "pools.md", 3),
}


def main(arguments: Iterable[str] | None = None) -> None:
    """Measure what is due, and write the page."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("section", choices=list(SECTIONS))
    parser.add_argument("--seeds", type=int, help="how many (default: what the results have)")
    parser.add_argument("--workers", type=int, default=1, help="processes side by side")
    parser.add_argument("--surrogate", action="append", choices=["mlp", "auto"], help="repeatable")
    parser.add_argument("--only", action="append", default=[], help="text that jobs must contain")
    parser.add_argument("--resume", action="store_true", help="keep the cells that are there")
    parser.add_argument("--quick", action="store_true", help="a few small jobs, to try it out")
    parser.add_argument("--out", type=Path, help="of the cells (default: results/strategies)")
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(given)
    section = SECTIONS[options.section]
    seeds = options.seeds or (1 if options.quick else section.seeds)
    jobs = section.jobs(options.surrogate or ["mlp", "auto"], seeds, options.quick)
    jobs = [job for job in jobs if all(text in str(job) for text in options.only)]
    default = Path(tempfile.mkdtemp() if options.quick else "results") / "strategies"
    out: Path = options.out or default
    store = out / f"{options.section}.json"
    cells: list[Cell] = []
    for cells in run_jobs(  # noqa: B007  # the last are all
        jobs, section.measure, store, workers=options.workers, resume=options.resume
    ):
        pass
    command = shlex.join([*COMMAND.split(), *given])
    made_by = f"```sh\n{command}\n```\n\n{machine()}"
    page = section.page(cells).replace("MADE_BY", made_by)
    (out / section.path).write_text(page)
    print(page)
