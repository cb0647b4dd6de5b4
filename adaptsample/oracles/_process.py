"""Runs a program: no shell, bounded memory, and nothing of it runs on afterwards."""

import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic
from typing import IO, cast, final

KEPT_BYTES = 1 << 20  # of each stream, the last ones
_GRACE = 2.0  # seconds between asking a program to end and ending it
_LEFT_BEHIND = 0.5  # seconds for reading what a program that has ended left in its pipes
_WATCH = f"""
import os, signal, sys, time
os.read(0, 1)
for number in (signal.SIGTERM, signal.SIGKILL):
    try:
        os.killpg(int(sys.argv[1]), number)
    except OSError:
        break
    time.sleep({_GRACE})
"""


@final
@dataclass(frozen=True)
class Finished:
    """A program that has ended.

    Args:
        status: its exit status; minus the signal's number if a signal ended it.
        stdout: the last ``KEPT_BYTES`` of its standard output.
        stderr: the same of its standard error.
    """

    status: int
    stdout: bytes
    stderr: bytes


def run(arguments: Sequence[str], *, stdin: bytes, folder: Path, timeout: float | None) -> Finished:
    """Run a program in a session of its own and wait for it.

    However this returns, the program's process group is ended: processes that it started and left
    behind too. Also if this process is killed meanwhile.

    Args:
        arguments: the program and its arguments.
        stdin: what it may read.
        folder: its working folder.
        timeout: seconds that it may take; None for no limit.

    Raises:
        OSError: it cannot be started.
        TimeoutError: it took too long.
    """
    deadline = inf if timeout is None else monotonic() + timeout
    with tempfile.TemporaryFile() as request:  # no pipe: who never reads it must not block us
        request.write(stdin)
        request.seek(0)
        process = subprocess.Popen(  # noqa: S603  # no shell
            arguments,
            stdin=request,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
    with process, _lifeline(process):
        try:
            stdout, stderr = _drain(process, deadline)
            status = process.wait(None if timeout is None else max(deadline - monotonic(), 0))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise TimeoutError(f"no answer within {timeout:g} s") from None
        finally:
            _end(process)
    return Finished(status, stdout, stderr)


@contextmanager
def _lifeline(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Have a process group ended if we die, even if we are killed."""
    arguments = [sys.executable, "-I", "-S", "-c", _WATCH, str(process.pid)]
    try:
        # its standard input closes when we are gone: nobody else holds the other end
        watch = subprocess.Popen(  # noqa: S603  # our own code
            arguments, stdin=subprocess.PIPE, start_new_session=True
        )
    except BaseException:
        _signal(process, signal.SIGKILL)
        raise
    with watch:
        try:
            yield
        finally:
            watch.kill()


def _drain(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Read both streams until they close, or their owner has ended; keep the ends of them."""
    out, err = bytearray(), bytearray()
    ended = False
    with selectors.DefaultSelector() as selector:
        selector.register(cast(IO[bytes], process.stdout), selectors.EVENT_READ, out)
        selector.register(cast(IO[bytes], process.stderr), selectors.EVENT_READ, err)
        while selector.get_map():
            if not ended and process.poll() is not None:
                ended, deadline = True, monotonic() + _LEFT_BEHIND
                _signal(process, signal.SIGKILL)  # who was left behind would keep the pipes open
            left = deadline - monotonic()
            if left <= 0 and ended:
                break
            if left <= 0:
                raise TimeoutError
            for key, _ in selector.select(min(left, 0.1)):
                chunk = os.read(key.fd, 1 << 16)
                key.data.extend(chunk)
                del key.data[:-KEPT_BYTES]
                if not chunk:
                    selector.unregister(key.fileobj)
    return bytes(out), bytes(err)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.poll() is None:
            _signal(process, signal.SIGTERM)  # launchers such as mpirun pass it on elsewhere
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
    finally:  # even if we are interrupted meanwhile
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left
        os.killpg(process.pid, number)
