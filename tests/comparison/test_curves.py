"""Curves from run files."""

import shutil
from pathlib import Path

import pytest

from adaptsample import Sampler
from adaptsample.comparison.curves import read_curves
from adaptsample.comparison.statistics import Comparison
from adaptsample.oracles import ExpressionOracle, FunctionOracle
from benchmarks._referee import Plane


def _run(path: Path, strategy: str = "sobol", n_initial: int = 6) -> None:
    oracle = ExpressionOracle("sin(x)*y", {"x": (0, 1), "y": (0, 1)})
    Sampler(
        oracle, surrogate=Plane(), strategy=strategy, run_file=path, n_initial=n_initial, seed=3
    ).run(16)


def test_a_curve_has_the_errors_of_all_rounds(tmp_path: Path) -> None:
    _run(tmp_path / "waves" / "plane-sobol" / "seed-003.jsonl")
    (curve,), left_out = read_curves([tmp_path], measure="rmse")
    assert left_out == []
    assert (curve.oracle, curve.rival, curve.seed) == ("waves", "plane-sobol", 3)
    assert curve.evaluations == (6, 16)
    assert curve.dimension == 2
    (finer,), _ = read_curves([tmp_path], measure="max")
    assert finer.errors[-1] > curve.errors[-1] > 0
    (floored,), _ = read_curves([tmp_path], floor=1.0)
    assert set(floored.errors) == {1.0}


def test_what_cannot_be_compared_is_named_with_its_reason(tmp_path: Path) -> None:
    good = tmp_path / "waves" / "plane-sobol" / "seed-003.jsonl"
    _run(good)
    content = good.read_bytes()
    for name, text in (
        ("a", content.replace(b'"kind":"round"', b'"kind":"rounb"', 1)),
        ("b", b"".join(content.splitlines(keepends=True)[:-1])),
        ("c", b"nothing\n"),
    ):
        (tmp_path / "waves" / name).mkdir()
        (tmp_path / "waves" / name / "seed-000.jsonl").write_bytes(text)
    unknown = FunctionOracle(lambda x: x[:, 0], ExpressionOracle("x", {"x": (0, 1)}).domain)
    path = tmp_path / "unknown" / "plane-sobol" / "seed-000.jsonl"
    Sampler(unknown, surrogate=Plane(), strategy="sobol", run_file=path).run(10)
    curves, left_out = read_curves([tmp_path])
    assert len(curves) == 1
    told = "\n".join(left_out)
    assert all(
        text in told for text in ("damaged in lines", "unfinished", "no run file", "not known")
    )


def test_folders_that_overlap_are_read_once_and_copies_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "waves" / "plane-sobol" / "seed-003.jsonl"
    _run(good)
    assert len(read_curves([tmp_path, tmp_path / "waves"])[0]) == 1
    shutil.copytree(tmp_path / "waves", tmp_path / "copy" / "waves")
    with pytest.raises(ValueError, match="twice"):
        Comparison(tuple(read_curves([tmp_path])[0]))


def test_other_initial_designs_are_noticed(tmp_path: Path) -> None:
    _run(tmp_path / "waves" / "plane-sobol" / "seed-003.jsonl")
    _run(tmp_path / "waves" / "plane-random" / "seed-003.jsonl", strategy="random")
    assert Comparison(tuple(read_curves([tmp_path])[0])).unfair == []
    _run(tmp_path / "waves" / "plane-maximin" / "seed-003.jsonl", "maximin", n_initial=8)
    told = Comparison(tuple(read_curves([tmp_path])[0])).unfair
    assert told == ["waves: initial designs differ for seed 3"]
