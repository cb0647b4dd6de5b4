import errno
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptsample.errors import LedgerBusyError, LedgerError
from adaptsample.record.ledger import Ledger
from adaptsample.record.run_file import read

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


def test_every_line_is_json_for_others_to_read(tmp_path: Path) -> None:
    lines = _write(tmp_path / "run.jsonl", 3).decode().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["spec", *["evaluation"] * 3]


def test_a_ledger_cut_at_every_byte_keeps_all_complete_records_and_takes_more(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.jsonl"
    whole = _write(path, 6)
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        complete = whole[:cut].count(b"\n") - 1
        recorded = read(path)
        assert len(recorded.evaluations) == complete
        with Ledger.reopen(recorded) as ledger:
            ledger.append([{"kind": "evaluation", "number": -1}])
        again = read(path)
        assert [e["number"] for e in again.evaluations] == [*range(complete), -1]
        assert again.damaged == ()


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


def test_a_second_writer_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    code = (
        "import sys; from pathlib import Path\n"
        "from adaptsample.errors import LedgerError; from adaptsample.record.ledger import Ledger\n"
        "try: Ledger.create(Path(sys.argv[1]), {})\n"
        "except LedgerError as error: print(error)"
    )
    with Ledger.create(path, SPEC) as ledger:
        ledger.append([{"kind": "evaluation", "number": 1}])
        before = path.read_bytes()
        second = subprocess.run(  # noqa: S603  # our own code and path
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
    assert "being written by process" in second.stdout
    assert path.read_bytes() == before


def test_lines_of_a_writer_who_came_between_are_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    _write(path, 2)
    recorded = read(path)
    with Ledger.reopen(recorded) as ledger:
        ledger.append([{"kind": "evaluation", "number": 2}])
    with pytest.raises(LedgerError, match="written to just now"):
        Ledger.reopen(recorded)
    assert len(read(path).evaluations) == 3


def test_nothing_is_written_after_a_failed_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"
    before = _write(path, 2)
    with Ledger.reopen(read(path)) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr("adaptsample.record.ledger.os.fsync", _refuse)
            with pytest.raises(LedgerError, match="Input/output error; nothing more is written"):
                ledger.append([{"kind": "evaluation", "number": 3}])
        with pytest.raises(LedgerError, match="resume the run"):
            ledger.append([{"kind": "evaluation", "number": 4}])
    assert path.read_bytes() == before


def _refuse(_: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_run_file_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"
    before = _write(path, 2)
    monkeypatch.setattr("adaptsample.record.ledger.os.fsync", _refuse)
    with pytest.raises(LedgerError, match="cannot write the run file"):
        Ledger.create(path, {"seed": 2})
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"run.jsonl", "run.lock"}


def test_an_end_that_was_gone_beyond_is_no_end(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Ledger.create(path, SPEC) as ledger:
        ledger.append([{"kind": "end", "status": "done"}])
        assert read(path).end is not None
        ledger.append([{"kind": "evaluation", "number": 1}])
    assert read(path).end is None


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot write the run file"):
        Ledger.create(tmp_path / "file" / "run.jsonl", SPEC)


def test_whoever_read_before_somebody_wrote_may_not_append(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    _write(path, 2)
    early = read(path)
    with Ledger.reopen(read(path)) as ledger:
        ledger.append([{"kind": "evaluation", "number": 7}])
    before = path.read_bytes()
    with pytest.raises(LedgerBusyError, match="just now"):
        Ledger.reopen(early)
    assert path.read_bytes() == before
    Ledger.reopen(read(path)).close()


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
