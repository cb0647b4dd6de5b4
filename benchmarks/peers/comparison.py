"""Measure samplers beside other packages: the same functions, the same evaluations, one thread.

Every evaluation is counted, the initial design included. Errors are root mean squares on a
reference set that nobody sees, in units of the spread of its exact values. Each job has a process
of its own, whose CPU time and peak of memory are kept. Cells are kept beside the page as JSON;
what was interrupted goes on with --resume.

    python -m benchmarks.peers
    python -m benchmarks.peers --only BoTorch --only peak --resume
    python -m benchmarks.peers --quick
"""

import resource
import signal
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

import numpy as np
import torch

from adaptsample.metrics.errors import reference_set
from adaptsample.oracles import ExpressionOracle, Oracle
from adaptsample.oracles.protocol import SupportsExact
from benchmarks.harness.command import Benchmark
from benchmarks.harness.jobs import Cell, Job
from benchmarks.harness.tables import machine, markdown
from benchmarks.peers import fits
from benchmarks.peers.approximations import Predict
from benchmarks.peers.ours import SOURCE, run_of
from benchmarks.peers.samplers import CHAOS, ONE_VARIABLE, PEERS
from benchmarks.peers.tables import (
    Field,
    all_errors,
    costs,
    duel_rows,
    equal_errors,
    fixed_table,
    missing,
    peer_wins,
    ratio_table,
    seeds_told,
    told,
)
from benchmarks.peers.task import Run, Task

CREASED: Final = (
    "peak",
    "sine_ridge",
    "closed_kink",
    "three_creases",
    "ridge_3d",
    "two_regimes",
    "kinked_line",
    "regimes_3d",
    "tanh_front",
)
SMOOTH: Final = (
    "franke",
    "runge",
    "exp_sin",
    "ishigami",
    "otl_circuit",
    "borehole",
    "wing_weight",
)
OTHERS: Final = ("cbrt",)
KINDS: Final[dict[str, Sequence[str]]] = {
    "creased": CREASED,
    "smooth": SMOOTH,
    "of infinite slope": OTHERS,
}
ONE_DIMENSIONAL: Final = ("kinked_line", "runge", "exp_sin", "cbrt")
DETERMINISTIC: Final = ("adaptive", "Tasmanian")
KINKED_LINE: Final = "exp(-x)*abs(sin(4*x) - 0.3) + 0.5*cos(3*x)"
"""Three kinks in one variable, on [-1, 1]."""

FIXED: Final = "auto + sobol"
OURS: Final = (FIXED, "auto + gap_derivative", "mlp + integrated_variance")
SOURCES: Final = tuple(f"{SOURCE}{name}" for name in ("softmax", "swap", "topk"))
SIZES: Final = (60, 100, 200)
PEAK_SIZES: Final = (*SIZES, 300)
EARLY: Final = (20, 40)
"""At which peers are measured as well, as ours are anyway: for evaluations at equal errors."""
QUICK_FIXED: Final = "polynomial + sobol"
QUICK_SIZES: Final = (24, 32)
FIRST: Final = 20
SECONDS: Final = 300
"""CPU time of a job, after which nothing more is awaited."""

_PACKAGES: Final = ("scikit-learn", "smt", "Tasmanian", "openturns")

Point: TypeAlias = tuple[int, float, float]
"""Evaluations, error, and CPU seconds."""


class OutOfTimeError(BaseException):
    """Too much CPU time is spent; no peer shall catch it."""


def oracle(name: str) -> Oracle:
    """Return the function that a job names."""
    if name == "kinked_line":
        return ExpressionOracle(KINKED_LINE, {"x": (-1, 1)})
    return fits.oracle(name)


def jobs(seeds: int, *, quick: bool) -> list[Job]:
    """Return all runs: the first seed of everything first, ours and the fastest peers in front."""
    problems: Sequence[str] = ("peak", "runge")
    waves: Sequence[Sequence[str]] = ([QUICK_FIXED, *(p for p in PEERS if p != "BoTorch")],)
    if not quick:
        pairs = [p for pair in zip(CREASED, SMOOTH, strict=False) for p in pair]
        problems = [*pairs, *CREASED[len(SMOOTH) :], *OTHERS]
        waves = ([FIXED, *PEERS], [*OURS[1:], *SOURCES])
    return [
        Job(problem, method, 0, seed)
        for seed in range(seeds)
        for methods in waves
        for problem in problems
        for method in methods
        if (seed == 0 or method not in DETERMINISTIC)
        and (method != ONE_VARIABLE or problem in ONE_DIMENSIONAL)
    ]


def measure(job: Job) -> Cell:
    """Run a method at the sizes of the whole comparison."""
    sizes = PEAK_SIZES if job.problem == "peak" else SIZES
    return _measure(job, (*EARLY, *sizes) if job.method in PEERS else sizes)


def measure_quickly(job: Job) -> Cell:
    """Run a method at sizes that take no time."""
    return _measure(job, QUICK_SIZES)


def _measure(job: Job, sizes: Sequence[int]) -> Cell:
    problem = oracle(job.problem)
    assert isinstance(problem, SupportsExact), f"{job.problem} has no exact values"
    assert problem.exact is not None, f"{job.problem} has no exact values"
    reference = reference_set(problem.exact)
    x, exact = reference.x.numpy(), reference.y[:, 0].numpy()
    spread = float(reference.y.std())
    task = Task(problem, sizes, job.seed, FIRST)
    arms: Sequence[Run] = [run_of(job.method)]
    if job.method in PEERS:
        import_module(PEERS[job.method].module)  # imports are not charged
        arms = PEERS[job.method].arms(len(task.bounds))
    curves: dict[str, list[Point]] = {}
    stopped: list[str] = []
    begun = time.process_time()
    for arm in arms:
        try:
            for n, name, predict, seconds in _timed(arm, task):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    error = float(np.sqrt(np.mean((predict(x) - exact) ** 2))) / spread
                if np.isfinite(error):
                    curves.setdefault(name, []).append((n, error, seconds))
        except OutOfTimeError:
            stopped.append(f"{_called(arm)}more than {SECONDS} s of CPU time")
        except Exception as error:
            stopped.append(f"{_called(arm)}{type(error).__name__}: {error}"[:200])
    if not curves:
        raise RuntimeError("; ".join(dict.fromkeys(stopped)))
    cell: Cell = {"curves": curves} | ({"stopped": "; ".join(stopped)} if stopped else {})
    return cell | {"cpu": time.process_time() - begun, "memory": peak_memory()}


def _timed(arm: Run, task: Task) -> Iterator[tuple[int, str, Predict, float]]:
    """Yield what an arm shows, and the CPU seconds that it took until then.

    Raises:
        OutOfTimeError: too many of them.
    """
    task.afresh()
    seconds, shows = 0.0, arm(task)
    before = signal.signal(signal.SIGPROF, _stop)
    try:
        while True:
            begun = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, max(SECONDS - seconds, 1e-3))
            shown = next(shows, None)
            signal.setitimer(signal.ITIMER_PROF, 0)
            seconds += time.process_time() - begun
            if shown is None:
                return
            n, made = shown
            assert task.spent <= n, f"{_called(arm)}{task.spent} evaluations for {n}"
            for name, predict in made.items():
                yield n, name, predict, seconds
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _called(arm: Run) -> str:
    """Return the settings of an arm, to be put before what became of it."""
    settings = arm.keywords.values() if isinstance(arm, partial) else ()
    return f"{', '.join(map(str, settings))}: " if settings else ""


def _stop(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise OutOfTimeError


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage, it knows nothing of the process that started this one
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def page(cells: Sequence[Cell], command: str, *, quick: bool) -> str:
    """Return Markdown."""
    fixed, sizes = (QUICK_FIXED, QUICK_SIZES) if quick else (FIXED, PEAK_SIZES)
    field = Field.of(cells, dict(KINDS), fixed=fixed, is_ours=lambda method: " + " in method)
    parts = [
        "# Beside other packages\n",
        f"```sh\n{command}\n```\n",
        f"## Where a peer wins against `{fixed}`\n",
        "Errors are root mean squares on the reference set in spreads of the exact values, medians "
        f"over seeds ({seeds_told(c for c in cells if 'failure' not in c)}). The best peer is the "
        "best of all below, on that function with that many evaluations, as known afterwards.\n",
        peer_wins(field, sizes),
        f"## The error of `{fixed}` by the best peer's\n",
        fixed_table(field, sizes),
        "## All of ours, geometric means\n",
        ratio_table(field, sizes),
        _goals(field),
        "## By function\n",
        duel_rows(field, sizes),
        "## Evaluations for equal errors\n",
        "How many evaluations the best peer with 60, 100, 200 (and 300) takes to its error, and "
        "how many each of ours. Between the sizes that were measured errors fall log-linearly; the "
        f"first is {FIRST}. Errors that are rounding are left out.\n",
        equal_errors(field, sizes),
        "## Time and memory\n",
        "CPU seconds to that size, of each on its own and without imports, and the largest "
        "resident memory of the process, with Python and PyTorch, and all of a package, in it; "
        "medians over functions.\n",
        costs(field, sizes[-1] if quick else SIZES[-1]),
        "## All errors\n",
        all_errors(field, sizes),
        "## What has no result, or not all\n",
        missing(cells),
        _HOW,
        f"{machine(*_PACKAGES, cells=cells)}\n",
    ]
    return "\n".join(parts)


def _goals(field: Field) -> str:
    """Say how far we are from what we set out for."""
    rows = []
    goals: list[tuple[str, Sequence[str], int, float]] = [
        ("peak", ("peak",), PEAK_SIZES[-1], 1e-3),
        *(("creased", CREASED, size, 0.05) for size in SIZES),
        *(("smooth", SMOOTH, size, 0.7) for size in SIZES),
    ]
    # the one that is far ahead on a function can carry a mean
    rest = replace(field, measured=[m for m in field.measured if not m.name.startswith(CHAOS)])
    for name, problems, n, goal in goals:
        ratio = field.mean_ratio(problems, n, field.fixed)
        if not np.isnan(ratio):
            met = "yes" if ratio <= goal else "no"
            counted = sum(not np.isnan(field.ratio(p, n, field.fixed)) for p in problems)
            share = f"{counted} of {len(problems)}"
            without = told(rest.mean_ratio(problems, n, field.fixed))
            rows.append([f"{name} at {n}", share, f"{goal:g}", told(ratio), met, without])
    ratio_heading = f"`{field.fixed}` / best peer"
    heading = ["aim", "functions measured", "at most", ratio_heading, "reached", f"without {CHAOS}"]
    return markdown(heading, rows) if rows else ""


_HOW: Final = f"""\
## How

- All evaluations are counted, the initial design too: an approximation with N evaluations has seen
  at most N values. Errors below 1e-10 count as 1e-10, so that two which are exact are equal.
- What ours has and peers have not: `auto` tries the logarithm, the reciprocal and the root of the
  values (an arm of scikit-learn's does as well), and functions of |z|. `peak` and `sine_ridge` lie
  in that family, which is why they are found exactly; `closed_kink`, `three_creases` and others do
  not.
- Sequential peers (scikit-learn, BoTorch), and `mlp + integrated_variance`, begin with {FIRST}
  Sobol points and add batches of a fifth of what they have: about 14 fits up to 200. Within a
  batch each point knows those before it. `auto` is fitted with {FIRST}, {2 * FIRST} and each N
  evaluations: with Sobol points afresh each time, or with points that `gap_derivative` adds.
- Times include all fits with fewer evaluations that were made to be shown here. They were taken
  with another process on the second core.
- adaptive chooses one point after another in the unit cube, with its default loss and those for
  curvature and for even triangles. Its own interpolation is piecewise linear; cubic ones are
  SciPy's CubicSpline and CloughTocher2DInterpolator through the same points.
- BoTorch: what lowers the integrated variance most (qNegIntegratedPosteriorVariance, in closed
  form) of 1,000 candidates, over 256 points, by a SingleTaskGP with default priors, exact values
  and the kernel that is shown; and Sobol points. What is measured are fits of Matérn-5/2 and
  squared exponential kernels, each with four starts, two variances and a learned output scale,
  the most likely one.
- scikit-learn: anisotropic Matérn kernels of smoothness 3/2 and 5/2 and a squared exponential one,
  the most likely, normalised values, two restarts; the points of largest variance among 1,000
  candidates, or Sobol points, the latter also with the most likely transform of the values.
- OpenTURNS: a sparse expansion in Legendre polynomials by least angles (LARS), with hyperbolic
  sets of norm 1/2, 3/4 and 1 and all degrees up to twice as many terms as points; the corrected
  leave-one-out error chooses.
- SciPy's RBFInterpolator with the kernels that have no scale, and SMT's Kriging, are given Sobol
  points; SMT's settings are its defaults, with ten starts.
- Tasmanian: local polynomials of order 1, 2 and as high as can be (-1), refined by surplus
  ("classic" and "fds") from depth 1, 2 and 3, and sequences of Leja points refined along the axes
  that matter ("iptotal"), built up to N points.
- The source's attempts have their published settings but for the initial design, which has
  {2 * FIRST} points: theirs has 500, more than there are here.
- Each way to go about it ends after {SECONDS} s of CPU time; what it had shown before counts.
"""


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command."""
    torch.set_num_threads(1)
    Benchmark(
        "benchmarks.peers",
        __doc__,
        lambda seeds, quick: jobs(seeds, quick=quick),
        (measure, measure_quickly),
        lambda cells, command, quick: page(cells, command, quick=quick),
        seeds=(3, 1),
        alone=True,
    ).main(arguments)
