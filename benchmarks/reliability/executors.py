"""One run with every executor there is: all have to make the same evaluations, each once.

For MPI (`pip install mpich`, if there is none) it is a program of its own:

    mpiexec -n 3 python -m mpi4py.futures -m benchmarks.reliability.executors FOLDER
"""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

import torch

from adaptsample import Sampler
from adaptsample.evaluation.executors import open_executor
from adaptsample.oracles import FunctionOracle
from adaptsample.record.run_file import read
from benchmarks.reliability.referee import BOX, Job, Plane, Refereed, noted

BUDGET = 60


def executors(folder: Path, quick: bool) -> tuple[str, str]:
    """Evaluate the same batches in threads, processes, loky's, Dask's and MPI's."""
    points, came = {}, []
    for name in ["alone", "threads", "processes", "loky", *([] if quick else ["dask", "mpi"])]:
        job = Job(folder / name, BUDGET)
        job.folder.mkdir(parents=True)
        if name == "mpi":
            python = ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures"]
            subprocess.run([*python, "-m", __name__, str(job.folder)], check=True)
        else:
            with _opened(name) as executor:
                _run(job, executor)
        lines = read(job.run_file).evaluations
        points[name] = {(*e["x"], *e["y"]) for e in lines if e["status"] == "ok"}
        assert len(points[name]) == BUDGET
        assert points[name] == points["alone"]
        assert set(noted(job.log).values()) == {1}
        came.append(name)
    return (
        f"a run of {BUDGET} evaluations in batches of 8, by {', '.join(came)}",
        f"the same {BUDGET} points and values by all {len(came)}, each point called once",
    )


@contextmanager
def _opened(name: str) -> Iterator[Executor | None]:
    if name == "loky":
        with importlib.import_module("loky").ProcessPoolExecutor(2) as executor:
            yield executor
    elif name == "alone":
        yield None
    else:
        with open_executor(name, 2) as known:  # type: ignore[arg-type]  # one of them
            yield known


def _run(job: Job, executor: Executor | None) -> None:
    Sampler(
        FunctionOracle(Refereed(str(job.log)), BOX),
        surrogate=Plane(),
        strategy="topk",
        batch_size=8,
        executor=executor,
        run_file=job.run_file,
    ).run(job.budget)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with importlib.import_module("mpi4py.futures").MPIPoolExecutor() as pool:
        _run(Job(Path(sys.argv[1]), BUDGET), pool)
