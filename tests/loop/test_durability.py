"""Nothing paid for is lost: runs that are killed, damaged, taken over, or short of disk."""

import errno
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

from adaptsample import Box, Run, Sampler
from adaptsample.errors import ExecutorError, LedgerError, RunFailedError
from adaptsample.evaluation.evaluation import Question, Status
from adaptsample.evaluation.spool import Spool, work
from adaptsample.evaluation.workers import Processes
from adaptsample.oracles import ExpressionOracle, FunctionOracle, NoisyOracle
from adaptsample.record import ledger as ledger_module
from adaptsample.record.run_file import read
from adaptsample.surrogates.polynomial import Polynomial
from benchmarks.reliability.referee import Plane
from tests.conftest import CountingFunction

DATA = Path(__file__).parents[1] / "data"
BOX = Box({"x": (0, 1), "y": (0, 1)})


def _value(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.sin(3 * x).prod(axis=1))


class _Killed(BaseException):
    pass


def _run(path: Path, *, stop: int | None = None, budget: int = 24, **settings: Any) -> Run | None:
    """Run or resume; be killed at the given observation (after each evaluation and round)."""
    seen = 0

    def observer(_: Sampler) -> None:
        nonlocal seen
        seen += 1
        if seen == stop:
            raise _Killed

    usual = {"surrogate": Plane(), "strategy": "topk", "batch_size": 4, "n_initial": 6}
    settings = usual | settings
    oracle = settings.pop("oracle", FunctionOracle(_value, BOX))
    sampler = Sampler(oracle, run_file=path, existing="resume", **settings)
    try:
        return sampler.run(budget, observer=observer)
    except _Killed:
        return None


def _content(run: Run | None) -> Any:
    assert run is not None
    probe = BOX.grid(7)
    points = [(e.x.tolist(), e.status, e.asked, e.attempt) for e in run.evaluations]
    values = [None if e.y is None else e.y.tolist() for e in run.evaluations]
    rounds = [(r.n_evaluations, r.errors, r.fresh_mae, r.dropped) for r in run.rounds]
    return points, values, rounds, run.model.predict(probe).tolist()


# ---- resuming -----------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", [True, False])
@pytest.mark.parametrize(
    ("surrogate", "strategy"),
    [
        ("mlp(hidden=(4,), training=levenberg_marquardt(starts=2, iterations=40))", "topk"),
        ("mlp(hidden=(4,), training=gradient_descent(steps=20, continued_steps=5))", "swap"),
        ("polynomial", "softmax(retirement=drop_lowest('change'))"),
    ],
)
def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(
    tmp_path: Path, surrogate: str, strategy: str, checkpoint: bool
) -> None:
    settings = {"surrogate": surrogate, "strategy": strategy}
    whole = _content(_run(tmp_path / "whole.jsonl", **settings))
    for stop in (1, 7, 8, 17, 28):
        path = tmp_path / f"{stop}.jsonl"
        assert _run(path, stop=stop, **settings) is None
        if not checkpoint:
            path.with_suffix(".model.safetensors").unlink(missing_ok=True)
        assert _content(_run(path, **settings)) == whole


def test_a_resumed_run_does_not_fit_what_its_checkpoint_has(tmp_path: Path) -> None:
    class Counting:
        fits = 0

        def fit(self, data: Any, *, generator: Any, start: Any = None) -> Any:
            self.fits += 1
            return Polynomial().fit(data, generator=generator, start=start)

    counting = Counting()
    _run(tmp_path / "run.jsonl", surrogate=counting, budget=24)
    assert counting.fits == 6
    run = _run(tmp_path / "run.jsonl", surrogate=counting, budget=28)
    assert run is not None
    assert run.n_evaluations == 28
    assert counting.fits == 7


def test_a_run_is_resumed_from_its_file_alone(tmp_path: Path) -> None:
    oracle = ExpressionOracle("log(x + 0.1) * y", BOX)
    settings: Any = {"surrogate": "polynomial", "strategy": "topk(n_candidates=50)", "seed": 5}
    whole = _run(tmp_path / "whole.jsonl", oracle=oracle, **settings)
    for stop in (3, 11):
        path = tmp_path / f"{stop}.jsonl"
        _run(path, stop=stop, oracle=oracle, **settings)
        assert _content(Sampler.resume(path).run()) == _content(whole)


def test_what_the_file_cannot_say_has_to_be_given(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    _run(path, stop=8, surrogate="polynomial")
    with pytest.raises(ValueError, match=r"its oracle .* give it: resume\(path, oracle=...\)"):
        Sampler.resume(path)
    run = Sampler.resume(path, oracle=FunctionOracle(_value, BOX)).run()
    assert run.n_evaluations == 24


def test_proposals_on_file_are_kept_whatever_a_strategy_would_say_now(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    function = CountingFunction()
    oracle = FunctionOracle(function, BOX)
    _run(path, stop=15, oracle=oracle, strategy="random")
    text = path.read_text()
    proposed = [x for p in read(path).proposals for x in p["x"]]
    n_paid = len(function.calls)
    run = _run(path, oracle=oracle, strategy="random")
    assert run is not None
    assert [e.x.tolist() for e in run.evaluations][: len(proposed)] == proposed
    assert path.read_text().startswith(text)
    assert len(function.calls) == 24
    assert n_paid < 24


@pytest.mark.parametrize("name", ["finished", "unfinished"])
def test_a_run_file_of_format_1_is_read_and_continued(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.jsonl"
    shutil.copy(DATA / f"format-1-{name}.jsonl", path)
    before = read(path).evaluations
    run = Sampler.resume(path).run(22)
    assert run.n_evaluations == 22
    assert [e.x.tolist() for e in run.evaluations][: len(before)] == [e["x"] for e in before]
    again = read(path)
    assert again.evaluations[: len(before)] == before
    assert not again.damaged
    whole = read(DATA / "format-1-finished.jsonl").evaluations
    assert [e["y"] for e in again.evaluations[:14]] == [e["y"] for e in whole]


def test_a_run_whose_first_line_is_damaged_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    _run(path, stop=12)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"seed":0', b'"seed":1', 1))
    assert read(path).spec == {}
    with pytest.raises(LedgerError, match="first line"):
        Sampler.resume(path)
    run = _run(path)
    assert run is not None
    assert run.n_evaluations == 24
    assert read(path).spec["seed"] == 0


@pytest.mark.parametrize("kind", ["proposal", "evaluation", "round"])
def test_a_damaged_line_costs_no_more_than_itself(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run.jsonl"
    function = CountingFunction()
    oracle = FunctionOracle(function, BOX)
    _run(path, stop=16, oracle=oracle)
    lines = path.read_bytes().splitlines(keepends=True)
    place = [i for i, line in enumerate(lines) if f'"kind":"{kind}"'.encode() in line][1]
    lines[place] = lines[place].replace(b'"round":', b'"rounb":')
    path.write_bytes(b"".join(lines))
    n_paid, n_kept = len(function.calls), len(read(path).evaluations)
    assert n_kept == n_paid - (kind == "evaluation")
    run = _run(path, oracle=oracle)
    assert run is not None
    assert run.n_evaluations == 24
    assert len(function.calls) <= 24 + (kind == "evaluation")


def test_asked_points_stay_pending_where_somebody_else_evaluates(tmp_path: Path) -> None:
    def reopened() -> Sampler:
        path = tmp_path / "run.jsonl"
        settings: Any = {"surrogate": Plane(), "strategy": "topk", "n_initial": 4}
        return Sampler(BOX, run_file=path, existing="resume", **settings)

    sampler = reopened()
    first = sampler.ask(3)
    sampler.close()
    sampler = reopened()
    second = sampler.ask(1)
    sampler.tell(first[:2], [1.0, 2.0])
    sampler.close()
    sampler = reopened()
    sampler.tell(torch.cat([first[2:], second]), [3.0, 4.0])
    third = sampler.ask(2)
    sampler.close()
    alone = Sampler(BOX, surrogate=Plane(), strategy="topk", n_initial=4)
    assert torch.equal(torch.cat([first, second]), alone.ask())
    alone.tell(first[:2], [1.0, 2.0])
    alone.tell(torch.cat([first[2:], second]), [3.0, 4.0])
    sampler = reopened()
    assert torch.equal(sampler.data.y, alone.data.y)
    assert len(sampler.ask(1)) == 1
    sampler.close()
    assert bool(BOX.contains(third).all())


# ---- executors ----------------------------------------------------------------------------------


def test_an_asynchronous_run_is_the_same_after_any_kill(tmp_path: Path) -> None:
    settings: Any = {"asynchronous": True, "batch_size": 3}
    whole = _content(_run(tmp_path / "whole.jsonl", **settings))
    assert len(whole[0]) == 24
    for stop in (1, 5, 9, 16, 30):
        path = tmp_path / f"{stop}.jsonl"
        assert _run(path, stop=stop, **settings) is None
        assert _content(_run(path, **settings)) == whole


def test_an_asynchronous_run_repeats_from_its_order_of_completion(tmp_path: Path) -> None:
    overtaken = Event()
    calls: list[Any] = []

    def slow(x: np.ndarray) -> np.ndarray:
        calls.append(x)
        if len(calls) == 1:
            overtaken.wait(60)
        elif len(calls) == 6:
            overtaken.set()
        return _value(x)

    slow.__qualname__ = _value.__qualname__
    path = tmp_path / "run.jsonl"
    settings: Any = {"asynchronous": True, "batch_size": 3, "oracle": FunctionOracle(slow, BOX)}
    with ThreadPoolExecutor(3) as executor:
        whole = _run(path, executor=executor, **settings)
    evaluations = read(path).evaluations
    assert [e["asked"] for e in evaluations] != sorted(e["asked"] for e in evaluations)
    path.with_suffix(".model.safetensors").unlink()
    assert _content(_run(path, **settings)) == _content(whole)


def test_the_strategy_sees_what_is_under_way(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as executor:
        run = _run(
            tmp_path / "run.jsonl",
            strategy="sobol",
            executor=executor,
            asynchronous=True,
            batch_size=3,
        )
    assert run is not None
    assert len({tuple(e.x.tolist()) for e in run.evaluations}) == 24


def _poisonous(x: np.ndarray) -> np.ndarray:
    if x[0, 0] < 0.2:
        os._exit(3)
    return _value(x)


def _spawned() -> Executor:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: Processes(2), _spawned])
def test_a_poison_point_is_given_up_after_three_attempts_and_its_siblings_are_kept(
    tmp_path: Path, make: Callable[[], Executor]
) -> None:
    made: list[Executor] = []

    def executor() -> Executor:
        made.append(make())
        return made[-1]

    run = _run(
        tmp_path / "run.jsonl",
        oracle=FunctionOracle(_poisonous, BOX),
        strategy="sobol",
        executor=executor,
        budget=10,
    )
    for pool in made:
        pool.shutdown()
    assert run is not None
    lost = [e for e in run.evaluations if e.status is Status.WORKER_LOST]
    points = {tuple(e.x.tolist()) for e in lost}
    assert {x for x, _ in points} == {float(e.x[0]) for e in run.evaluations if e.x[0] < 0.2}
    for x in points:
        assert [e.attempt for e in lost if tuple(e.x.tolist()) == x] == [1, 2, 3]
    assert len(run.data) == 10 - len(lost) > 0


def test_a_broken_pool_that_cannot_be_made_again_ends_the_run_clearly(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with _spawned() as executor, pytest.raises(ExecutorError, match="give a function that makes"):
        _run(path, oracle=FunctionOracle(_poisonous, BOX), executor=executor)
    assert all(e["status"] == "ok" for e in read(path).evaluations)


def test_a_timeout_is_a_failed_evaluation(tmp_path: Path) -> None:
    def hangs(x: np.ndarray) -> np.ndarray:
        if x[0, 0] > 0.8:
            time.sleep(1000)
        return _value(x)

    run = _run(
        tmp_path / "run.jsonl",
        oracle=FunctionOracle(hangs, BOX),
        strategy="sobol",
        timeout=2.0,
        budget=6,
    )
    assert run is not None
    late = {float(e.x[0]) for e in run.evaluations if e.status is Status.TIMEOUT}
    assert late == {float(e.x[0]) for e in run.evaluations if e.x[0] > 0.8} != set()


def test_a_result_in_the_spool_is_found_and_not_paid_again(tmp_path: Path) -> None:
    function = CountingFunction()
    oracle = FunctionOracle(function, BOX)
    spool = Spool(tmp_path / "run.spool")
    spool.open(recorded=set())
    question = Question(torch.tensor([0.1, 0.2], dtype=torch.float64), False, 0, 7, 2)
    first, again = work(oracle, question, spool), work(oracle, question, spool)
    assert len(function.calls) == 1
    assert (again.asked, again.round, again.attempt) == (7, 2, 1)
    assert torch.equal(first.y, again.y)  # type: ignore[arg-type]
    other = Question(question.x + 0.1, False, 0, 7, 2)  # of a run that was overwritten
    work(oracle, other, spool)
    assert len(function.calls) == 2
    spool.forget(question)
    spool.close()
    assert not spool.folder.exists()


def test_workers_that_outlive_their_coordinator_are_waited_for_and_their_results_adopted(
    tmp_path: Path,
) -> None:
    log, path = tmp_path / "calls.log", tmp_path / "run.jsonl"

    def noted(x: np.ndarray) -> np.ndarray:
        with log.open("a") as file:
            file.write(f"{x.tolist()}\n")
        time.sleep(1.0 if len(log.read_text().splitlines()) > 6 else 0.0)
        return _value(x)

    noted.__qualname__ = _value.__qualname__
    settings: Any = {"oracle": FunctionOracle(noted, BOX), "strategy": "random", "budget": 10}
    if (coordinator := os.fork()) == 0:
        _run(path, executor=Processes(2), **settings)
        os._exit(0)
    while not log.exists() or len(log.read_text().splitlines()) < 8:
        time.sleep(0.01)
    os.kill(coordinator, signal.SIGKILL)
    os.waitpid(coordinator, 0)
    with Processes(1) as executor:
        run = _run(path, executor=executor, **settings)
    assert run is not None
    calls = log.read_text().splitlines()
    assert len(calls) == len(set(calls)) == run.n_evaluations == 10
    assert not path.with_suffix(".spool").exists()


def test_a_run_in_which_everything_is_lost_ends_with_the_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptsample.loop.evaluator.LOST_RETRIES", 0)

    def gone(x: np.ndarray) -> None:
        os._exit(9)

    with Processes(1) as executor, pytest.raises(RunFailedError, match="exit status 9"):
        _run(
            tmp_path / "run.jsonl",
            oracle=FunctionOracle(gone, BOX),
            executor=executor,
            n_initial=2,
            budget=2,
        )


def test_noise_is_repeated_where_it_is_asked_for_and_only_there(tmp_path: Path) -> None:
    x = torch.tensor([[0.5, 0.5], [0.5, 0.5], [-0.0, 0.0], [0.0, -0.0]], dtype=torch.float64)
    function = CountingFunction()
    exact = Sampler(FunctionOracle(function, BOX), surrogate=Plane(), strategy="random")
    exact.tell(x, exact.evaluate(x))
    assert len(function.calls) == len(exact.data) == 2
    noisy = NoisyOracle(FunctionOracle(function, BOX), y_noise=(0.0, 1.0))
    sampler = Sampler(noisy, surrogate=Plane(), strategy="random")
    sampler.tell(x, sampler.evaluate(x))
    assert len(function.calls) == 6
    assert len(sampler.data) == len(set(sampler.data.y.flatten().tolist())) == 4


# ---- disks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "code"),
    [("write", errno.ENOSPC), ("write", errno.EIO), ("fsync", errno.EIO)],
)
@pytest.mark.parametrize("k", [1, 2, 5, 9, 14])
def test_a_disk_that_fails_ends_the_run_and_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int, k: int
) -> None:
    path = tmp_path / "run.jsonl"
    counting = CountingFunction()
    oracle = FunctionOracle(counting, BOX)
    real, calls = getattr(os, function), 0

    def faulty(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == k or (calls > k and code == errno.ENOSPC):
            if function == "write":
                real(arguments[0], bytes(arguments[1][:3]))  # a part gets through
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "PATIENCE", 0.0)
        patch.setattr(ledger_module.os, function, faulty)
        with pytest.raises(LedgerError, match=r"cannot write the run file .*run\.jsonl"):
            _run(path, oracle=oracle, strategy="random", surrogate=_Unkept())
    acknowledged = read(path).evaluations if path.exists() else ()
    assert len(counting.calls) <= len(acknowledged) + 1
    run = _run(path, oracle=oracle, strategy="random", surrogate=_Unkept())
    assert run is not None
    assert [e.x.tolist() for e in run.evaluations][: len(acknowledged)] == [
        e["x"] for e in acknowledged
    ]
    assert len(counting.calls) <= 25


class _Unkept:
    """A plane whose model is no tree, so that no checkpoint is written."""

    def fit(self, data: Any, *, generator: Any, start: Any = None) -> Any:
        class Model:
            plane = Plane().fit(data, generator=generator)

            def predict(self, x: Any) -> Any:
                return self.plane.predict(x)

        return Model()


def test_results_are_held_until_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.write, 0

    def full_for_a_while(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if 10 <= calls < 14:
            raise OSError(errno.ENOSPC, "full")
        return real(*arguments)

    monkeypatch.setattr(ledger_module, "PATIENCE", 0.5)
    monkeypatch.setattr(ledger_module.os, "write", full_for_a_while)
    run = _run(tmp_path / "run.jsonl", strategy="random", surrogate=_Unkept())
    assert run is not None
    recorded = read(tmp_path / "run.jsonl")
    assert len(recorded.evaluations) == 24
    assert recorded.damaged == ()


def test_a_disk_without_room_is_noticed_before_anything_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = CountingFunction()
    usage = shutil.disk_usage(tmp_path)._replace(free=20_000)
    monkeypatch.setattr(ledger_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(LedgerError, match=r"20,000 bytes left .* make room"):
        _run(tmp_path / "run.jsonl", oracle=FunctionOracle(function, BOX))
    assert function.calls == []
