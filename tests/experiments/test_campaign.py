"""Many runs: none is paid twice, one that fails fails alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptsample import Box
from adaptsample.core import derive_generator
from adaptsample.errors import LedgerError
from adaptsample.evaluation.workers import Processes
from adaptsample.experiments.campaign import run_all, state_of
from adaptsample.experiments.experiment import Experiment
from adaptsample.loop import Specification
from adaptsample.oracles import ExpressionOracle, FunctionOracle
from adaptsample.record.run_file import read
from benchmarks.reliability.referee import Plane
from tests.conftest import CountingFunction

BOX = Box({"x": (0, 1), "y": (0, 1)})


def _experiment(function: Callable[..., np.ndarray], strategy: str, seed: int) -> Experiment:
    specification = Specification(
        FunctionOracle(function, BOX),
        surrogate=Plane(),
        strategy=strategy,
        seed=seed,
        n_initial=6,
        batch_size=3,
    )
    return Experiment(specification, labels=("waves", "plane", strategy), budget=12.0)


def _with(experiment: Experiment, **settings: Any) -> Experiment:
    return replace(experiment, specification=replace(experiment.specification, **settings))


def _plan(function: Callable[..., np.ndarray]) -> list[Experiment]:
    return [_experiment(function, s, seed) for seed in (0, 1) for s in ("random", "sobol")]


def test_all_are_run_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    function = CountingFunction()
    plan = _plan(function)
    first = list(run_all(plan, tmp_path, executor=None))
    assert [o.experiment for o in first] == plan
    assert len(function.calls) == 4 * 12
    again = list(run_all(plan, tmp_path, executor=None))
    assert len(function.calls) == 4 * 12
    assert [o.seconds for o in again] == [0.0] * 4
    assert all(state_of(e, tmp_path) == "finished" for e in plan)


def test_rivals_with_the_same_seed_begin_with_the_same_points(tmp_path: Path) -> None:
    plan = _plan(CountingFunction())
    list(run_all(plan, tmp_path, executor=None))
    starts = [
        [e["x"] for e in read(x.run_file(tmp_path)).evaluations if e["round"] == 0] for x in plan
    ]
    assert starts[0] == starts[1]
    assert starts[2] == starts[3] != starts[0]
    assert starts[0] == BOX.sobol(6, generator=derive_generator(0, "initial")).tolist()


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    function = CountingFunction()
    (experiment, *_) = _plan(function)
    list(run_all([experiment], tmp_path, executor=None))
    path = experiment.run_file(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:8]))
    kept = len(read(path).evaluations)
    assert state_of(experiment, tmp_path) == "due"
    list(run_all([experiment], tmp_path, executor=None))
    assert len(function.calls) == 12 + 12 - kept
    assert path.read_bytes().splitlines()[1:8] == [line.strip() for line in lines[1:8]]


def test_a_larger_budget_continues_and_a_smaller_one_is_refused(tmp_path: Path) -> None:
    function = CountingFunction()
    (experiment, *_) = _plan(function)
    list(run_all([experiment], tmp_path, executor=None))
    list(run_all([replace(experiment, budget=15.0)], tmp_path, executor=None))
    assert len(function.calls) == 15
    with pytest.raises(LedgerError, match="budget 15, more than 12"):
        list(run_all([experiment], tmp_path, executor=None))


def test_a_damaged_run_is_put_aside_and_made_again(tmp_path: Path) -> None:
    function = CountingFunction()
    (experiment, *_) = _plan(function)
    list(run_all([experiment], tmp_path, executor=None))
    path = experiment.run_file(tmp_path)
    damaged = path.read_bytes().replace(b'"kind":"round"', b'"kind":"rounb"', 1)
    path.write_bytes(damaged)
    assert state_of(experiment, tmp_path) == "damaged"
    list(run_all([experiment], tmp_path, executor=None))
    assert state_of(experiment, tmp_path) == "finished"
    (aside,) = path.parent.glob("seed-000.jsonl.damaged-*")
    assert aside.read_bytes() == damaged
    path.write_bytes(b"no run file\n")
    assert state_of(experiment, tmp_path) == "damaged"


def test_another_run_in_its_place_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    function = CountingFunction()
    first, second, *_ = _plan(function)
    list(run_all([second], tmp_path, executor=None))
    n_paid = len(function.calls)
    with pytest.raises(LedgerError, match="another run: batch_size is 3 there and 4 now"):
        list(run_all([first, _with(second, batch_size=4)], tmp_path, executor=None))
    assert len(function.calls) == n_paid


def _broken(x: np.ndarray) -> np.ndarray:
    raise ValueError("the licence has expired")


def test_what_fails_fails_alone(tmp_path: Path) -> None:
    plan = _plan(CountingFunction())
    broken = replace(
        _with(plan[0], source=FunctionOracle(_broken, BOX)), labels=("broken", "plane", "random")
    )
    with ThreadPoolExecutor(2) as executor:
        outcomes = list(run_all([broken, *plan], tmp_path, executor=executor))
    failed = [o for o in outcomes if o.failure]
    assert [o.experiment for o in failed] == [broken]
    assert "the licence has expired" in failed[0].failure


def test_a_strategy_in_a_file_travels_to_other_processes(tmp_path: Path) -> None:
    path = tmp_path / "mine_alone.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "from typing import Any, final\n"
        "from adaptsample.acquisition import Proposal, Strategy\n"
        "@final\n"
        "@dataclass(frozen=True)\n"
        "class Middle(Strategy[Any]):\n"
        "    def propose(self, state, n, *, generator):\n"
        "        return Proposal(state.domain.uniform(n, generator=generator) / 2)\n"
    )
    oracle = ExpressionOracle("sin(3*x)*y", BOX)
    plan = [
        _with(e, source=oracle, strategy=f"{path}:Middle", batch_size=2)
        for e in _plan(CountingFunction())[::2]
    ]
    with Processes(2) as executor:
        assert [o.failure for o in run_all(plan, tmp_path / "out", executor=executor)] == ["", ""]


def test_processes_make_the_same_runs(tmp_path: Path) -> None:
    oracle = ExpressionOracle("sin(3*x)*y", BOX)
    plan = [_with(e, source=oracle) for e in _plan(CountingFunction())[:2]]
    with Processes(2) as executor:
        elsewhere = {
            o.experiment.labels: o.errors for o in run_all(plan, tmp_path / "a", executor=executor)
        }
    here = {o.experiment.labels: o.errors for o in run_all(plan, tmp_path / "b", executor=None)}
    assert elsewhere == here
    assert all(set(errors) == {"mae", "rmse", "max"} for errors in here.values())
