"""The benchmark beside peers: exact arithmetic of its tables, counted evaluations, a small run."""

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.harness.jobs import Cell, Job, run_jobs
from benchmarks.peers import comparison as peers
from benchmarks.peers.gaussian import integrated_variance
from benchmarks.peers.ours import run_of
from benchmarks.peers.samplers import PEERS, Package
from benchmarks.peers.tables import (
    Field,
    equal_errors,
    fixed_table,
    missing,
    peer_wins,
    ratio_table,
    seeds_told,
)
from benchmarks.peers.task import Checkpoint, Task

KINDS = {"creased": ["peak", "sine_ridge"], "smooth": ["franke"]}


def _cell(problem: str, method: str, seed: int = 0, **curves: list[tuple[int, float]]) -> Cell:
    made = {name: [(n, error, 0.1 * n) for n, error in curve] for name, curve in curves.items()}
    return {"problem": problem, "method": method, "seed": seed, "curves": made, "memory": 300.0}


@pytest.fixture
def field() -> Field:
    """Ours is 100 times better on one function, equal on another, and worse on a third."""
    cells = [
        _cell("peak", "us + sobol", us=[(20, 1e-1), (60, 1e-3), (100, 1e-5)]),
        _cell("peak", "us + sobol", 1, us=[(20, 1e-1), (60, 3e-3), (100, 1e-5)]),
        _cell("peak", "a", a=[(60, 1e-1), (100, 1e-3)], worse=[(60, 1.0), (100, 1e-2)]),
        _cell("sine_ridge", "us + sobol", us=[(20, 1.0), (60, 0.5), (100, 1e-14)]),
        _cell("sine_ridge", "a", a=[(60, 0.5), (100, 1e-13)]),
        _cell("franke", "us + sobol", us=[(20, 1.0), (60, 0.4)]),
        _cell("franke", "a", a=[(60, 0.2)]),
    ]
    return Field.of(cells, KINDS, fixed="us", is_ours=lambda method: " + " in method)


def test_ratios_are_those_planted_and_rounding_is_a_draw(field: Field) -> None:
    assert field.of_ours() == ["us"]
    assert field.best("peak", 60, ours=False) == ("a", 0.1)
    assert field.ratio("peak", 60) == pytest.approx(2e-2)  # the median of two seeds
    assert field.ratio("sine_ridge", 100) == 1.0
    assert field.mean_ratio(KINDS["creased"], 100) == pytest.approx(0.1)
    assert isnan(field.ratio("franke", 100))
    assert "| smooth (1) | 60 | 2.00 | 2.00 |" in ratio_table(field, (60, 100))


def test_a_mean_over_fewer_functions_says_of_how_many() -> None:
    cells = [
        _cell("peak", "us + sobol", us=[(60, 0.1)]),
        _cell("peak", "us + other", other=[(60, 0.02)]),
        _cell("peak", "a", a=[(60, 0.1)]),
        _cell("sine_ridge", "us + sobol", us=[(60, 0.1)]),
        _cell("sine_ridge", "a", a=[(60, 0.1)]),
    ]
    field = Field.of(cells, KINDS, fixed="us", is_ours=lambda method: " + " in method)
    assert field.of_ours() == ["other", "us"]
    assert "| creased (2) | 60 | 0.20 (of 1) | 1.00 | 0.45 |" in ratio_table(field, (60,))


def test_where_a_peer_wins_is_named(field: Field) -> None:
    told = peer_wins(field, (60, 100))
    assert told == "- franke at 60: a has 0.20, we have 0.40 (2.00 times)\n"
    assert peer_wins(replace(field, kinds={"creased": ["peak"]}), (60,)) == "- nowhere\n"


def test_evaluations_for_an_equal_error_are_interpolated(field: Field) -> None:
    assert field.evaluations_to(1.0, "peak", "us") == 20
    assert field.evaluations_to(1e-1, "peak", "us") == 20
    assert 20 < field.evaluations_to(1e-2, "peak", "us") < 60
    assert "| franke | 0.20 | a | 60 | more | >1 |" in equal_errors(field, (60,))
    assert "| sine_ridge |" not in equal_errors(field, (100,))  # rounding
    alone = replace(field, measured=[m for m in field.measured if not m.is_ours])
    assert "peak" not in equal_errors(alone, (60,))


def test_a_peer_that_was_there_earlier_needs_no_more() -> None:
    cells = [_cell("peak", "us + sobol", us=[(20, 0.5), (60, 0.05)])]
    cells += [_cell("peak", "a", a=[(20, 0.1), (60, 0.1)])]
    field = Field.of(cells, KINDS, fixed="us", is_ours=lambda method: " + " in method)
    assert "| peak | 0.10 | a | 20 | 48 | 2.40 |" in equal_errors(field, (60,))


def test_what_both_know_to_rounding_is_told_apart(field: Field) -> None:
    rows = fixed_table(field, (60, 100)).splitlines()
    assert "| creased (2) | 60 | 0.14 | 0.51 | 0.14 | 1 / 0 / 1 |" in rows
    assert "| creased (2) | 100 | 0.10 | 0.51 | 1.0e-02 | 1 / 1 / 0 |" in rows
    assert "| smooth (1) | 60 | 2.00 | 2.00 | 2.00 | 0 / 0 / 1 |" in rows


def test_medians_say_of_how_many_seeds_they_are() -> None:
    cells = [_cell("peak", "a", seed, a=[]) for seed in range(3)]
    cells += [_cell(problem, "b", 0, b=[]) for problem in ("peak", "franke")]
    cells += [_cell("franke", "a", 0, a=[])]
    assert seeds_told(cells) == "1 to 3 for a; 1 for b"


def test_who_has_no_result_is_told_why() -> None:
    failed = {"problem": "peak", "method": "Tasmanian", "failure": "ModuleNotFoundError: no"}
    assert "| Tasmanian | peak | ModuleNotFoundError: no |" in missing([failed])


@pytest.mark.parametrize("name", ["SciPy RBF", "Chebyshev and AAA", "scikit-learn", "BoTorch"])
def test_no_peer_is_given_more_than_it_shows(name: str) -> None:
    task = Task(peers.oracle("runge"), (12, 17), 0, first=8)
    arms = PEERS[name].arms(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its import
        import_module(PEERS[name].module)
    assert len(arms) > 1
    for arm in arms:
        task.afresh()
        shown = [(n, sorted(made)) for n, made in _checked(task, arm(task))]
        assert [n for n, _ in shown] == [12, 17]
        assert shown[0][1] == shown[1][1]


def test_a_kernel_that_needs_more_points_is_shown_where_it_has_them() -> None:
    task = Task(peers.oracle("wing_weight"), (20, 70), 0, first=8)
    sizes = [[n for n, _ in arm(task)] for arm in PEERS["SciPy RBF"].arms(10)]
    assert sizes == [[20, 70], [20, 70], [20, 70], [70]]


def test_the_least_integrated_variance_is_botorchs() -> None:
    """In closed form, as its acquisition function sees it with pending points."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their import
        learning: Any = import_module("botorch.acquisition.active_learning")
        models: Any = import_module("botorch.models")
    generator = torch.Generator().manual_seed(0)
    x, y, candidates, target = (
        torch.rand(*shape, dtype=torch.float64, generator=generator)
        for shape in ((6, 2), (6, 1), (9, 2), (7, 2))
    )
    model = models.SingleTaskGP(x, y)
    model.eval()
    with torch.no_grad():
        covariance = model(torch.cat([candidates, target])).covariance_matrix.numpy()
        noise = float(model.likelihood.noise)
    chosen = integrated_variance(covariance, 9, 3, noise=noise)
    for i in range(3):
        pending = candidates[chosen[:i]] if i else None
        with torch.no_grad(), torch.random.fork_rng():  # it draws from the global one
            acquisition = learning.qNegIntegratedPosteriorVariance(model, target, X_pending=pending)
            values = acquisition(candidates[:, None])
        values[chosen[:i]] = -torch.inf
        assert int(values.argmax()) == chosen[i]


def _checked(task: Task, run: Iterator[Checkpoint]) -> Iterator[Checkpoint]:
    for n, made in run:
        assert task.spent == n
        for predict in made.values():
            assert predict(task.bounds.T).shape == (2,)
        yield n, made


@pytest.mark.parametrize("name", ["polynomial + sobol", "source's topk"])
def test_ours_and_the_sources_are_charged_alike(name: str) -> None:
    task = Task(peers.oracle("peak"), (12, 15), 0, first=5)
    assert {12, 15} <= {n for n, _ in _checked(task, run_of(name)(task))}


def test_numbers_of_evaluations_grow_by_a_fifth_and_meet_all_sizes() -> None:
    totals = list(Task(peers.oracle("runge"), (60, 100, 200), 0, first=20).totals(1.2))
    assert totals[0] == 20
    assert {60, 100, 200} <= set(totals)
    assert np.diff(totals).min() >= 4


def test_jobs_are_all_different_and_their_functions_have_exact_values() -> None:
    for quick in (True, False):
        found = peers.jobs(2, quick=quick)
        assert len(set(found)) == len(found)
        assert {job.problem for job in found} <= {p for ps in peers.KINDS.values() for p in ps}
    assert all(peers.oracle(name).n_outputs == 1 for name in peers.CREASED)


def test_a_job_that_takes_too_long_keeps_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(task: Task) -> Iterator[Checkpoint]:
        yield 24, {"endless": lambda x: np.zeros(len(x))}
        while True:
            task.afresh()

    def wrong(task: Task) -> Iterator[Checkpoint]:
        raise ZeroDivisionError(f"of {len(task.sizes)}")
        yield  # it is a generator

    def good(task: Task) -> Iterator[Checkpoint]:
        yield 32, {"good": lambda x: np.zeros(len(x))}

    monkeypatch.setattr(peers, "SECONDS", 0.2)
    monkeypatch.setitem(PEERS, "some", Package("math", lambda _: [endless, wrong, good]))
    cell = peers.measure_quickly(Job("runge", "some", 0, 0))
    assert "CPU time" in cell["stopped"]
    assert "ZeroDivisionError: of" in cell["stopped"]
    assert [n for n, _, _ in cell["curves"]["endless"]] == [24]
    assert [n for n, _, _ in cell["curves"]["good"]] == [32]
    monkeypatch.setitem(PEERS, "some", Package("math", lambda _: [wrong]))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        peers.measure_quickly(Job("runge", "some", 0, 0))


def _kill(job: Job) -> Cell:
    """Die as a segmentation fault does, but for one job."""
    if job.seed == 0:
        os._exit(1)
    return {"max": 1.0}


INSTALLED = {name: package.module.partition(".")[0] for name, package in PEERS.items()}
INSTALLED = INSTALLED | {peers.QUICK_FIXED: "adaptsample"}


@pytest.mark.slow
def test_a_quick_run_has_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peers.main(["--quick", "--out", str(tmp_path)])
    page = (tmp_path / "peers.md").read_text()
    assert page in capsys.readouterr().out
    cells = json.loads((tmp_path / "peers.json").read_text())
    jobs = peers.jobs(1, quick=True)
    assert {(c["problem"], c["method"]) for c in cells} == {(j.problem, j.method) for j in jobs}
    assert {cell["method"] for cell in cells} == set(INSTALLED) - {"BoTorch"}  # it takes long
    for cell in cells:
        is_there = find_spec(INSTALLED[cell["method"]]) is not None
        assert ("failure" not in cell) == is_there, cell
        assert not is_there or cell["memory"] > 50
        curves = cell.get("curves", {})
        least, most = peers.QUICK_SIZES
        assert not is_there or any({least, most} <= {n for n, _, _ in c} for c in curves.values())
        for curve in curves.values():
            assert most in {n for n, _, _ in curve}  # some grids begin with more than the least
            assert min(error for _, error, _ in curve) > 0
            assert min(seconds for _, _, seconds in curve) >= 0  # clocks tick slowly
    for heading in ("Where a peer wins", "geometric means", "equal errors", "Time and memory"):
        assert heading in page
    assert "python -m benchmarks.peers --quick\n" in page
    assert "Unfinished" not in page
    peers.main(["--quick", "--out", str(tmp_path), "--only", "runge", "--resume"])
    assert json.loads((tmp_path / "peers.json").read_text())[0] == cells[0]


@pytest.mark.slow
def test_each_job_may_have_a_process_of_its_own(tmp_path: Path) -> None:
    jobs = [Job("sin", "x", 1, seed) for seed in (0, 1)]
    *_, cells = run_jobs(jobs, _kill, tmp_path / "cells.json", workers=1, resume=False, alone=True)
    by_seed = {cell["seed"]: cell for cell in cells}
    assert by_seed[0]["failure"]
    assert by_seed[1]["max"] == 1.0
