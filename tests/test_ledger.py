import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptsample.ledger import Ledger, LedgerError, read

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
        "import sys; from pathlib import Path; from adaptsample.ledger import Ledger, LedgerError\n"
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


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot write the run file"):
        Ledger.create(tmp_path / "file" / "run.jsonl", SPEC)
