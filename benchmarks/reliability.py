"""Break runs in every way that happens, and count what was lost, paid twice or left running.

    python benchmarks/reliability.py              everything, about half an hour
    python benchmarks/reliability.py --quick      a tenth of it
    python benchmarks/reliability.py kills disk   some experiments

Each experiment replaces its line in results/reliability.md. The oracle keeps a log of its own, line
by line on disk before it goes on, which is compared with the run file. An experiment that does not
come out as promised ends with an error.
"""

import argparse
import contextlib
import errno
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, too

from adaptsample import Run, RunFailedError, Sampler, checkpoint, ledger
from adaptsample.account import LOST_RETRIES
from adaptsample.desk import ExecutorError
from adaptsample.evaluation import Status
from adaptsample.executors import open_executor
from adaptsample.ledger import Ledger, LedgerError, read
from adaptsample.oracles import FunctionOracle
from adaptsample.registry import strategies
from adaptsample.workers import Processes
from benchmarks._referee import BOX, Job, Plane, Refereed, noted, table

TABLE = Path(__file__).parents[1] / "results" / "reliability.md"
HEAD = """# Reliability

`python benchmarks/reliability.py` made this table, an experiment a line. The oracle keeps a log of
its own, which is compared with the run file.

| experiment | what was done | what came of it |
|---|---|---|
"""
_random = random.Random(0)  # noqa: S311  # no secrets here


def kills(folder: Path, quick: bool) -> tuple[str, str]:
    """Kill the coordinator at random moments, without and with workers."""
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
                process.join(_random.uniform(0, 0.5))
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


def torn(folder: Path, quick: bool) -> tuple[str, str]:
    """Cut a ledger at every byte, append to it and open it again."""
    job = Job(folder, 12 if quick else 60)
    job.run()
    whole = job.run_file.read_bytes()
    path = folder / "torn.jsonl"
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    n_cuts = 0
    try:
        for cut in range(ends[0], len(whole) + 1):
            path.write_bytes(whole[:cut])
            recorded = read(path)
            lines = [*recorded.proposals, *recorded.evaluations, *recorded.rounds]
            with Ledger.reopen(recorded) as writer:
                writer.append([{"kind": "evaluation", "number": -i} for i in range(1, 6)])
            again = read(path)
            complete = sum(end <= cut for end in ends) - 1
            n_ends = int(cut == len(whole))
            assert len(lines) + n_ends == complete
            assert len(again.evaluations) == len(recorded.evaluations) + 5
            assert not again.damaged
            n_cuts += 1
    finally:
        path.unlink()
        path.with_suffix(".lock").unlink()
    return (
        f"a ledger of {len(ends)} lines cut at every byte, then 5 lines appended, then reopened",
        f"{n_cuts} of {n_cuts} cuts: every complete line kept, nothing unreadable",
    )


def flips(folder: Path, quick: bool) -> tuple[str, str]:
    """Flip bytes of a ledger and of a checkpoint."""
    job = Job(folder, 60)
    job.run()
    whole = job.run_file.read_bytes()
    intact = {repr(e) for e in read(job.run_file).evaluations}
    path = folder / "flipped.jsonl"
    n_flips = 100 if quick else 1000
    detected = changed = 0
    for _ in range(n_flips):
        content = bytearray(whole)
        place = _random.randrange(len(content))
        content[place] ^= _random.randrange(1, 256)
        path.write_bytes(bytes(content))
        recorded = read(path)
        line = whole[:place].count(b"\n") + 1
        torn_end = place == len(whole) - 1  # the last newline: a torn tail
        detected += torn_end or line in recorded.damaged
        changed += any(repr(e) not in intact for e in recorded.evaluations)
    model = job.run_file.with_suffix(".model.safetensors")
    content_of_model = model.read_bytes()
    refused = 0
    for _ in range(n_flips // 5):
        content = bytearray(content_of_model)
        content[_random.randrange(len(content))] ^= _random.randrange(1, 256)
        model.write_bytes(bytes(content))
        refused += checkpoint.Checkpoint.read(model, package="benchmarks") is None
    assert (detected, changed, refused) == (n_flips, 0, n_flips // 5)
    return (
        f"{n_flips} single bytes of a ledger flipped, {n_flips // 5} of a checkpoint",
        f"{detected} detected with the line's number, {changed} changed numbers accepted; "
        f"{refused} of {n_flips // 5} checkpoints refused",
    )


def rounds(folder: Path, quick: bool) -> tuple[str, str]:
    """Kill after each observation of a run with a warm-started network, and compare hashes."""
    network = "mlp(hidden=(8,))"
    settings = (("surrogate", network), ("batch_size", 4), ("n_initial", 8))
    budget = 20 if quick else 68
    whole = Job(folder / "whole", budget, settings=settings)
    seen = 0

    def count(_: Sampler) -> None:
        nonlocal seen
        seen += 1

    expected = _hash(whole.run(count))
    equal = without = 0
    moments = range(1, seen + 1, 4 if quick else 3)
    for k in moments:
        for keep_checkpoint in (True, False):
            job = Job(folder / f"{k}-{keep_checkpoint}", budget, settings=settings)
            _killed_at(job, k)
            if not keep_checkpoint:
                job.run_file.with_suffix(".model.safetensors").unlink(missing_ok=True)
            same = _hash(job.run()) == expected
            equal += same and keep_checkpoint
            without += same and not keep_checkpoint
            shutil.rmtree(job.folder)
    assert equal == without == len(moments)
    return (
        f"{network}, killed at {len(moments)} of {seen} moments (after every evaluation and round)",
        f"{equal} of {len(moments)} resumed runs have the same hash of points, values, errors and "
        f"weights; {without} of {len(moments)} without their checkpoint",
    )


def _hash(run: Run) -> tuple[Any, ...]:
    tensors: dict[str, torch.Tensor] = {}
    tree = checkpoint._flattened(run.model, tensors)
    points = [(e.x.tolist(), None if e.y is None else e.y.tolist()) for e in run.evaluations]
    return checkpoint._hash(str(tree), tensors), str(points), str([r.errors for r in run.rounds])


def _killed_at(job: Job, k: int) -> None:
    if (child := os.fork()) == 0:
        seen = 0

        def kill(_: Sampler) -> None:
            nonlocal seen
            seen += 1
            if seen == k:
                os.kill(os.getpid(), signal.SIGKILL)

        job.run(kill)
        os._exit(0)
    os.waitpid(child, 0)


def disk(folder: Path, quick: bool) -> tuple[str, str]:
    """Let the k-th write, fsync or truncation fail, for every k; and a real small file system."""
    counts: Counter[str] = Counter()
    for function, code in (("write", errno.ENOSPC), ("write", errno.EIO), ("fsync", errno.EIO)):
        for k in range(1, 200, 10 if quick else 1):
            job = Job(folder / f"{function}-{code}-{k}", 30, settings=(("batch_size", 5),))
            state = _faulty(job, function, code, k)
            shutil.rmtree(job.folder)
            if state == "finished":
                break
            counts[f"{os.strerror(code)} in {function}"] += 1
    held = _space_returns(folder / "returns")
    told = "; ".join(f"{name}: {n} moments" for name, n in counts.items())
    return (
        f"a run of 30 evaluations whose k-th call fails, for every k ({told}); then resumed",
        "each stopped with an error that names the file, 0 acknowledged results lost, at most 1 "
        f"call paid again each; {held}",
    )


def _faulty(job: Job, function: str, code: int, k: int) -> str:
    calls, failed = 0, False
    real = getattr(os, function)

    def faulty(*arguments: Any) -> Any:
        nonlocal calls, failed
        calls += 1
        if calls == k or (failed and code == errno.ENOSPC):
            failed = True
            if function == "write" and len(arguments[1]) > 3:
                real(arguments[0], bytes(arguments[1][:3]))  # a part of the line gets through
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    faulty_os = mock.MagicMock(wraps=os)
    for name in ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"):
        setattr(faulty_os, name, getattr(os, name))
    setattr(faulty_os, function, faulty)
    with mock.patch.object(ledger, "os", faulty_os), mock.patch.object(ledger, "PATIENCE", 0.0):
        try:
            job.run()
        except LedgerError as error:
            assert job.run_file.name in str(error)
        if not failed:
            return "finished"
    acknowledged = read(job.run_file).evaluations if job.run_file.exists() else ()
    assert sum(noted(job.log).values()) <= len(acknowledged) + 1
    run = job.run()
    assert run.evaluations[: len(acknowledged)] is not None
    lines = read(job.run_file).evaluations
    assert [e["x"] for e in lines[: len(acknowledged)]] == [e["x"] for e in acknowledged]
    assert sum(noted(job.log).values()) <= 31
    return "failed"


def _space_returns(folder: Path) -> str:
    """Fill a small file system, and make room while the run waits."""
    mount = folder / "small"
    mount.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return "a real full file system could not be mounted here"
    try:
        ballast = mount / "ballast"
        job = Job(mount / "run", 400, 0, 0.01, (("batch_size", 5),), log_folder=folder)
        process = job.start()
        while not job.run_file.exists() or len(read(job.run_file).evaluations) < 50:
            time.sleep(0.005)
        file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while os.write(file, b"x" * 4096):
                pass
        os.close(file)
        time.sleep(2)
        n_held = len(read(job.run_file).evaluations)
        time.sleep(1)
        assert len(read(job.run_file).evaluations) == n_held
        ballast.unlink()
        process.join(60)
        assert process.exitcode == 0
        assert sum(noted(job.log).values()) == 400
        return (
            f"a real file system of 1 MB filled up after {n_held} evaluations and emptied 3 s "
            "later: the run went on by itself, 400 calls for 400 evaluations"
        )
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def coordinators(folder: Path, quick: bool) -> tuple[str, str]:
    """Start a second coordinator; kill the first."""
    n_times = 5 if quick else 50
    refusal, takeover = [], []
    for i in range(n_times):
        job = Job(folder / str(i), 20, seconds=0.05)
        first = job.start()
        while not job.run_file.exists() or not read(job.run_file).evaluations:
            time.sleep(0.005)
        start = time.monotonic()
        try:
            job.run()
        except LedgerError as error:
            assert f"process {first.pid} on" in str(error)
            refusal.append(time.monotonic() - start)
        first.kill()
        first.join()
        start = time.monotonic()
        firsts: list[float] = []
        run = job.run(lambda _, firsts=firsts: firsts.append(time.monotonic()))  # type: ignore[misc]
        takeover.append(firsts[0] - start)
        assert run.n_evaluations == 20
        assert sum(noted(job.log).values()) <= 21
    assert len(refusal) == n_times
    return (
        f"a second coordinator on the same run, {n_times} times; then the first one killed",
        f"{len(refusal)} refusals that name process and host, the slowest after "
        f"{max(refusal):.2f} s; the run taken over within {max(takeover):.2f} s, "
        "0 evaluations paid twice beyond the one under way",
    )


def readers(folder: Path, quick: bool) -> tuple[str, str]:
    """Read while somebody writes."""
    job = Job(folder, 200 if quick else 2000)
    process = job.start()
    while not job.run_file.exists():
        time.sleep(0.005)
    counts: list[int] = []
    errors: list[str] = []

    def look() -> None:
        last = 0
        while process.is_alive():
            recorded = read(job.run_file)
            if recorded.damaged or len(recorded.evaluations) < last:
                errors.append("damaged or shrunk")
            last = len(recorded.evaluations)
            counts.append(last)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.join()
    assert process.exitcode == 0
    assert not errors
    return (
        f"8 readers while {job.budget} evaluations are written",
        f"{len(counts)} reads, {len(errors)} of them damaged or shorter than one before",
    )


BAD_ANSWERS: dict[str, Callable[[Any], Any]] = {
    "None": lambda x: None,
    "text": lambda x: "1.0",
    "texts": lambda x: ["a"] * len(x),
    "bytes": lambda x: b"1",
    "complex": lambda x: x[:, 0] + 1j,
    "one number too many": lambda x: np.ones(len(x) + 1),
    "two outputs": lambda x: np.ones((len(x), 2)),
    "three axes": lambda x: np.ones((len(x), 1, 1)),
    "object": lambda x: object(),
    "array of objects": lambda x: np.array([object()] * len(x)),
    "nan": lambda x: np.full(len(x), np.nan),
    "infinity": lambda x: np.full(len(x), np.inf),
    "minus infinity": lambda x: np.full(len(x), -np.inf),
    "integer of 400 digits": lambda x: [10**400] * len(x),
    "nothing": lambda x: [],
    "generator": lambda x: (v for v in x),
    "dict": lambda x: {"y": 1.0},
    "masked array": lambda x: np.ma.masked_invalid(np.full(len(x), np.nan)),
    "ragged lists": lambda x: [[1.0], [1.0, 2.0]],
    "float16 overflow": lambda x: np.full(len(x), 1e6).astype(np.float16),
}


def answers(folder: Path, quick: bool) -> tuple[str, str]:
    """Answer with what is no number, against every strategy and cheap surrogates."""
    del folder
    surrogates = ["polynomial", "gaussian_process", "mlp(hidden=(4,), training=gradient_descent())"]
    surrogates[2] = surrogates[2].replace("()", "(steps=20, continued_steps=5)", 1)
    n_runs = n_failed = 0
    for bad in BAD_ANSWERS.values():
        for strategy in strategies():
            for surrogate in surrogates[: 1 if quick else 3]:

                def function(x: Any, bad: Callable[[Any], Any] = bad) -> Any:
                    return bad(x) if x[0, 0] < 0.3 else np.sin(3 * x).prod(axis=1)

                oracle = FunctionOracle(function, BOX, gradient=lambda x: 3 * np.cos(3 * x))
                run = Sampler(oracle, surrogate=surrogate, strategy=strategy).run(30)
                failed = [e for e in run.evaluations if e.status is not Status.OK]
                expected = [e for e in run.evaluations if float(e.x[0]) < 0.3]
                assert len(failed) == len(expected) > 0
                assert bool(BOX.contains(torch.stack([e.x for e in run.evaluations])).all())
                assert bool(torch.isfinite(run.model.predict(BOX.grid(5))).all())
                n_runs, n_failed = n_runs + 1, n_failed + len(failed)
        try:
            Sampler(FunctionOracle(bad, BOX), surrogate="polynomial").run(30)
            raise AssertionError("a run in which everything fails must end with the reasons")
        except RunFailedError as error:
            assert "10 x" in str(error)
    return (
        f"{len(BAD_ANSWERS)} kinds of bad answers x {len(strategies())} strategies x "
        f"{len(surrogates[: 1 if quick else 3])} surrogates",
        f"{n_runs} runs to the end, {n_failed} failed evaluations recorded and none trained on; "
        f"{len(BAD_ANSWERS)} runs in which everything fails end with the reasons counted",
    )


def _exceptions() -> list[Callable[[], BaseException]]:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class UnpicklableError(Exception):
        def __init__(self) -> None:
            self.lock = threading.Lock()

    class Base(BaseException):
        pass

    plain = [ValueError, TypeError, KeyError, IndexError, ZeroDivisionError, OverflowError, OSError]
    plain += [MemoryError, RecursionError, StopIteration, StopAsyncIteration, ImportError, EOFError]
    plain += [AssertionError, NotImplementedError, UnicodeError, TimeoutError, BrokenPipeError]
    own = [UnprintableError, UnpicklableError, Base, SystemExit, KeyboardInterrupt, GeneratorExit]
    return [*plain, *own, lambda: RuntimeError("x" * 10**7)]


def exceptions(folder: Path, quick: bool) -> tuple[str, str]:
    """Raise everything that can be raised, in a worker."""
    kinds = _exceptions()
    recorded = siblings = 0
    with Processes(2) as executor:
        for i, kind in enumerate(kinds[:: 5 if quick else 1]):

            def function(x: Any, kind: Callable[[], BaseException] = kind) -> Any:
                if x[0, 0] < 0.3:
                    raise kind()
                return x.sum(axis=1)

            path = folder / f"{i}.jsonl"
            run = Sampler(
                FunctionOracle(function, BOX),
                surrogate=Plane(),
                strategy="random",
                executor=executor,
                run_file=path,
            ).run(20)
            failed = [e for e in run.evaluations if e.status is Status.FAILED]
            assert len(failed) == sum(float(e.x[0]) < 0.3 for e in run.evaluations) > 0
            assert path.stat().st_size < 10**5
            recorded += 1
            siblings += len(run.data)
    n = len(kinds[:: 5 if quick else 1])
    return (
        f"{n} kinds of exceptions, SystemExit, KeyboardInterrupt, unpicklable and unprintable ones "
        "and a message of 10 MB among them, in workers",
        f"{recorded} of {n} recorded as failed evaluations, all {siblings} siblings kept",
    )


def hangs(folder: Path, quick: bool) -> tuple[str, str]:
    """Hang, ignore SIGTERM, and leave a grandchild behind."""
    n_times = 3 if quick else 10
    pids = folder / "pids"
    folder.mkdir(parents=True, exist_ok=True)

    def hang(x: Any) -> Any:
        if not 0.4 < x[0, 0] < 0.6:
            return x.sum(axis=1)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 1000"])
        with pids.open("a") as file:
            file.write(f"{os.getpid()} {child.pid}\n")
        time.sleep(1000)
        return None

    ends: list[float] = []
    run = Sampler(
        FunctionOracle(hang, BOX),
        surrogate=Plane(),
        strategy="random",
        timeout=1.0,
        record_every=10**9,
    ).run(5 * n_times, observer=lambda _: ends.append(time.monotonic()))
    taken = [end - start for start, end in itertools.pairwise(ends)]
    statuses = [e.status for e in run.evaluations]
    late = [t for t, status in zip(taken, statuses[1:], strict=False) if status is Status.TIMEOUT]
    alive = [p for line in pids.read_text().split() if (p := Path("/proc") / line).exists()]
    alive = [p for p in alive if "Z" not in (p / "stat").read_text().split()[2]]
    assert not alive
    assert late
    return (
        "an oracle that hangs, ignores SIGTERM and has started a program that does so too; "
        "timeout 1 s",
        f"{statuses.count(Status.TIMEOUT)} timeouts recorded, each over within {max(late):.1f} s, "
        f"{len(alive)} processes left of {2 * statuses.count(Status.TIMEOUT)}",
    )


def workers(folder: Path, quick: bool) -> tuple[str, str]:
    """Kill workers by signals while they evaluate."""
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
                victim = _random.choice(under_way)
                victims.add(victim)
                pid = int(victim.split()[1])
                number = _random.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
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


def poison(folder: Path, quick: bool) -> tuple[str, str]:
    """Points at which the process that evaluates ends."""
    log = folder / "calls.log"
    folder.mkdir(parents=True, exist_ok=True)

    def function(x: Any) -> Any:
        Refereed(str(log))(x)
        if x[0, 0] < 0.15:
            os._exit(3)
        if x[0, 0] < 0.3:
            os.kill(os.getpid(), signal.SIGSEGV)
        return x.sum(axis=1)

    with Processes(2) as executor:
        run = Sampler(
            FunctionOracle(function, BOX), surrogate=Plane(), strategy="random", executor=executor
        ).run(30 if quick else 60)
    poisonous = Counter(tuple(e.x.tolist()) for e in run.evaluations if float(e.x[0]) < 0.3)
    fine = sum(float(e.x[0]) >= 0.3 for e in run.evaluations)
    assert len(run.data) == fine
    return (
        "points at which the worker calls os._exit or dies of SIGSEGV",
        f"{len(poisonous)} points, asked {dict(Counter(poisonous.values()))} times (times: points) "
        f"and never again; all {fine} other results kept",
    )


@contextmanager
def _cluster(folder: Path, n_workers: int) -> Iterator[tuple[str, Any, list[Any]]]:
    """Start a Dask scheduler and workers with nannies, each a process of its own."""
    file = folder / f"scheduler-{time.monotonic_ns()}.json"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
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
        import json  # noqa: PLC0415

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
    import psutil  # noqa: PLC0415

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
            nanny = _random.choice(nannies)
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


EXPERIMENTS: dict[str, Callable[[Path, bool], tuple[str, str]]] = {
    experiment.__name__: experiment
    for experiment in (
        *(kills, orphans, torn, flips, rounds, disk, coordinators, readers, answers, exceptions),
        *(hangs, workers, poison, dask, soak, scaling),
    )
}


def main() -> None:
    """Run the experiments and write their lines."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("experiments", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--quick", action="store_true", help="a tenth of it, into no table")
    options = parser.parse_args()
    if unknown := {*options.experiments} - {*EXPERIMENTS}:
        parser.error(f"no experiments are called {', '.join(unknown)}")
    torch.set_num_threads(1)
    for name in options.experiments or EXPERIMENTS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            what, came = EXPERIMENTS[name](Path(folder) / name, options.quick)
        row = f"| {name} | {what} | {came} |"
        print(f"{row}  ({time.monotonic() - start:.0f} s)", flush=True)
        if not options.quick:
            _write(name, row)


def _write(name: str, row: str) -> None:
    rows = TABLE.read_text().splitlines()[7:] if TABLE.exists() else []
    known = {line.split("|")[1].strip(): line for line in rows} | {name: row}
    TABLE.write_text(HEAD + "".join(f"{known[n]}\n" for n in EXPERIMENTS if n in known))


if __name__ == "__main__":
    main()
