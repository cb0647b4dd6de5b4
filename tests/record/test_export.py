import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptsample import Box, Sampler
from adaptsample.evaluation.evaluation import Evaluation, Status
from adaptsample.record import export
from adaptsample.record.run_file import read

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def _evaluation(x: list[float], y: list[float] | None, **options: Any) -> Evaluation:
    return Evaluation(
        torch.tensor(x, dtype=torch.float64),
        None if y is None else torch.tensor(y, dtype=torch.float64),
        **options,
    )


def _csv(table: export.Columns) -> list[list[str]]:
    file = io.StringIO(newline="")
    export.write_csv(table, file)
    return list(csv.reader(io.StringIO(file.getvalue(), newline="")))


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(FLOATS, FLOATS, FLOATS), min_size=1, max_size=5))
def test_numbers_are_the_same_to_the_bit_in_every_format(rows: list[tuple[float, ...]]) -> None:
    evaluations = [_evaluation([a, b], [c]) for a, b, c in rows]
    table = export.columns(evaluations, ("a", "b"))
    bits = [tuple(value.hex() for value in row) for row in rows]
    assert [tuple(float(cell).hex() for cell in row[:3]) for row in _csv(table)[1:]] == bits
    file = io.StringIO()
    export.write_jsonl(table, file)
    objects = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [tuple(o[name].hex() for name in ("a", "b", "value")) for o in objects] == bits


def test_parquet_keeps_the_bits_too(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    values = [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3]
    evaluations = [
        *(_evaluation([x], [2 * x if x < 1 else x]) for x in values),
        _evaluation([0.5], None),
    ]
    table = export.columns(evaluations, ("x",))
    export.write_parquet(table, tmp_path / "a.parquet")
    again = pq.read_table(tmp_path / "a.parquet").to_pydict()
    assert again == table
    assert [x.hex() for x in again["x"]] == [x.hex() for x in [*values, 0.5]]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_that_looks_like_a_formula_is_none_in_csv(start: str) -> None:
    text = f'{start}HYPERLINK("http://example.org")'
    failed = _evaluation([-1.0], None, status=Status.FAILED, message=text)
    header, row = _csv(export.columns([failed], (f"{start}1+1",)))
    assert header[0] == f"'{start}1+1"
    assert row == ["-1.0", "", "failed", f"'{text}", "0", "0.0", "1.0", "1"]


def test_other_text_is_left_alone() -> None:
    failed = _evaluation([1.0], None, status=Status.FAILED, message='a "quote", = and\nline')
    assert _csv(export.columns([failed], ("x",)))[1][3] == failed.message


def test_several_outputs_and_gradients_have_columns() -> None:
    slopes = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    table = export.columns(
        [_evaluation([0, 0], [1, 2], gradient=slopes), _evaluation([1, 1], None)], ("a", "b")
    )
    assert list(table)[:8] == [
        "a", "b", "value_0", "value_1", "value_0/a", "value_0/b", "value_1/a", "value_1/b",
    ]  # fmt: skip
    assert table["value_1/a"] == [3, None]


def test_names_of_variables_win_over_ours() -> None:
    table = export.columns([_evaluation([1, 2, 3], [4])], ("value", "status", "status_"))
    assert [table[name] for name in ("value", "status", "status_")] == [[1], [2], [3]]
    assert (table["value_"], table["status__"]) == ([4], ["ok"])


def test_a_run_and_its_file_give_the_same_table(box: Box, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    sampler = Sampler(box, run_file=tmp_path / "a.jsonl", n_initial=3)
    sampler.tell(sampler.ask(), [1.5, float("nan"), 2.0])
    sampler.close()
    table = export.columns(sampler.evaluations, box.names)
    assert table == export.recorded_columns(read(tmp_path / "a.jsonl"))
    frame = export.to_dataframe(table)
    assert frame["value"].isna().tolist() == [False, True, False]
    assert frame["x"].tolist() == table["x"]


def test_nothing_evaluated_is_an_empty_table() -> None:
    assert _csv(export.columns([], ("x",))) == [
        ["x", "value", "status", "message", "round", "seconds", "price", "attempt"]
    ]


def test_a_missing_pyarrow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"adaptsample\[parquet\]"):
        export.write_parquet({}, tmp_path / "a.parquet")
