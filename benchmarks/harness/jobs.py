"""Jobs of a benchmark: what one is, how it is measured, and how many run side by side.

Each result is written to the JSON file as it comes, so that a run that was killed is continued.
"""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final

import numpy as np
import torch

from adaptsample import Box, Dataset
from adaptsample.core import Points, Values, derive_generator
from adaptsample.core.provenance import commit
from adaptsample.metrics.calibration import calibration_scores
from adaptsample.metrics.errors import errors, reference_set
from adaptsample.oracles import NoisyOracle
from adaptsample.oracles.problems import PROBLEMS
from adaptsample.oracles.protocol import Oracle, Stochastic, SupportsExact
from adaptsample.registry import make_surrogate
from adaptsample.surrogates import SupportsStd
from adaptsample.surrogates.auto import NETWORKS, Auto, Member
from adaptsample.surrogates.committee import Committee
from adaptsample.surrogates.mlp import MLP
from adaptsample.training import LevenbergMarquardt
from benchmarks.harness.variants import VARIANTS
from benchmarks.peers import approximations as _peers

Cell: TypeAlias = dict[str, Any]
"""A job and what was measured, as plain JSON values."""

Design: TypeAlias = Literal["sobol", "chebyshev", "mapped_chebyshev"]


@final
@dataclass(frozen=True)
class Job:
    """One measurement.

    Args:
        problem: name of a check function, of a problem, or of a problem with "noisy " before it.
        method: "adaptive", a name in PEERS, or a surrogate's text.
        n: evaluations.
        seed: of the points, of the noise and of the fit.
        design: which points.
    """

    problem: str
    method: str
    n: int
    seed: int
    design: Design = "sobol"

    def __str__(self) -> str:
        return f"{self.problem} {self.method} N={self.n} {self.design} seed={self.seed}"

    @classmethod
    def of(cls, cell: Cell) -> "Job":
        """Return the job that a cell is of."""
        return cls(**{field.name: cell[field.name] for field in fields(cls)})


def oracle(name: str) -> Oracle:
    """Return the oracle that a job names; "noisy f" is f with noise of 5 % of its spread."""
    if name in VARIANTS:
        return VARIANTS[name]
    if not name.startswith("noisy "):
        return PROBLEMS[name]
    exact = PROBLEMS[name.removeprefix("noisy ")]
    spread = float(reference_set(exact).y.std())
    return NoisyOracle(exact, y_noise=(0.0, 0.05 * spread))


def measure_fit(job: Job) -> Cell:
    """Fit a method to its points; return errors, scores of its uncertainty, and times."""
    problem = oracle(job.problem)
    assert isinstance(problem, SupportsExact), f"{job.problem} has no exact values"
    assert problem.exact is not None, f"{job.problem} has no exact values"
    reference = reference_set(problem.exact)
    wall, cpu = time.perf_counter(), time.process_time()
    fitted = _fit(problem, job)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    x = reference.x.numpy()
    predicted = torch.from_numpy(fitted.predict(x).copy())[:, None]
    found = errors(predicted, reference.y)
    spread = float(reference.y.std())
    cell: Cell = {**found, "nrmse": found["rmse"] / spread, "cpu": cpu, "wall": wall}
    if isinstance(problem, Stochastic):
        observed = problem.sample(reference.x, generator=derive_generator(0, "noise"))
        cell["noise"] = float((observed - reference.y).std())  # what x_noise adds is in it
    if fitted.noise_std is not None:
        cell["noise_std"] = fitted.noise_std
    if fitted.std is not None:
        # nobody is certain beyond rounding, and the scores need a std above 0
        std = torch.from_numpy(fitted.std(x).copy())[:, None].clamp_min(1e-12 * spread)
        cell |= calibration_scores(reference.y, predicted, std)
    return cell


def points(domain: Box, job: Job) -> Points:
    """Return the points of a job; those of a Sampler with its seed, if they are Sobol points."""
    draw = {
        "sobol": domain.sobol,
        "chebyshev": domain.chebyshev,
        "mapped_chebyshev": domain.mapped_chebyshev,
    }
    return draw[job.design](job.n, generator=derive_generator(job.seed, "initial"))


def _fit(problem: Oracle, job: Job) -> _peers.Fitted:
    bounds = np.array(problem.domain.bounds)
    if job.method == "adaptive":

        def value(point: _peers.Array) -> float:
            return float(problem(torch.from_numpy(point)[None]))

        return _peers.adaptive(value, bounds, job.n)
    x = points(problem.domain, job)
    y = _values(problem, x, job.seed)
    if job.method in _peers.PEERS:
        return _peers.PEERS[job.method](x.numpy(), y[:, 0].numpy(), bounds)
    return _fit_ours(Dataset(x, y), job)


def _values(problem: Oracle, x: Points, seed: int) -> Values:
    if isinstance(problem, Stochastic):
        return problem.sample(x, generator=derive_generator(seed, "noise"))
    return problem(x)


def _patient(member: Member) -> Member:
    """Return the member with one crease as a committee, with the time that it gets here."""
    if member.name != "network_abs":
        return member
    assert isinstance(member.draft, MLP)
    training = LevenbergMarquardt(starts=8, iterations=1500, seconds=10.0)
    return replace(member, draft=Committee(replace(member.draft, training=training), 3))


NETWORK_MEMBERS: Final = Auto(
    members=tuple(_patient(member) for member in NETWORKS[:-1]),  # for a fit to end within 30 s
    transforms=("identity",),
)
"""Networks alone, chosen by held-out error: no polynomial anywhere."""


def _fit_ours(data: Dataset, job: Job) -> _peers.Fitted:
    surrogate = NETWORK_MEMBERS if job.method == "networks" else make_surrogate(job.method)
    model = surrogate.fit(data, generator=derive_generator(job.seed, "fit"))

    def predict(x: _peers.Array) -> _peers.Array:
        return np.asarray(model.predict(torch.from_numpy(x)))[:, 0]

    def std(x: _peers.Array) -> _peers.Array:
        assert isinstance(model, SupportsStd)
        return np.asarray(model.std(torch.from_numpy(x)))[:, 0]

    noise = getattr(model, "noise_std", None)
    return _peers.Fitted(
        predict,
        std if isinstance(model, SupportsStd) else None,
        None if noise is None else float(np.ravel(np.asarray(noise))[0]),
    )


def run_jobs(
    jobs: Iterable[Job],
    measure: Callable[[Job], Cell],
    store: Path,
    *,
    workers: int,
    resume: bool,
    alone: bool = False,
) -> Iterator[list[Cell]]:
    """Run jobs in processes of their own; yield all cells of the store each time one is added.

    Args:
        jobs: what to measure.
        measure: a function of a module, as processes must find it by name.
        store: the JSON file; cells are added as they come.
        workers: processes side by side.
        resume: keep the store's cells and leave out the jobs among them that did not fail.
        alone: each job in a fresh process, so that its peak of memory is its own, and one that
            kills its process fails alone.
    """
    cells: list[Cell] = json.loads(store.read_text()) if resume and store.exists() else []
    cells = [cell for cell in cells if "failure" not in cell]
    done = set(map(Job.of, cells))
    stamp = {"commit": (commit() or "unknown")[:9]}
    due = [job for job in jobs if job not in done]
    start = time.monotonic()
    # one thread a process; "spawn", because a fork of a process with threads may hang
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with ThreadPoolExecutor(workers) if alone else _processes(workers) as pool:
        futures = {pool.submit(_alone if alone else _attempt, measure, job): job for job in due}
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                cells.append(asdict(futures[future]) | future.result() | stamp)
                _save(cells, store)
                left = (time.monotonic() - start) / number * (len(due) - number)
                print(
                    f"{number}/{len(due)} jobs, {left / 60:.0f} min left: {_told(cells[-1])}",
                    file=sys.stderr,
                )
                yield cells
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # nobody waits for the rest
    if not due:
        yield cells


def _processes(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,))


def _alone(measure: Callable[[Job], Cell], job: Job) -> Cell:
    """Measure in a process that has done nothing else before."""
    with _processes(1) as pool:
        try:
            return pool.submit(_attempt, measure, job).result()
        except BrokenProcessPool:
            return {"failure": "the process died"}


def _attempt(measure: Callable[[Job], Cell], job: Job) -> Cell:
    try:
        return measure(job)
    except Exception as error:  # a peer may fail in any way, and that is a result
        return {"failure": f"{type(error).__name__}: {error}"[:300]}


def _save(cells: list[Cell], store: Path) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(cell) for cell in cells)
    draft = store.with_suffix(".tmp")
    draft.write_text(f"[\n{lines}\n]\n")
    draft.replace(store)


def _told(cell: Cell) -> str:
    job = f"{cell['problem']} {cell['method']} N={cell['n']} seed={cell['seed']}"
    if "failure" in cell:
        return f"{job} failed: {cell['failure']}"
    return f"{job} " + " ".join(f"{k} {cell[k]:.2g}" for k in ("mae", "nrmse", "cpu") if k in cell)
