from pathlib import Path
from typing import Any

import pytest

from adaptsample import Sampler
from adaptsample.comparison.tables import rows, run_table
from adaptsample.oracles import ExpressionOracle
from benchmarks.reliability.referee import Plane


def _run(path: Path, **settings: Any) -> None:
    oracle = ExpressionOracle("sin(x)", {"x": (0, 1)})
    Sampler(oracle, surrogate=Plane(), strategy="sobol", run_file=path, **settings).run(15)


def test_a_row_for_each_run_file_sorted_and_exact(tmp_path: Path) -> None:
    for seed in (1, 0):
        _run(tmp_path / "sin" / "plane-sobol" / f"seed-00{seed}.jsonl", seed=seed)
    table = rows(tmp_path)
    assert [(r.oracle, r.run, r.seed) for r in table] == [
        ("sin", "plane-sobol", 0),
        ("sin", "plane-sobol", 1),
    ]
    assert all(r.n_evaluations == 15 and r.finished for r in table)
    text = run_table(table).markdown()
    assert f"{table[0].errors['mae']:.2e}" in text
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sin" / "plane-sobol" / "seed-000.jsonl"
    _run(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert "15 (unfinished)" in run_table(rows(tmp_path)).markdown()


def test_a_file_that_cannot_be_read_has_no_row_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sin" / "plane-sobol" / "seed-000.jsonl"
    _run(path)
    (path.parent / "seed-001.jsonl").write_text("nothing\n")
    lines = path.read_bytes().splitlines(keepends=True)
    (path.parent / "seed-002.jsonl").write_bytes(b"".join(lines[1:]))  # no specification
    assert [row.seed for row in rows(tmp_path)] == [0]
    assert [str(n) in caplog.text for n in ("seed-000", "seed-001", "seed-002")] == [0, 1, 1]


def test_an_empty_folder_has_an_empty_table(tmp_path: Path) -> None:
    assert rows(tmp_path) == []
    assert run_table([]).markdown().count("\n") == 2
