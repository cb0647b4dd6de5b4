"""One holder at a time: locks of the operating system, which end with the process that holds them.

A lock lies on a file that says who holds it. Nothing is left to clean up after a crash.
"""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from portalocker import AlreadyLocked, LockException, LockFlags, lock


def take(path: Path, *, wait: bool = False) -> int:
    """Lock a file, which is made if it is not there; closing what is returned unlocks it.

    Args:
        path: the file.
        wait: until nobody else holds the lock, instead of raising.

    Returns:
        The file's descriptor.

    Raises:
        BlockingIOError: another holds the lock; `holder` says who.
        OSError: the file cannot be opened, or its file system has no locks.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(file, wait)
        with suppress(OSError), open(file, "w", closefd=False) as text:  # no path
            text.truncate(0)
            text.write(f"process {os.getpid()} on {socket.gethostname()}")
    except BaseException:
        os.close(file)
        raise
    return file


def holder(path: Path) -> str:
    """Return who holds the lock, as in "process 42 on some-host"."""
    try:
        return path.read_text() or "another process"
    except OSError:  # Windows lets nobody read what is locked
        return "another process"


def _lock(file: int, wait: bool) -> None:
    flags = LockFlags.EXCLUSIVE if wait else LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING
    while True:
        try:
            lock(file, flags)
        except AlreadyLocked:
            if not wait:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
            continue  # Windows waits for ten seconds only
        except LockException:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)) from None
        return
