"""Files that outlive a crash, and lines that say whether they are whole."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
_MARK = b',"checksum":"'


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file, durably: at every moment there is the old one, or the new one, or none.

    Raises:
        OSError: it could not be written; nothing has changed.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        try:
            _write(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the file's name is on disk too
    finally:
        os.close(folder)


def encode(record: Record) -> bytes:
    """Return a record as a line with its checksum."""
    body = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return body[:-1] + _MARK + _checksum(body) + b'"}\n'


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the record, or None if the line is not what was written."""
    head, mark, tail = line.rpartition(_MARK)
    body = head + b"}"
    if not mark or tail != _checksum(body) + b'"}\n':
        return None
    record: dict[str, Any] = json.loads(body.decode("ascii"))
    return record


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8).hexdigest().encode()


def _write(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
