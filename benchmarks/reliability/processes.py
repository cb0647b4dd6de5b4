"""What processes survive that are killed: coordinators, workers, and a cluster of them."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adaptsample import Sampler
from adaptsample.errors import ExecutorError
from adaptsample.evaluation.evaluation import Status
from adaptsample.evaluation.executors import open_executor
from adaptsample.evaluation.workers import Processes
from adaptsample.loop.evaluator import LOST_RETRIES
from adaptsample.oracles import FunctionOracle
from adaptsample.record.run_file import read
from benchmarks.reliability.referee import BOX, Job, Plane, Refereed, noted, table


def kills(folder: Path, quick: bool) -> tuple[str, str]:
    """Kill the coordinator at random moments, without and with workers."""
    draws = random.Random(0)  # noqa: S311  # no secrets here
    n_kills = 10 if quick else 100
    results = []
    for workers in (0, 4):
        whole = Job(folder / f"whole-{workers}", 300, 0)
        whole.run()
        done, calls, lost, most_extra, equal, n_runs = 0, 0, 0, 0, 0, 0
        while done < n_kills:
            job = Job(folder / f"{workers}-{n_runs}", 300, workers, 0.02 if workers else 0.0)
            n_runs += 1
            killed = 0
            acknowledged: list[Any] = []
            while True:
                before = sum(noted(job.log).values())
                process = job.start()
                deadline = time.monotonic() + 60
                while (
                    sum(noted(job.log).values()) == before
                    and process.is_alive()
                    and time.monotonic() < deadline
                ):
                    time.sleep(0.002)
                process.join(draws.uniform(0, 0.5))
                if not process.is_alive():
                    assert process.exitcode == 0
                    break
                process.kill()
                process.join()
                killed += 1
                if job.run_file.exists():
                    lines = [(e["x"], e["y"]) for e in read(job.run_file).evaluations]
                    lost += lines[: len(acknowledged)] != acknowledged
                    acknowledged = lines
            done += killed
            lines = [(e["x"], e["y"]) for e in read(job.run_file).evaluations]
            lost += lines[: len(acknowledged)] != acknowledged
            extra = sum(noted(job.log).values()) - 300
            assert extra <= killed * max(workers, 1)
            calls += extra
            most_extra = max(most_extra, extra)
            same = table(job.run_file) == table(whole.run_file)
            points = {tuple(e["x"]) for e in read(job.run_file).evaluations}
            same_points = points == {tuple(e["x"]) for e in read(whole.run_file).evaluations}
            equal += same if workers == 0 else same_points
        assert lost == 0
        assert equal == n_runs
        where = f"{workers} workers" if workers else "no workers"
        what = "tables" if workers == 0 else "sets of points"
        results.append(
            f"{where}: {done} kills in {n_runs} runs, {lost} acknowledged results lost, {calls} "
            f"calls more than the budget in all, {equal} of {n_runs} {what} equal to the "
            "uninterrupted one"
        )
    return "kill -9 of the coordinator, runs of 300 evaluations, resumed to the end", "; ".join(
        results
    )


def orphans(folder: Path, quick: bool) -> tuple[str, str]:
    """Kill the coordinator while its workers evaluate."""
    n_times = 2 if quick else 10
    in_flight = adopted = extra = 0
    for i in range(n_times):
        job = Job(folder / str(i), 16, 4, 1.0, (("batch_size", 4), ("n_initial", 8)))
        process = job.start()
        while sum(noted(job.log).values()) < 6:
            time.sleep(0.01)
        process.kill()
        process.join()
        calls, returns = noted(job.log), noted(job.log, "return")
        in_flight += sum(calls.values()) - sum(returns.values())
        again = job.start()
        again.join()
        assert again.exitcode == 0
        assert len(read(job.run_file).evaluations) == 16
        total = noted(job.log)
        extra += sum(total.values()) - 16
        adopted += sum(total[x] == 1 for x in calls if x not in returns)
    assert extra == 0
    return (
        f"coordinator killed while 4 workers evaluate for 1 s each, {n_times} times, then resumed",
        f"{in_flight} evaluations were under way, {adopted} of them adopted, {extra} paid again",
    )


def workers(folder: Path, quick: bool) -> tuple[str, str]:
    """Kill workers by signals while they evaluate."""
    draws = random.Random(0)  # noqa: S311  # no secrets here
    n_kills = 10 if quick else 100
    job = Job(folder, 30 if quick else 300)
    folder.mkdir(parents=True, exist_ok=True)
    executor = Processes(4)
    killed = 0
    done = threading.Event()
    recovery: list[float] = []
    victims: set[str] = set()

    def killer() -> None:
        nonlocal killed
        while not done.is_set() and killed < n_kills:
            calls, returns = _open_calls(job.log)
            if under_way := sorted(calls - returns - victims):
                victim = draws.choice(under_way)
                victims.add(victim)
                pid = int(victim.split()[1])
                number = draws.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
                killed += 1
                start, n = time.monotonic(), len(calls)
                while not done.is_set() and len(_open_calls(job.log)[0]) <= n:
                    time.sleep(0.01)
                recovery.append(time.monotonic() - start)
            time.sleep(0.02)

    thread = threading.Thread(target=killer)
    thread.start()
    with executor:
        run = Sampler(
            FunctionOracle(Refereed(str(job.log), 0.1), BOX),
            surrogate=Plane(),
            strategy="random",
            executor=executor,
            run_file=job.run_file,
        ).run(job.budget + n_kills)
    done.set()
    thread.join()
    statuses = Counter(str(e.status) for e in run.evaluations)
    attempts = Counter(e.attempt for e in run.evaluations)
    assert statuses["worker_lost"] <= killed  # some had answered just before
    assert sum(statuses.values()) == job.budget + n_kills
    gone = [e for e in run.evaluations if e.status is not Status.OK and e.attempt > LOST_RETRIES]
    recovery.sort()
    return (
        f"4 workers killed {killed} times by SIGKILL, SIGSEGV and SIGABRT while they evaluate",
        f"{statuses['worker_lost']} attempts recorded as lost, {statuses['ok']} results, "
        f"{len(gone)} points given up after {LOST_RETRIES + 1} attempts, attempts "
        f"{dict(sorted(attempts.items()))}; next call after 95 % of kills within "
        f"{recovery[int(0.95 * len(recovery))] if recovery else 0:.1f} s",
    )


def _open_calls(log: Path) -> tuple[set[str], set[str]]:
    lines = log.read_text().splitlines() if log.exists() else []
    calls = {line[5:] for line in lines if line.startswith("call ")}
    return calls, {line[7:] for line in lines if line.startswith("return ")}


@contextmanager
def _cluster(folder: Path, n_workers: int) -> Iterator[tuple[str, Any, list[Any]]]:
    """Start a Dask scheduler and workers with nannies, each a process of its own."""
    file = folder / f"scheduler-{time.monotonic_ns()}.json"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    dask = [sys.executable, "-m", "dask"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    arguments = ["--scheduler-file", str(file), "--no-dashboard"]
    port = ["--port", "0", "--host", "127.0.0.1"]
    scheduler = subprocess.Popen(
        [*dask, "scheduler", *arguments, *port], env=environment, start_new_session=True, **quiet
    )
    arguments = ["--scheduler-file", str(file), "--no-dashboard", "--nthreads", "1"]
    nannies = [
        subprocess.Popen(
            [*dask, "worker", *arguments], env=environment, start_new_session=True, **quiet
        )
        for _ in range(n_workers)
    ]
    try:
        while not file.exists():
            time.sleep(0.05)
        time.sleep(0.2)
        yield json.loads(file.read_text())["address"], scheduler, nannies
    finally:
        for process in (*nannies, scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def dask(folder: Path, quick: bool) -> tuple[str, str]:
    """Kill workers of a Dask cluster every 3 s, then its scheduler; resume on a new cluster."""
    draws = random.Random(0)  # noqa: S311  # no secrets here
    import psutil  # noqa: PLC0415  # only this experiment needs it

    budget = 30 if quick else 200
    job = Job(folder, budget, seconds=0.3)
    folder.mkdir(parents=True, exist_ok=True)
    killed = 0
    stop = threading.Event()

    def attempt(executor: Executor, goal: int | None, scheduler: Any) -> str:
        def observer(sampler: Sampler) -> None:
            if goal is not None and sampler.n_evaluations >= goal and scheduler.poll() is None:
                scheduler.kill()

        try:
            Sampler(
                FunctionOracle(Refereed(str(job.log), job.seconds), BOX),
                surrogate=Plane(),
                strategy="random",
                executor=executor,
                run_file=job.run_file,
                existing="resume",
            ).run(budget, observer=observer)
            return "done"
        except ExecutorError as error:
            return str(error)

    def killer(nannies: list[Any]) -> None:
        nonlocal killed
        while not stop.wait(3.0):
            nanny = draws.choice(nannies)
            try:
                children = psutil.Process(nanny.pid).children(recursive=True)
                busy = [c for c in children if any("spawn_main" in a for a in c.cmdline())]
                if busy:
                    busy[0].kill()
                    killed += 1
            except psutil.Error:
                continue

    results = []
    for goal in (budget * 3 // 4, None):
        with _cluster(folder, 4) as (address, scheduler, nannies):
            stop.clear()
            thread = threading.Thread(target=killer, args=(nannies,))
            thread.start()
            try:
                with open_executor("dask", 4, scheduler=address) as executor:
                    assert executor is not None
                    results.append(attempt(executor, goal, scheduler))
            finally:
                stop.set()
                thread.join()
        recorded = len(read(job.run_file).evaluations)
        results.append(str(recorded))
    assert results[2] == "done", results
    lines = read(job.run_file).evaluations
    statuses = Counter(e["status"] for e in lines)
    calls = sum(noted(job.log).values())
    again = sum(n - 1 for n in noted(job.log).values())
    return (
        f"a Dask cluster of scheduler and 4 worker processes, a worker killed every 3 s, {budget} "
        "evaluations of 0.3 s; after three quarters the scheduler killed, resumed on a new cluster",
        f"{killed} workers killed; stopped at {results[1]} with “{results[0][:90]}…”; "
        f"{dict(statuses)} in the end; {calls} calls, {again} of them repeats of one whose worker "
        "or scheduler died",
    )
