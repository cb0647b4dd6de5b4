"""What all benchmarks share: check functions, jobs and tables, and commands that exist."""

import json
import re
from pathlib import Path

import pytest
import torch

from adaptsample.metrics.errors import reference_points
from benchmarks.harness.jobs import Cell, Job, run_jobs
from benchmarks.harness.tables import duel_table, duels, number, spread
from benchmarks.harness.variants import VARIANTS


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


def _never(job: Job) -> Cell:
    raise AssertionError(f"{job} is done")


def test_a_resumed_run_keeps_what_is_done_and_repeats_what_failed(tmp_path: Path) -> None:
    done = {"problem": "sin", "method": "polynomial", "n": 9, "seed": 0, "design": "sobol"}
    store = tmp_path / "cells.json"
    store.write_text(json.dumps([done | {"max": 1.0}, done | {"seed": 1, "failure": "no"}]))
    (cells,) = run_jobs([Job("sin", "polynomial", 9, 0)], _never, store, workers=1, resume=True)
    assert cells == [done | {"max": 1.0}]


ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in (".ci/run", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += [*(ROOT / "results").rglob("*.md"), *(ROOT / "docs").rglob("*.md")]
PAGES += (ROOT / "benchmarks").rglob("*.py")


def test_commands_in_code_and_pages_name_benchmarks_that_there_are() -> None:
    texts = {path: path.read_text() for path in PAGES}
    found = {
        (n, p) for p, text in texts.items() for n in re.findall(r"-m (benchmarks[.\w]*)", text)
    }
    assert len({name for name, _ in found}) >= 10
    for name, path in found:
        file = ROOT.joinpath(*name.split("."))
        file = file / "__main__.py" if file.is_dir() else file.with_suffix(".py")
        assert file.is_file(), f"{path.name} names {name}"
        assert '__name__ == "__main__"' in file.read_text()


def test_the_harness_knows_no_benchmark_and_nothing_changes_where_modules_are_found() -> None:
    for path in (ROOT / "benchmarks").rglob("*.py"):
        text = path.read_text()
        assert "sys.path" not in text, path
        if path.parent.name == "harness":
            imported = set(re.findall(r"from benchmarks\.(\w+)", text))
            assert imported <= {"harness"}, path
