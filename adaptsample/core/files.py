"""Files that outlive a crash, and lines that say whether they are whole."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

Record: TypeAlias = Mapping[str, Any]
BINARY = getattr(os, "O_BINARY", 0)
"""For `os.open`: Windows would translate line ends."""

_MARK = b',"checksum":"'


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file, durably: at every moment there is the old one, or the new one, or none.

    Raises:
        OSError: it could not be written; nothing has changed.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY, 0o644)
    try:
        try:
            write_all(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if os.name != "nt":  # Windows opens no folders
        _sync(path.parent)  # the file's name is on disk too


def write_all(file: int, content: bytes) -> None:
    """Write all of the content to an open file, however often it takes.

    Raises:
        OSError: it could not be written; a part of it may be.
    """
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def encode(record: Record) -> bytes:
    """Return a record as a line with its checksum.

    Raises:
        ValueError: a number that is not finite, which JSON cannot say.
    """
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


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
