"""The writer of a run file: JSON lines, append-only, one writer, a checksum on every line.

A line is on disk (flushed and fsynced) before `Ledger.append` returns, so what was paid for is
never lost to a crash. What the lines say is nothing to the ledger; `run_file` reads them.
"""

import errno
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, final

from adaptsample.core import locks
from adaptsample.core.files import BINARY, Record, encode, write_all, write_file
from adaptsample.errors import LedgerBusyError, LedgerError

FORMAT = 2
"""What the first line of a new run file says; `run_file` knows what earlier formats lack."""

PATIENCE = 600.0
"""Seconds for which a full disk is waited for; evaluations that just came in are held meanwhile."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LEAST_SPACE = 1 << 16
_log = logging.getLogger(__name__)


@final
class Ledger:
    """The one writer of a run file. Use it as a context manager, or call `close`.

    Raises:
        LedgerError: when made, another process is writing to the run, or the disk refuses.
    """

    def __init__(self, path: Path, lock: int, size: int) -> None:
        """Append after ``size`` bytes; use `create` or `reopen` instead."""
        self.path = path
        self._lock = lock
        self._size = size
        self._broken = False
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | BINARY)
        if os.fstat(self._file).st_size != size:
            os.ftruncate(self._file, size)  # repair a torn tail before anything follows it
        os.fsync(self._file)  # whoever wrote this may have died before it was on disk

    @classmethod
    def create(cls, path: Path, spec: Record, *, expected_bytes: int = 0) -> Self:
        """Start a run file, replacing one that may be there.

        Args:
            path: the file; its folder is made.
            spec: the first line.
            expected_bytes: how large the file may become.

        Raises:
            LedgerError: the folder cannot be written or is too full, or another process is writing
                to the run.
        """
        first = encode({"kind": "spec", "format": FORMAT, **spec})
        with _locked(path) as lock:
            free = shutil.disk_usage(path.parent).free
            if free < max(expected_bytes, _LEAST_SPACE):
                raise LedgerError(
                    f"{path.parent} has {free:,} bytes left and the run may need "
                    f"{max(expected_bytes, _LEAST_SPACE):,}; make room or choose another folder"
                )
            write_file(path, first)  # at no moment is there half a run file
            return cls(path, lock, len(first))

    @classmethod
    def reopen(cls, path: Path, size: int) -> Self:
        """Continue a run file that was read, unless somebody has written to it since.

        Args:
            path: the file.
            size: bytes up to and including the last complete line that was read.

        Raises:
            LedgerError: another process is writing to the run, has written to it, or the disk
                refuses.
        """
        with _locked(path) as lock:
            with path.open("rb") as file:
                file.seek(size)
                if b"\n" in file.read():
                    raise LedgerBusyError(f"{path} was written to just now; try again")
            return cls(path, lock, size)

    def append(self, records: Iterable[Record]) -> None:
        """Write records; they are on disk when this returns.

        A full disk is waited for, up to `PATIENCE` seconds. After any other error, nothing more is
        written: what a failed fsync left behind cannot be told.

        Raises:
            LedgerError: the records are not on disk.
        """
        if self._broken:
            raise LedgerError(f"{self.path} could not be written before; resume the run")
        lines = b"".join(encode(record) for record in records)
        give_up = time.monotonic() + PATIENCE
        warned = False
        while not self._try_to_append(lines):
            if not warned:
                _log.warning("%s: the disk is full; results are held, make room", self.path)
                warned = True
            if time.monotonic() >= give_up:
                raise LedgerError(
                    f"cannot write the run file {self.path}: the disk is full; make room and resume"
                )
            time.sleep(min(1.0, PATIENCE / 10))

    def close(self) -> None:
        """Close the file and let another process write."""
        os.close(self._file)
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

    def _try_to_append(self, lines: bytes) -> bool:
        """Write and fsync; False, with the file as before, if there is no space."""
        try:
            if os.fstat(self._file).st_size != self._size:
                os.ftruncate(self._file, self._size)  # an interrupt left something behind
            write_all(self._file, lines)
        except OSError as error:
            if error.errno in _FULL and self._cut():
                return False
            self._give_up(error)
        try:
            os.fsync(self._file)
        except OSError as error:
            self._cut()  # nobody may read what was not acknowledged
            self._give_up(error)
        self._size += len(lines)
        return True

    def _cut(self) -> bool:
        """Take back what was not acknowledged, if the disk allows."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            return False
        return True

    def _give_up(self, error: OSError) -> NoReturn:
        self._broken = True
        raise LedgerError(
            f"cannot write the run file {self.path}: {error.strerror}; "
            "nothing more is written to it, resume the run when the disk is sound"
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Take the run's lock, for as long as the process lives; leave it if the ledger is not made."""
    lock = None
    lock_path = path.with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = locks.take(lock_path)
        yield lock
    except BaseException as error:
        if lock is not None:
            os.close(lock)
        elif isinstance(error, BlockingIOError):
            raise LedgerBusyError(
                f"{path} is being written by {locks.holder(lock_path)}; wait for it or stop it"
            ) from None
        if isinstance(error, OSError):
            raise LedgerError(f"cannot write the run file {path}: {error.strerror}") from error
        raise
