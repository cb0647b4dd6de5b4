"""The durable record of a run: JSON lines, append-only, one writer, a checksum on every line.

A line is on disk (flushed and fsynced) before `Ledger.append` returns, so what was paid for is
never lost to a crash. Kinds of line: ``spec`` first, then ``evaluation``, ``round`` and ``end``.
"""

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

FORMAT = 1
Record = Mapping[str, Any]
_MARK = ',"checksum":"'
_MAY_DIFFER = ("kind", "format", "budget", "versions", "commit")


class LedgerError(ValueError):
    """A run file that cannot be used; the message names the file and the remedy."""


@final
@dataclass(frozen=True)
class Recorded:
    """What a run file says.

    Args:
        path: the file.
        spec: everything needed to repeat the run.
        evaluations: the evaluation lines, in order.
        rounds: the round lines, in order.
        end: the last line, if the run ended.
        damaged: numbers (from 1) of complete lines whose checksum does not fit; they are left out.
        size: bytes up to and including the last complete line; what follows is a torn tail.
    """

    path: Path
    spec: Record
    evaluations: tuple[Record, ...]
    rounds: tuple[Record, ...]
    end: Record | None
    damaged: tuple[int, ...]
    size: int

    def difference(self, spec: Record) -> str:
        """Say where another specification differs, budget and versions aside; empty if nowhere."""
        for key in sorted({*spec, *self.spec} - {*_MAY_DIFFER}):
            old, new = self.spec.get(key), spec.get(key)
            if old != new:
                return f"{key} is {old!r} there and {new!r} now"
        return ""


def read(path: Path) -> Recorded:
    """Read a run file, whether or not somebody is writing to it.

    Raises:
        LedgerError: no run file, a damaged first line, or a format newer than this library.
    """
    kinds: dict[str, list[Record]] = {"spec": [], "evaluation": [], "round": [], "end": []}
    damaged: list[int] = []
    size = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break  # a torn tail: never acknowledged
            size += len(line)
            record = _decode(line)
            if record is None or record.get("kind") not in kinds:
                damaged.append(number)
            else:
                kinds[record["kind"]].append(record)
    if not kinds["spec"]:
        raise LedgerError(f"{path} is no run file (its first line is missing or damaged)")
    spec = kinds["spec"][0]
    if spec["format"] > FORMAT:
        raise LedgerError(
            f"{path} has format {spec['format']}, this version reads up to {FORMAT}; "
            "update adaptsample"
        )
    return Recorded(
        path=path,
        spec=spec,
        evaluations=tuple(kinds["evaluation"]),
        rounds=tuple(kinds["round"]),
        end=kinds["end"][-1] if kinds["end"] else None,
        damaged=tuple(damaged),
        size=size,
    )


@final
class Ledger:
    """The one writer of a run file. Use it as a context manager, or call `close`."""

    def __init__(self, path: Path, size: int) -> None:
        """Open for appending after ``size`` bytes; use `create` or `reopen` instead."""
        self.path = path
        self._lock = _lock(path)
        self._file = path.open("ab")
        if self._file.tell() != size:
            self._file.truncate(size)  # repair a torn tail before anything is appended to it
            self._sync()

    @classmethod
    def create(cls, path: Path, spec: Record) -> Self:
        """Start a run file, replacing one that may be there.

        Raises:
            LedgerError: the folder cannot be written, or another process is writing to the run.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            ledger = cls(path, 0)
        except OSError as error:
            raise LedgerError(f"cannot write the run file {path}: {error.strerror}") from error
        ledger.append([{"kind": "spec", "format": FORMAT, **spec}])
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the file's name is on disk too
        finally:
            os.close(folder)
        return ledger

    @classmethod
    def reopen(cls, recorded: Recorded) -> Self:
        """Continue a run file that was read."""
        return cls(recorded.path, recorded.size)

    def append(self, records: Iterable[Record]) -> None:
        """Write records; they are on disk when this returns."""
        self._file.write(b"".join(_encode(record) for record in records))
        self._sync()

    def close(self) -> None:
        """Close the file and let another process write."""
        self._file.close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _encode(record: Record) -> bytes:
    body = json.dumps(record, separators=(",", ":"), allow_nan=False)
    return f'{body[:-1]}{_MARK}{_checksum(body)}"}}\n'.encode()


def _decode(line: bytes) -> dict[str, Any] | None:
    """Return the record, or None if the line is not what was written."""
    try:
        head, mark, tail = line.decode("ascii").rpartition(_MARK)
    except UnicodeDecodeError:
        return None
    body = head + "}"
    if not mark or tail != f'{_checksum(body)}"}}\n':
        return None
    record: dict[str, Any] = json.loads(body)
    return record


def _checksum(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()


def _lock(path: Path) -> int:
    """Take the operating system's lock on the run; it is released whenever the process ends."""
    lock_path = path.with_suffix(".lock")
    lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        owner = lock_path.read_text() or "another process"
        raise LedgerError(f"{path} is being written by {owner}; wait for it or stop it") from None
    os.truncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return lock
