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
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

import torch

from adaptsample.core.provenance import commit

Cell: TypeAlias = dict[str, Any]
"""A job and what was measured, as plain JSON values."""

Design: TypeAlias = Literal["sobol", "chebyshev", "mapped_chebyshev"]


@final
@dataclass(frozen=True)
class Job:
    """One measurement.

    Args:
        problem: name of a function.
        method: what is measured on it, in the words of the benchmark.
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
