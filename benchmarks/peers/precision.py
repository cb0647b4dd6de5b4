"""Measure how precise surrogates are, next to other packages, and what that takes.

Each section is a table: medians over seeds with the least and the largest value, from cells that
are kept beside it as JSON. Errors are against exact values on a reference set that no method sees.

    python -m benchmarks.peers.precision variants --workers 2
    python -m benchmarks.peers.precision engineering --only auto --only N=100 --resume
"""

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Final, final

from adaptsample import Sampler
from adaptsample.experiments.presets import PRESETS
from adaptsample.oracles.problems import PROBLEMS
from benchmarks.harness.jobs import Cell, Design, Job, run_jobs
from benchmarks.harness.tables import duel_table, groups, markdown, page, spread, values
from benchmarks.harness.variants import VARIANTS
from benchmarks.peers.fits import measure_fit
from benchmarks.speed.source import EagerNetwork

COMMAND: Final = "python -m benchmarks.peers.precision"
AUTO: Final = "auto"
NETWORKS: Final = "networks"
SOURCE: Final = PRESETS["source"]["topk"]
SOURCE_NETWORKS: Final = (SOURCE.surrogate, PRESETS["source"]["softmax"].surrogate)
BOTORCH: Final = ("botorch-matern", "botorch-rbf")
NOISY_BOTORCH: Final = ("botorch-noisy-matern", "botorch-noisy-rbf")
VARIANT_PEERS: Final = ("adaptive", *BOTORCH, "scipy-thin-plate")
ENGINEERING: Final = (
    "franke",
    "branin",
    "ishigami",
    "otl_circuit",
    "piston",
    "borehole",
    "wing_weight",
)
NOISY: Final = ("noisy_line", "noisy_cosine", "noisy franke")
PRECISE: Final = 1e-6
SOURCE_ERROR: Final = 0.04


@final
@dataclass(frozen=True)
class Section:
    """One table.

    Args:
        title: of its page.
        jobs: all of them, from the number of seeds and whether to be quick.
        table: Markdown, from cells that did not fail.
        seeds: how many by default.
        measure: measures one job.
    """

    title: str
    jobs: Callable[[int, bool], Iterable[Job]]
    table: Callable[[list[Cell]], str]
    seeds: int
    measure: Callable[[Job], Cell] = measure_fit


# what is measured


def grid(
    problems: Iterable[str],
    methods: Iterable[str],
    sizes: Iterable[int],
    seeds: int,
    *,
    design: Design = "sobol",
) -> list[Job]:
    """Return a job for every combination, the first seed of everything first."""
    combinations = product(range(seeds), sizes, problems, methods)
    return [Job(p, m, n, seed, design) for seed, n, p, m in combinations]


def _peak_jobs(seeds: int, quick: bool) -> list[Job]:
    return grid(["peak"], ["polynomial" if quick else AUTO], [20 if quick else 60], seeds)


def _network_jobs(seeds: int, quick: bool) -> list[Job]:
    return grid(["peak"], [NETWORKS], [20] if quick else [100, 150, 200, 300], seeds)


def _variant_jobs(seeds: int, quick: bool) -> list[Job]:
    if quick:
        return grid(list(VARIANTS)[:2], ("polynomial", *VARIANT_PEERS), [20], seeds)
    methods, sizes = (AUTO, *VARIANT_PEERS), (60, 100, 200, 400)
    jobs = grid(VARIANTS, methods, sizes, seeds)
    return [job for job in jobs if job.method != "adaptive" or job.seed == 0]  # it has no seed


def _smooth_jobs(seeds: int, quick: bool) -> list[Job]:
    problems = ["sin"] if quick else ["sin", "exp_sin", "runge", "cbrt"]
    ours = ["polynomial"] if quick else [AUTO, NETWORKS, *SOURCE_NETWORKS]
    methods = [*ours, *BOTORCH, "scipy-aaa"]
    n = 12 if quick else 40
    nodes = grid(problems, (*methods, "chebyshev"), [n], seeds, design="chebyshev")
    mapped = grid(problems, methods, [n], seeds, design="mapped_chebyshev")
    return grid(problems, methods, [n], seeds) + nodes + mapped


def _engineering_jobs(seeds: int, quick: bool) -> list[Job]:
    if quick:
        return grid(ENGINEERING[:2], ("polynomial", *BOTORCH), [20], seeds)
    return grid(ENGINEERING, (AUTO, *BOTORCH), (50, 100, 200), seeds)


def _noise_jobs(seeds: int, quick: bool) -> list[Job]:
    if quick:
        return grid(NOISY[:2], ("gaussian_process", *NOISY_BOTORCH), [20], seeds)
    noisy = grid(NOISY, (AUTO, "mlp", *NOISY_BOTORCH), (100, 200), seeds)
    return noisy + grid(ENGINEERING, (AUTO, *BOTORCH), [100], seeds)


def _stopping_jobs(seeds: int, quick: bool) -> list[Job]:
    return grid(["peak"], ["polynomial" if quick else AUTO], [20 if quick else 100], seeds)


def _time_jobs(seeds: int, quick: bool) -> list[Job]:
    return grid(["peak"], ["polynomial" if quick else AUTO], [510 if quick else 3000], seeds)


def measure_stop(job: Job) -> Cell:
    """Run until the library says that it has reached the tolerance."""
    sampler = Sampler(
        PROBLEMS[job.problem],
        surrogate=job.method,
        strategy="sobol",
        seed=job.seed,
        n_initial=18,
        batch_size=1,
    )
    start = time.process_time()
    run = sampler.run(budget=job.n, tolerance=PRECISE)
    return {
        "evaluations": run.n_evaluations,
        "confirmed": run.confirmed,
        "cpu": time.process_time() - start,
        **run.errors,
    }


def measure_time(job: Job) -> Cell:
    """Take the CPU time until a run's error is the source's: by our loop, then by the source's."""
    source = Sampler(
        PROBLEMS[job.problem],
        surrogate=EagerNetwork(),
        strategy=SOURCE.strategy,
        seed=job.seed,
        n_initial=SOURCE.n_initial,
        batch_size=SOURCE.batch_size,
        design=SOURCE.design,
        record_every=10,
    )
    ours = Sampler(
        PROBLEMS[job.problem],
        surrogate=job.method,
        strategy="sobol",
        seed=job.seed,
        n_initial=40,
        batch_size=4,
    )
    mine = _until_good(ours, 100)
    theirs = _until_good(source, job.n)
    return {f"source_{k}": v for k, v in theirs.items()} | {f"our_{k}": v for k, v in mine.items()}


def _until_good(sampler: Sampler, budget: int) -> Cell:
    start, good = time.process_time(), False
    while not good and sampler.n_evaluations <= budget:
        x = sampler.ask()  # records the round before, if due
        good = bool(sampler.rounds) and sampler.rounds[-1].errors["mae"] <= SOURCE_ERROR
        if not good:
            sampler.tell(x, sampler.evaluate(x))
    last = sampler.rounds[-1]
    return {
        "cpu": time.process_time() - start,
        "evaluations": last.n_evaluations,
        "mae": last.errors["mae"],
        "reached": good,
    }


# tables


def _variant_table(cells: list[Cell]) -> str:
    return duel_table(cells, "mae", VARIANT_PEERS, bar=1.0)


def _engineering_table(cells: list[Cell]) -> str:
    return duel_table(cells, "nrmse", BOTORCH, bar=1.2)


def _peak_table(cells: list[Cell]) -> str:
    rows = []
    for (method, n), some in groups(cells, "method", "n").items():
        errors = values(some, "mae")
        precise = f"{sum(error <= PRECISE for error in errors)} of {len(errors)}"
        seconds = [spread(values(some, key)) for key in ("cpu", "wall")]
        rows.append([method, str(n), spread(errors), precise, *seconds])
    return markdown(["surrogate", "N", "MAE", f"MAE <= {PRECISE:g}", "CPU s", "wall s"], rows)


def _smooth_table(cells: list[Cell]) -> str:
    methods = [method for (method,) in groups(cells, "method")]
    rows = []
    for (problem, design), some in groups(cells, "problem", "design").items():
        by_method = groups(some, "method")
        errors = [spread(values(by_method.get((method,), []), "max")) for method in methods]
        rows.append([problem, design, *errors])
    n = ", ".join(str(n) for (n,) in groups(cells, "n"))
    heading = ["function", "points", *map(shorter, methods)]
    return f"Largest error with N = {n}.\n\n{markdown(heading, sorted(rows))}"


def shorter(method: str) -> str:
    """Return what a table calls a method."""
    names = dict(
        zip(SOURCE_NETWORKS, ("source's tanh network", "source's ReLU network"), strict=True)
    )
    return names.get(method, method)


def _noise_table(cells: list[Cell]) -> str:
    keys = ("noise", "noise_std", "coverage_50", "coverage_80", "coverage_95")
    rows = []
    for (problem, n, method), some in groups(cells, "problem", "n", "method").items():
        told = [spread(values(some, key)) for key in keys]
        rows.append([problem, str(n), method, spread(values(some, "nrmse")), *told])
    rows.sort(key=lambda row: (row[0], int(row[1])))
    heading = ["function", "N", "method", "NRMSE", "noise", "noise found"]
    table = markdown([*heading, "in 50 %", "in 80 %", "in 95 %"], rows)
    return f"{table}\n{_coverage(cells)}\n"


def _coverage(cells: list[Cell]) -> str:
    """Say how often 95 % intervals hold, over all functions: the mean of their medians."""
    shares = []
    for (method,), some in groups(cells, "method").items():
        by_function = groups(some, "problem", "n").values()
        medians = [median(v) for one in by_function if (v := values(one, "coverage_95"))]
        if medians:
            shares.append(f"{method} {100 * mean(medians):.0f} % ({len(medians)} rows)")
    return f"95 % intervals hold, on the mean of these medians: {', '.join(shares)}."


def _stopping_table(cells: list[Cell]) -> str:
    confirmed = [cell for cell in cells if cell["confirmed"]]
    false = sum(cell["mae"] > PRECISE for cell in confirmed)
    rows = [
        ["evaluations at the stop", spread(values(cells, "evaluations"))],
        ["MAE at the stop", spread(values(cells, "mae"))],
        ["CPU s", spread(values(cells, "cpu"))],
        ["stops that claim the tolerance", f"{len(confirmed)} of {len(cells)}"],
        ["false ones among them", str(false)],
    ]
    return markdown(["peak, tolerance 1e-6, budget 100", "value"], rows)


def _time_table(cells: list[Cell]) -> str:
    rows = []
    for who, name in {"source": "the source's loop", "our": "ours"}.items():
        reached = f"{sum(values(cells, f'{who}_reached'))} of {len(cells)}"
        columns = [spread(values(cells, f"{who}_{key}")) for key in ("cpu", "evaluations", "mae")]
        rows.append([name, reached, *columns])
    ratios = [cell["source_cpu"] / cell["our_cpu"] for cell in cells]
    heading = ["", f"reached {SOURCE_ERROR}", "CPU s", "evaluations", "MAE then"]
    note = "A run that does not reach it counts with all of its time."
    return f"{markdown(heading, rows)}\nTimes faster: {spread(ratios)}. {note}\n"


SECTIONS: Final = {
    "peak": Section("The peak function", _peak_jobs, _peak_table, 10),
    "network": Section("The peak function, networks alone", _network_jobs, _peak_table, 10),
    "variants": Section("Check functions with kinks and jumps", _variant_jobs, _variant_table, 3),
    "smooth": Section("Smooth functions of one variable", _smooth_jobs, _smooth_table, 3),
    "engineering": Section("Engineering functions", _engineering_jobs, _engineering_table, 5),
    "noise": Section("Noise, and how honest intervals are", _noise_jobs, _noise_table, 5),
    "stopping": Section(
        "Stopping at a tolerance", _stopping_jobs, _stopping_table, 20, measure_stop
    ),
    "time": Section("Time to the source's error", _time_jobs, _time_table, 5, measure_time),
}


# command line


def main() -> int:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--seeds", type=int, help="how many; the section's own by default")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    parser.add_argument("--out", type=Path, help="folder; results/precision by default")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="jobs with this in 'function method N=100 sobol seed=0'; repeated: with all of them",
    )
    parser.add_argument("--resume", action="store_true", help="keep the jobs that are done")
    options = parser.parse_args()
    section = SECTIONS[options.section]
    scratch = tempfile.mkdtemp() if options.quick else "results/precision"
    out = options.out or Path(scratch)
    seeds = options.seeds or (1 if options.quick else section.seeds)
    jobs = [
        job
        for job in section.jobs(seeds, options.quick)
        if all(text in str(job) for text in options.only)
    ]
    if not jobs:
        parser.error(f"no job has all of {options.only}")
    store = out / f"{options.section}.json"
    command = shlex.join([*COMMAND.split(), *sys.argv[1:]])
    text = ""
    for cells in run_jobs(
        jobs, section.measure, store, workers=options.workers, resume=options.resume
    ):
        text = page(section.title, section.table, cells, command)
        store.with_suffix(".md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
