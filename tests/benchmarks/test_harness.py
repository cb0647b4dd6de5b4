"""The benchmarks' own arithmetic: check functions, points and tables."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from adaptsample import Box
from adaptsample.metrics.errors import reference_points
from adaptsample.oracles import ExpressionOracle
from benchmarks.harness.jobs import Cell, Job, measure_fit, oracle, points, run_jobs
from benchmarks.harness.tables import duel_table, duels, number, spread
from benchmarks.harness.variants import VARIANTS
from benchmarks.peers.precision import SECTIONS
from benchmarks.speed.selection_speed import HELD, MODES, STORE, portable_draw, small_task


@pytest.fixture
def planted() -> list[Cell]:
    """Two seeds of ours and of two peers on one problem, and one seed on another."""
    errors = {
        ("sine_ridge", 60, "auto"): [1e-3, 3e-3],
        ("sine_ridge", 60, "a"): [4e-3, 4e-3],
        ("sine_ridge", 60, "b"): [1e-2, 1e-2],
        ("exp_ridge", 60, "auto"): [8e-3],
        ("exp_ridge", 60, "b"): [1e-3],
    }
    return [
        {"problem": problem, "n": n, "method": method, "seed": seed, "mae": error}
        for (problem, n, method), those in errors.items()
        for seed, error in enumerate(those)
    ]


def test_check_functions_are_finite_and_no_two_of_a_dimension_are_alike() -> None:
    shapes: list[tuple[int, torch.Tensor]] = []
    for name in VARIANTS:
        x = reference_points(VARIANTS[name].domain)[::7]
        y = VARIANTS[name](x)[:, 0]
        assert bool(torch.isfinite(y).all()), name
        shape = (y - y.mean()) / y.std()
        for dimension, other in shapes:
            if dimension == x.shape[1]:
                assert abs(float((shape * other).mean())) < 0.98, name
        shapes.append((x.shape[1], shape))


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_check_function_has_a_kink_or_a_jump(name: str) -> None:
    """Where a derivative of this order jumps, differences shrink more slowly than step**order."""
    order = 3 if name == "soft_kink" else 2
    box = VARIANTS[name].domain
    lines = torch.rand(200, 1, box.dimension, generator=torch.Generator().manual_seed(0))

    def largest_difference(step: float) -> float:
        along = torch.arange(0, 1, step, dtype=torch.float64)
        u = lines.double().repeat(1, len(along), 1)
        u[:, :, 1] = along
        y = VARIANTS[name](box.from_unit(u.flatten(0, 1))).reshape(len(lines), -1)
        return float(torch.diff(y, n=order).abs().max())

    assert largest_difference(5e-4) > 1.6 * 0.5**order * largest_difference(1e-3)


def test_the_best_peer_and_the_ratio_to_it_are_those_planted(planted: list[Cell]) -> None:
    first, second = duels(planted, "mae", ["a", "b"])
    assert (first.problem, first.best, second.best) == ("sine_ridge", "a", "b")
    assert first.ratio == pytest.approx(0.5)
    assert second.ratio == pytest.approx(8.0)


def test_the_table_counts_wins_and_takes_the_geometric_mean(planted: list[Cell]) -> None:
    table = duel_table(planted, "mae", ["a", "b"], bar=1.0)
    assert (
        "| sine_ridge | 60 | 2.0e-03 (1.0e-03..3.0e-03) | 4.0e-03 | 1.0e-02 | a | 0.50 |" in table
    )
    assert "geometric mean of the ratios 2.00, median 4.25, worst 8.00, 1 of 2 above 1" in table
    assert "above 1: exp_ridge at N = 60 (8.00)" in table


def test_numbers_are_short() -> None:
    assert [number(v) for v in (34, 1e-7, 0.5, 2e4)] == ["34", "1.0e-07", "0.50", "2.0e+04"]
    assert [spread([]), spread([2]), spread([1, 2, 4])] == ["-", "2", "2 (1..4)"]


def test_points_of_a_job_depend_on_its_seed_alone_and_chebyshev_points_reach_the_ends() -> None:
    box = Box({"x": (-2, 2)})
    few, many, other = (points(box, Job("sin", "auto", n, s)) for n, s in ((4, 0), (8, 0), (4, 1)))
    assert torch.equal(few, many[:4])
    assert not torch.equal(few, other)
    nodes = points(box, Job("sin", "auto", 5, 0, "chebyshev"))[:, 0]
    assert nodes.tolist() == pytest.approx([-2, -(2**0.5), 0, 2**0.5, 2])


def test_noise_is_a_twentieth_of_the_spread() -> None:
    exact, noisy = oracle("franke"), oracle("noisy franke")
    x = exact.domain.grid(40)
    error = noisy(x) - exact(x)
    assert float(error.std() / exact(x).std()) == pytest.approx(0.05, rel=0.1)


def test_a_resumed_run_keeps_what_is_done_and_repeats_what_failed(tmp_path: Path) -> None:
    done = {"problem": "sin", "method": "polynomial", "n": 9, "seed": 0, "design": "sobol"}
    store = tmp_path / "cells.json"
    store.write_text(json.dumps([done | {"max": 1.0}, done | {"seed": 1, "failure": "no"}]))
    (cells,) = run_jobs(
        [Job("sin", "polynomial", 9, 0)], measure_fit, store, workers=1, resume=True
    )
    assert cells == [done | {"max": 1.0}]


def test_every_section_has_jobs_of_known_problems() -> None:
    for section in SECTIONS.values():
        for quick in (False, True):
            jobs = list(section.jobs(2, quick))
            assert len(set(jobs)) == len(jobs) > 0
            assert {job.seed for job in jobs} == {0, 1}
            assert all(oracle(job.problem).domain.dimension >= 1 for job in jobs[:3])


def test_a_fit_of_ours_and_of_scipy_are_measured_alike() -> None:
    assert isinstance(oracle("sin"), ExpressionOracle)
    for method in ("polynomial", "chebyshev", "scipy-aaa"):
        cell = measure_fit(Job("runge", method, 40, 0, "chebyshev"))
        assert {"mae", "rmse", "max", "nrmse", "cpu", "wall"} <= cell.keys()
        assert cell["mae"] <= cell["rmse"] <= cell["max"] < 0.05


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", HELD)
def test_strategies_choose_the_rows_that_bmdal_reg_chooses(method: str, mode: str) -> None:
    kept = json.loads(STORE.read_text())
    assert kept["made_by"] == "bmdal_reg 3.0.2"
    with patch.object(torch, "multinomial", portable_draw):
        chosen = small_task().ours(method, alone=MODES[mode])
    assert chosen == kept["choices"][method][mode]
