"""Buying rows of tables: the tables, what counts as better than random, and a small run."""

import json
import warnings
from importlib.util import find_spec
from math import exp, log
from pathlib import Path

import pytest

from adaptsample.acquisition.strategy import Strategy
from benchmarks.harness.jobs import Cell
from benchmarks.strategies import pool_learning
from benchmarks.strategies.pools import TABLES, pool


def _cell(method: str, seed: int, error: float, problem: str = "wine") -> Cell:
    curve = [(10, 1.0), (20, error), (30, error)]
    told = {"problem": problem, "method": method, "seed": seed, "curve": curve}
    return told | {"log_rmse": log(error)}


@pytest.mark.parametrize("name", list(TABLES))
def test_a_table_is_split_into_rows_that_differ(name: str) -> None:
    made, again, other = pool(name, 0, 90), pool(name, 0, 90), pool(name, 1, 90)
    assert made.rows.x.equal(again.rows.x)
    assert not made.rows.x.equal(other.rows.x)
    bought, held_out = (set(map(tuple, part.x.tolist())) for part in (made.rows, made.held_out))
    assert len(bought) == len(made.rows) >= 59
    assert not bought & held_out
    assert len(bought) / (len(bought) + len(held_out)) == pytest.approx(2 / 3, abs=0.01)
    assert all(low < high for low, high in made.domain.bounds)


def test_errors_are_told_relative_to_random_rows() -> None:
    cells = [_cell("random", s, 0.5 * (1 + s)) for s in range(3)]
    cells += [_cell("lcmd", s, 0.4 * (1 + s)) for s in range(3)]
    cells += [_cell("bmdal_reg lcmd", s, 0.45 * (1 + s)) for s in range(3)]
    page = pool_learning.page([*cells, {**_cell("bait", 0, 1.0), "failure": "no"}], "command")
    rows = {row.split("|")[1].strip(): row for row in page.splitlines() if row.startswith("| ")}
    assert "| lcmd | -0.223 | 0.000 | 0.800 | -0.223 |" in page
    assert "| random | +0.000 | 0.000 | 1.000 | +0.000 |" in page
    assert list(rows)[2:4] != ["random", "lcmd"]  # the best comes first
    assert f"| lcmd | {log(0.4 / 0.45):+.3f} | 0.000 |" in page
    assert "`bait` failed 1 times: no" in page
    assert exp(-0.223) == pytest.approx(0.8, abs=1e-3)


def test_every_method_is_a_strategy() -> None:
    for method in pool_learning.METHODS:
        assert isinstance(pool_learning.strategy_of(method), Strategy)
    for quick in (True, False):
        found = pool_learning.jobs(2, quick=quick)
        assert len(set(found)) == len(found)


@pytest.mark.slow
def test_a_quick_run_buys_the_same_rows_first(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of bmdal_reg's import
        pool_learning.main(["--quick", "--seeds", "1", "--out", str(tmp_path)])
    cells = {c["method"]: c for c in json.loads((tmp_path / "pool_learning.json").read_text())}
    assert set(cells) == {"random", "lcmd", "bmdal_reg lcmd"}
    good = {name: cell for name, cell in cells.items() if "failure" not in cell}
    assert {tuple(cell["curve"][0]) for cell in good.values()} == {
        tuple(cells["random"]["curve"][0])
    }
    for cell in good.values():
        assert [n for n, _ in cell["curve"]] == [6, 12, 18, 24]
        assert all(0 < error < 5 for _, error in cell["curve"])
    assert ("bmdal_reg lcmd" in good) == (find_spec("bmdal_reg") is not None)
    if "bmdal_reg lcmd" in good:  # the same features, hence the same rows
        assert good["bmdal_reg lcmd"]["curve"] == good["lcmd"]["curve"]
    assert "# Buying rows of tables" in (tmp_path / "pool_learning.md").read_text()
