"""What gradients are worth: what the page says of planted errors, and a small run."""

import json
from pathlib import Path

import pytest

from benchmarks.harness.jobs import Cell
from benchmarks.strategies import gradient_price


def _cell(buyer: str, price: float, error: float, seed: int = 0, **others: object) -> Cell:
    cell = {
        "problem": "sin",
        "method": f"{price:g} {buyer} mlp()",
        "seed": seed,
        "price": price,
        "buyer": buyer,
        "surrogate": gradient_price.SURROGATES[0],
        "curve": [[8, 1.0], [14, 2 * error], [20, error]],
        "error": error,
        "n_points": 20,
        "n_gradients": 0 if buyer == "values" else 6,
    }
    return cell | others


def test_the_page_says_where_gradients_pay() -> None:
    cells = [
        _cell("values", 0.0, 1e-2),
        _cell("values", 0.0, 4e-2, seed=1),
        _cell("all", 0.0, 1e-3),
        _cell("all", 0.0, 4e-3, seed=1),
        _cell("all", 1.0, 2e-2),
        _cell("all", 1.0, 8e-2, seed=1),
        _cell("worth_it", 0.0, 1.5e-2),
        _cell("worth_it", 0.0, 6e-2, seed=1),
        _cell("values", 0.0, 1e9, seed=2),  # without the others, it counts nowhere
        _cell("all", 0.0, 1e-4, surrogate=gradient_price.SURROGATES[1]),
    ]
    page = gradient_price.page([*cells, {**cells[0], "failure": "no"}], "command")
    free = "at price 0 (the largest ratio is"
    assert f"- sin, all gradients: never worse {free} 0.10); pays at 0, costs at 1" in page
    assert f"- sin, `worth_it`: WORSE, 1.50 times the error, {free} 1.50); pays at no" in page
    assert "2.0e-03 (1.0e-01; 1.0e-01..1.0e-01)" in page.replace("0.10", "1.0e-01")
    assert "| 50% |" in page
    assert "| sin | 1.0e-02 (1.0e-02..1.0e-02) |" in page
    assert "- failed: sin 0 values mlp(): no" in page


def test_jobs_are_all_different_and_values_alone_have_no_price() -> None:
    for quick in (True, False):
        found = gradient_price.jobs(2, quick=quick)
        assert len(set(found)) == len(found)
        assert {job.method.split()[0] for job in found if "values" in job.method} == {"0"}
    assert gradient_price.prices("borehole") == [0.0, 0.5, 1.0, 8.0]
    assert gradient_price.prices("sin") == [0.0, 0.5, 1.0]


@pytest.mark.slow
def test_a_quick_run_pays_for_what_it_buys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gradient_price.main(["--quick", "--seeds", "1", "--out", str(tmp_path)])
    assert "# What a gradient is worth" in capsys.readouterr().out
    cells = json.loads((tmp_path / "gradient_price.json").read_text())
    assert len(cells) == 7
    assert not any("failure" in cell for cell in cells)
    plan = gradient_price.QUICK_PLAN
    for cell in cells:
        spent = cell["curve"][-1][0]
        assert spent == cell["n_points"] + cell["price"] * cell["n_gradients"]
        assert plan.budget <= spent < plan.budget + 1
        assert 0 < cell["error"] < 10
        assert cell["n_gradients"] <= cell["n_points"] - plan.n_initial
    bought = {(c["buyer"], c["price"]): c["n_gradients"] for c in cells}
    assert bought["values", 0.0] == 0
    assert bought["all", 0.0] == bought["worth_it", 0.0] == plan.budget - plan.n_initial
