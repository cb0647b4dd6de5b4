import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adaptsample.errors import LedgerBusyError, LedgerError
from adaptsample.record.ledger import Ledger
from adaptsample.record.run_file import Recorded, read

SPEC = {"seed": 1}


def _reopened(recorded: Recorded) -> Ledger:
    return Ledger.reopen(recorded.path, recorded.size)


def _write(path: Path, n: int) -> bytes:
    with Ledger.create(path, SPEC) as ledger:
        for i in range(n):
            ledger.append([{"kind": "evaluation", "number": i, "x": [0.1 * i, math.pi / (i + 1)]}])
    return path.read_bytes()


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
        with _reopened(recorded) as ledger:
            ledger.append([{"kind": "evaluation", "number": -1}])
        again = read(path)
        assert [e["number"] for e in again.evaluations] == [*range(complete), -1]
        assert again.damaged == ()


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
    with _reopened(recorded) as ledger:
        ledger.append([{"kind": "evaluation", "number": 2}])
    with pytest.raises(LedgerError, match="written to just now"):
        _reopened(recorded)
    assert len(read(path).evaluations) == 3


def test_nothing_is_written_after_a_failed_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"
    before = _write(path, 2)
    with _reopened(read(path)) as ledger:
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


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot write the run file"):
        Ledger.create(tmp_path / "file" / "run.jsonl", SPEC)


def test_whoever_read_before_somebody_wrote_may_not_append(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    _write(path, 2)
    early = read(path)
    with _reopened(read(path)) as ledger:
        ledger.append([{"kind": "evaluation", "number": 7}])
    before = path.read_bytes()
    with pytest.raises(LedgerBusyError, match="just now"):
        _reopened(early)
    assert path.read_bytes() == before
    _reopened(read(path)).close()
