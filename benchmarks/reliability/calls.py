"""What a run survives that oracles do: nonsense, exceptions, hanging, taking the process along."""

import itertools
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaptsample import Sampler
from adaptsample.errors import RunFailedError, UnsupportedModelError
from adaptsample.evaluation.evaluation import Status
from adaptsample.evaluation.workers import Processes
from adaptsample.oracles import FunctionOracle
from adaptsample.registry import strategies, surrogates
from benchmarks.reliability.referee import BOX, Plane, Refereed

SURROGATES = {
    "auto": "auto(transforms=('identity',), effort='quick')",
    "committee": "committee(n_members=2, surrogate=mlp(hidden=(4,), training=levenberg_marquardt("
    "starts=1, start_iterations=5, iterations=5)))",
    "crease": "crease(n_starts=4, n_climbs=1, operations=1e8)",
    "jump": "jump(operations=1e8)",
    "mlp": "mlp(hidden=(4,), training=gradient_descent(steps=20, continued_steps=5))",
}
"""Quick forms of surrogates; the others are quick as they are."""

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
    """Answer with what is no number, against every strategy and every surrogate."""
    del folder
    forms = ["polynomial"] if quick else [SURROGATES.get(name, name) for name in surrogates()]
    n_runs = n_failed = 0
    for bad in BAD_ANSWERS.values():
        for strategy in strategies():
            for surrogate in forms:

                def function(x: Any, bad: Callable[[Any], Any] = bad) -> Any:
                    return bad(x) if x[0, 0] < 0.3 else np.sin(3 * x).prod(axis=1)

                oracle = FunctionOracle(function, BOX, gradient=lambda x: 3 * np.cos(3 * x))
                try:
                    sampler = Sampler(oracle, surrogate=surrogate, strategy=strategy)
                except UnsupportedModelError:  # the strategy needs what its models lack
                    continue
                run = sampler.run(30)
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
        f"{len(forms)} surrogates",
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
            failed = [e for e in run.evaluations if e.status is not Status.OK]
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
