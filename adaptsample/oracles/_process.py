"""Runs a program: no shell, bounded memory, and nothing of it runs on afterwards."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import IO, cast, final

from adaptsample.core.processes import Tree, start

KEPT_BYTES = 1 << 20  # of each stream, the last ones
_GRACE = 2.0  # seconds between asking a program to end and ending it
_LEFT_BEHIND = 0.5  # seconds for reading what a program that has ended left in its pipes
_WATCH = f"""
import os, signal, subprocess, sys, time
os.read(0, 1)
if os.name == "nt":
    subprocess.run(["taskkill", "/F", "/T", "/PID", sys.argv[1]])
    sys.exit()
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

    However this returns, all that the program started is ended: on POSIX systems also processes
    that it left behind in its group. Also if this process is killed meanwhile.

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
        process = start(
            arguments, stdin=request, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder
        )
    tree = Tree(process.pid)
    out, err = _Tail(process.stdout), _Tail(process.stderr)
    with _lifeline(process, tree):
        try:
            _wait_for_end(process, tree, [out, err], deadline)
            status = process.wait(None if timeout is None else max(deadline - monotonic(), 0))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise TimeoutError(f"no answer within {timeout:g} s") from None
        finally:
            _end(process, tree)
            out.is_over = err.is_over = True
    return Finished(status, bytes(out.kept), bytes(err.kept))


@final
class _Tail(Thread):
    """Reads a stream and keeps the end of it.

    A thread, for not all systems can wait for a pipe in another way. It closes the stream itself:
    someone who has left the program may hold the other end, and say nothing for ever.
    """

    def __init__(self, stream: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        self.kept = bytearray()
        self.is_over = False
        self._stream = cast(IO[bytes], stream)
        self.start()

    def run(self) -> None:
        with self._stream as stream:
            while not self.is_over and (chunk := os.read(stream.fileno(), 1 << 16)):
                self.kept.extend(chunk)
                del self.kept[:-KEPT_BYTES]


@contextmanager
def _lifeline(process: "subprocess.Popen[bytes]", tree: Tree) -> Iterator[None]:
    """Have a program ended if we die, even if we are killed."""
    arguments = [sys.executable, "-I", "-S", "-c", _WATCH, str(process.pid)]
    try:
        # its standard input closes when we are gone: nobody else holds the other end
        watch = start(arguments, stdin=subprocess.PIPE)
    except BaseException:
        tree.kill()
        process.wait()
        raise
    with watch:
        try:
            yield
        finally:
            watch.kill()


def _wait_for_end(
    process: "subprocess.Popen[bytes]", tree: Tree, tails: Sequence[_Tail], deadline: float
) -> None:
    """Wait until both streams are closed, or until their owner has ended."""
    ended = False
    while reading := [tail for tail in tails if tail.is_alive()]:
        if not ended and process.poll() is not None:
            ended, deadline = True, monotonic() + _LEFT_BEHIND
            tree.kill()  # who was left behind would keep the pipes open
        left = deadline - monotonic()
        if left <= 0 and ended:
            return
        if left <= 0:
            raise TimeoutError
        reading[0].join(min(left, 0.1))


def _end(process: "subprocess.Popen[bytes]", tree: Tree) -> None:
    try:
        if process.poll() is None:
            tree.terminate()  # launchers such as mpirun pass it on elsewhere
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
    finally:  # even if we are interrupted meanwhile
        tree.kill()
        process.wait()
