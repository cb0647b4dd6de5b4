"""Curves from run files."""

import shutil
from pathlib import Path

import pytest

from adaptsample import Sampler
from adaptsample.comparison.caveats import doubts
from adaptsample.comparison.curves import read_curves
from adaptsample.comparison.statistics import Comparison
from adaptsample.core.files import decode, encode
from adaptsample.oracles import ExpressionOracle, FunctionOracle
from benchmarks.reliability.referee import Plane


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
    assert curve.is_finished
    assert curve.reach == 16
    assert 0 < curve.scale < 1


def test_what_cannot_be_compared_is_named_with_its_reason(tmp_path: Path) -> None:
    good = tmp_path / "waves" / "plane-sobol" / "seed-003.jsonl"
    _run(good)
    content = good.read_bytes()
    for name, text in (
        ("a", content.replace(b'"kind":"round"', b'"kind":"rounb"', 1)),
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
    assert all(text in told for text in ("damaged in lines", "no run file", "not known"))


def test_a_record_that_no_run_makes_is_left_out(tmp_path: Path) -> None:
    good = tmp_path / "waves" / "plane-sobol" / "seed-003.jsonl"
    _run(good)
    for number, wrong in enumerate(({"rmse": 1.0}, {"mae": None, "rmse": 1.0, "max": 1.0})):
        lines = []
        for line in good.read_bytes().splitlines(keepends=True):
            record = dict(decode(line) or {})
            record.pop("checksum", None)
            if record["kind"] == "round":
                record["errors"] = wrong
            lines.append(encode(record))
        (good.parent / f"seed-01{number}.jsonl").write_bytes(b"".join(lines))
    curves, left_out = read_curves([tmp_path])
    assert [curve.seed for curve in curves] == [3]
    assert len(left_out) == 2
    assert all("holds records that no run makes" in text for text in left_out)


def test_an_unfinished_run_is_known_as_far_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "waves" / "plane-sobol" / "seed-003.jsonl"
    _run(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))  # neither the end, nor the last round
    (curve,), left_out = read_curves([path])
    assert left_out == []
    assert not curve.is_finished
    assert (curve.evaluations, curve.reach) == ((6.0,), 6.0)
    path.write_bytes(lines[0])
    (curve,), _ = read_curves([path])
    assert (curve.errors, curve.reach) == ((), 0.0)
    with pytest.raises(ValueError, match="no finished runs"):
        Comparison((curve,))


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
    assert doubts(Comparison(tuple(read_curves([tmp_path])[0]))) == []
    _run(tmp_path / "waves" / "plane-maximin" / "seed-003.jsonl", "maximin", n_initial=8)
    assert doubts(Comparison(tuple(read_curves([tmp_path])[0]))) == [
        "waves: initial designs differ for seed 3",
        "waves: runs begin with 6 and 8 evaluations",
    ]
