"""Files are whole or as before, and lines say whether they are whole."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptsample.core.files import decode, encode, write_all, write_file

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
RECORDS = st.dictionaries(st.text(), VALUES, min_size=1, max_size=3).filter(
    lambda record: "checksum" not in record
)


@given(RECORDS)
def test_a_record_is_one_line_of_json_and_comes_back_to_the_bit(record: dict[str, Any]) -> None:
    line = encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert line.isascii()
    assert list(json.loads(line)) == [*record, "checksum"]
    assert repr(decode(line)) == repr(record)  # tells -0.0 from 0.0 and 1 from 1.0


def test_a_line_reads_as_it_always_did() -> None:
    line = b'{"kind":"end","x":[0.1,-0.0],"checksum":"c4757547eb9dab9d"}\n'
    assert encode({"kind": "end", "x": [0.1, -0.0]}) == line
    assert decode(line) == {"kind": "end", "x": [0.1, 0.0]}


@given(RECORDS, st.data())
def test_no_changed_byte_goes_unnoticed(record: dict[str, Any], data: st.DataObject) -> None:
    line = bytearray(encode(record))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    assert decode(bytes(line)) is None


@given(RECORDS, st.data())
def test_a_part_of_a_line_is_no_line(record: dict[str, Any], data: st.DataObject) -> None:
    line = encode(record)
    assert decode(line[: data.draw(st.integers(0, len(line) - 1))]) is None


@given(st.binary(max_size=300))
def test_other_bytes_are_no_line(noise: bytes) -> None:
    assert decode(noise) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_cannot_say_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"y": [value]})


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old\r\n")
    assert path.read_bytes() == b"old\r\n"
    write_file(path, b"\x00new\n")
    assert path.read_bytes() == b"\x00new\n"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def _refuse(_: Any, content: Any = b"") -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("function", ["write", "fsync", "replace"])
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, function, _refuse)
        with pytest.raises(OSError, match="Input/output error"):
            write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_content_and_then_the_name_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    synced: list[tuple[str, bytes]] = []
    fsync = os.fsync

    def noted(file: int) -> None:
        name = Path(f"/proc/self/fd/{file}").readlink().name
        synced.append((name, path.read_bytes()))
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    write_file(path, b"new")
    (first, before), (second, after) = synced
    assert first.startswith("file.")
    assert (second, before, after) == (tmp_path.name, b"old", b"new")


def test_all_is_written_though_the_system_takes_a_few_bytes_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, bytes(content[:3])))
    with (tmp_path / "file").open("wb", buffering=0) as file:
        write_all(file.fileno(), b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"
