"""How a run bears many evaluations, and many at a time."""

import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from adaptsample import Sampler
from adaptsample.evaluation.workers import Processes
from adaptsample.oracles import FunctionOracle
from adaptsample.record.run_file import read
from benchmarks.reliability.referee import BOX, Job, Plane


def soak(folder: Path, quick: bool) -> tuple[str, str]:
    """Many cheap evaluations: memory, file handles, overhead, time to open."""
    lines = []
    for n in (10**3, 10**4) if quick else (10**3, 10**4, 10**5):
        job = Job(folder / str(n), n, settings=(("strategy", "random"), ("record_every", 10**9)))
        usage: list[tuple[float, float, int]] = []

        def look(sampler: Sampler, usage: list[Any] = usage, n: int = n) -> None:
            if sampler.n_evaluations % (n // 10) == 0:
                fds = len(list(Path("/proc/self/fd").iterdir()))
                usage.append((sampler.n_evaluations, _resident(), fds))

        function = lambda x: np.sin(3 * x).prod(axis=1)  # noqa: E731
        job.folder.mkdir(parents=True)
        start, cpu = time.monotonic(), time.process_time()
        Sampler(
            FunctionOracle(function, BOX),
            surrogate=Plane(),
            strategy="random",
            record_every=10**9,
            run_file=job.run_file,
        ).run(n, observer=look)
        seconds, cpu = time.monotonic() - start, time.process_time() - cpu
        start = time.monotonic()
        assert len(read(job.run_file).evaluations) == n
        opened = time.monotonic() - start
        start = time.monotonic()
        job_again = Sampler(
            FunctionOracle(function, BOX),
            surrogate=Plane(),
            strategy="random",
            record_every=10**9,
            run_file=job.run_file,
            existing="resume",
        )
        job_again.run(n)
        replayed = time.monotonic() - start
        growth = (usage[-1][1] - usage[1][1]) / (0.8 * n) if n >= 10**4 else float("nan")
        handles = {fds for _, _, fds in usage}
        assert len(handles) == 1
        lines.append(
            f"{n:,}: {1e3 * seconds / n:.2f} ms each ({1e3 * cpu / n:.2f} ms of CPU), opened in "
            f"{opened:.2f} s, replayed in {replayed:.1f} s"
            + (f", {growth / 1e3:.1f} kB of memory each" if n >= 10**4 else "")
            + f", {handles.pop()} file handles throughout"
        )
    return "cheap evaluations one by one, in batches of 10, each fsynced", "; ".join(lines)


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def scaling(folder: Path, quick: bool) -> tuple[str, str]:
    """Sleep for 0.5 s an evaluation: how near to ideal the throughput is."""
    del folder
    lines = []
    for n_workers in (4,) if quick else (4, 16):
        with Processes(n_workers) as executor:
            list(executor.map(time.sleep, [5.0 if n_workers > 4 else 2.0] * n_workers))  # started
            for asynchronous in (False, True):
                n = n_workers * (5 if quick else 20)
                oracle = FunctionOracle(_sleepy, BOX)
                start = time.monotonic()
                Sampler(
                    oracle,
                    surrogate=Plane(),
                    strategy="topk",
                    executor=executor,
                    asynchronous=asynchronous,
                    batch_size=n_workers,
                    n_initial=n_workers,
                ).run(n)
                share = 0.5 * n / n_workers / (time.monotonic() - start)
                mode = "asynchronous" if asynchronous else "batches"
                lines.append(f"{n_workers} workers, {mode}: {100 * share:.0f} %")
    return "an oracle that sleeps 0.5 s; share of the ideal throughput", "; ".join(lines)


def _sleepy(x: Any) -> Any:
    time.sleep(0.5)
    return np.sin(3 * x).prod(axis=1)
