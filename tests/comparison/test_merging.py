"""Anyone's runs beside one another."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from adaptsample import Sampler
from adaptsample.comparison.curves import Curve, read_curves
from adaptsample.comparison.merging import ROUNDING, comparable
from adaptsample.comparison.statistics import Comparison
from adaptsample.oracles import ExpressionOracle
from benchmarks.reliability.referee import Plane

RUN = "seed-000.jsonl"


def _curve(rival: str, *errors: float, seed: int = 0) -> Curve:
    return Curve("p", rival, seed, tuple(range(len(errors))), errors)


def _run(path: Path, formula: str = "sin(x)*y", *, batch_size: int = 5, budget: int = 16) -> None:
    oracle = ExpressionOracle(formula, {"x": (0, 1), "y": (0, 1)})
    Sampler(
        oracle,
        surrogate=Plane(),
        strategy="sobol",
        batch_size=batch_size,
        n_initial=6,
        run_file=path,
        existing="resume",
    ).run(budget)


def test_the_same_run_in_two_folders_counts_once(tmp_path: Path) -> None:
    for who in ("mine", "his"):
        _run(tmp_path / who / "waves" / "plane-sobol" / RUN)
    curves, notes = comparable(read_curves([tmp_path / "mine", tmp_path / "his"])[0])
    assert [curve.path for curve in curves] == [tmp_path / "mine/waves/plane-sobol" / RUN]
    assert notes == ["runs that are there twice, alike, and count once: 1"]


def test_of_the_same_run_the_longer_one_counts(tmp_path: Path) -> None:
    _run(tmp_path / "a" / "waves" / "plane-sobol" / RUN)
    _run(tmp_path / "b" / "waves" / "plane-sobol" / RUN)
    _run(tmp_path / "b" / "waves" / "plane-sobol" / RUN, budget=26)
    (curve,), _ = comparable(read_curves([tmp_path])[0])
    assert curve.reach == 26


def test_one_run_with_two_results_is_told() -> None:
    first, other = _curve("a", 1.0, 0.5), _curve("a", 1.0, 0.4)
    kept, notes = comparable([replace(first, path=Path("x")), replace(other, path=Path("y"))])
    assert [curve.errors for curve in kept] == [(1.0, 0.5)]
    assert notes == ["y is x with other errors; the second counts"]


def test_two_functions_of_one_name_are_two_oracles(tmp_path: Path) -> None:
    _run(tmp_path / "a" / "waves" / "plane-sobol" / RUN)
    _run(tmp_path / "b" / "waves" / "plane-sobol" / RUN, "cos(x)*y")
    curves, notes = comparable(read_curves([tmp_path])[0])
    assert Comparison(tuple(curves)).oracles == ["waves", "waves (2)"]
    assert len(notes) == 1
    assert notes[0].startswith(f"waves (2), from {tmp_path / 'b'}")
    assert 'oracle.text is "cos(x)*y", not "sin(x)*y"' in notes[0]


def test_other_settings_make_another_rival(tmp_path: Path) -> None:
    _run(tmp_path / "a" / "waves" / "plane-sobol" / RUN)
    _run(tmp_path / "b" / "waves" / "plane-sobol" / RUN, batch_size=2)
    curves, notes = comparable(read_curves([tmp_path])[0])
    assert Comparison(tuple(curves)).rivals == ["plane-sobol", "plane-sobol (2)"]
    assert "batch_size is 2, not 5" in notes[0]


def test_a_program_that_is_told_the_seed_is_one_oracle_for_all(tmp_path: Path) -> None:
    path = tmp_path / "p" / "plane-sobol" / RUN
    _run(path)
    (curve,), _ = read_curves([path])
    assert json.loads(curve.task)["domain"] == [["x", [0, 1]], ["y", [0, 1]]]
    seeds = [replace(curve, seed=seed) for seed in range(2)]
    assert {c.oracle for c in comparable(seeds)[0]} == {"p"}


def test_rounding_is_no_merit() -> None:
    """It is relative to the values, and the same for all rivals on an oracle."""
    curves = [
        replace(_curve("a", 1.0, 1e-16), scale=100.0),
        replace(_curve("b", 1.0, 3e-13), scale=50.0),
        replace(_curve("c", 1.0, 1e-10), scale=0.0),
    ]
    kept, notes = comparable(curves)
    assert [curve.errors[1] for curve in kept] == pytest.approx([100 * ROUNDING] * 2 + [1e-10])
    assert notes == []
