import json
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptsample.core.files import encode
from adaptsample.errors import LedgerError
from adaptsample.record.ledger import Ledger
from adaptsample.record.run_file import read

DATA = Path(__file__).parents[1] / "data"
SPEC = {"seed": 1}


def _write(path: Path, n: int) -> bytes:
    with Ledger.create(path, SPEC) as ledger:
        for i in range(n):
            ledger.append([{"kind": "evaluation", "number": i, "x": [0.1 * i, math.pi / (i + 1)]}])
    return path.read_bytes()


def test_floats_round_trip_exactly(tmp_path: Path) -> None:
    _write(tmp_path / "run.jsonl", 20)
    recorded = read(tmp_path / "run.jsonl")
    assert [e["x"] for e in recorded.evaluations] == [
        [0.1 * i, math.pi / (i + 1)] for i in range(20)
    ]
    assert recorded.spec["seed"] == 1
    assert recorded.damaged == ()


def test_every_flipped_bit_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole = _write(path, 2)
    intact = [dict(e) for e in read(path).evaluations]
    first = whole.index(b"\n") + 1
    for position in range(first, len(whole)):
        for bit in (0, 4, 7):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(bytes(damaged))
            kept = [dict(e) for e in read(path).evaluations]
            assert len(kept) < len(intact)
            assert all(record in intact for record in kept)


def test_a_damaged_line_is_reported_by_number_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = _write(path, 4).splitlines(keepends=True)
    lines[2] = lines[2].replace(b"0.1", b"0.2")
    path.write_bytes(b"".join(lines))
    recorded = read(path)
    assert recorded.damaged == (3,)
    assert [e["number"] for e in recorded.evaluations] == [0, 2, 3]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_clearly(noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        path.write_bytes(noise)
        with pytest.raises(LedgerError, match="no run file"):
            read(path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Ledger.create(path, {"format": 99}):
        pass
    with pytest.raises(LedgerError, match="update adaptsample"):
        read(path)


def test_an_end_that_was_gone_beyond_is_no_end(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Ledger.create(path, SPEC) as ledger:
        ledger.append([{"kind": "end", "status": "done"}])
        assert read(path).end is not None
        ledger.append([{"kind": "evaluation", "number": 1}])
    assert read(path).end is None


def test_proposed_points_are_pending_until_they_are_evaluated(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Ledger.create(path, SPEC) as ledger:
        ledger.append([{"kind": "proposal", "round": 0, "x": [[0.1], [-0.0]]}])
        ledger.append([{"kind": "evaluation", "number": 1, "x": [0.0]}])
        ledger.append([{"kind": "proposal", "round": 1, "x": [[0.3]]}])
    assert read(path).pending == [[0.1], [0.3]]


def test_format_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Ledger.create(path, {**SPEC, "format": 1}) as ledger:
        ledger.append([{"kind": "evaluation", "number": 1, "x": [0.0]}])
    recorded = read(path)
    assert (recorded.spec["format"], len(recorded.evaluations), recorded.pending) == (1, 1, [])


def test_a_torn_tail_is_no_line_and_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole = _write(path, 2)
    path.write_bytes(whole + encode({"kind": "evaluation", "number": 2})[:-1])
    recorded = read(path)
    assert (len(recorded.evaluations), recorded.damaged, recorded.size) == (2, (), len(whole))


def test_a_whole_line_of_an_unknown_kind_counts_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole = _write(path, 1)
    path.write_bytes(whole + encode({"kind": "surprise"}))
    assert read(path).damaged == (3,)


def test_a_run_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"cannot read the run file .*none\.jsonl: No such file"):
        read(tmp_path / "none.jsonl")


def test_a_damaged_specification_is_empty_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole = _write(path, 1)
    path.write_bytes(whole.replace(b'"seed":1', b'"seed":2'))
    recorded = read(path)
    assert (recorded.spec, recorded.damaged, len(recorded.evaluations)) == ({}, (1,), 1)


def test_a_strategy_of_an_earlier_version_is_read_as_it_is_written_now(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Ledger.create(path, {**SPEC, "strategy": {"name": "topk", "n_candidates": 7}}):
        pass
    written = json.loads(path.read_text())["strategy"]
    upgraded = read(path).spec["strategy"]
    assert upgraded.items() > written.items()
    assert upgraded.keys() - written.keys() >= {"filling", "retirement", "gradients"}


@pytest.mark.parametrize("path", sorted(DATA.glob("*.jsonl")), ids=lambda path: path.stem)
def test_run_files_of_earlier_versions_are_read_whole(path: Path) -> None:
    recorded = read(path)
    assert recorded.damaged == ()
    assert recorded.size == path.stat().st_size
    assert all({"x", "y", "status"} <= e.keys() for e in recorded.evaluations)
