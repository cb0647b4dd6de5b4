"""Programs, each of which can be ended with all that it has started.

On POSIX systems a program gets a session of its own. What it starts is in its process group, also
when the program is no more; who has left the group is found by descent, while all ancestors live.
Windows knows descent alone, and no way of asking a program to end.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, final

import psutil

_IS_POSIX = os.name == "posix"
_OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # what Windows has of a session


def start(arguments: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a program that does not share our terminal's signals.

    Args:
        arguments: the program and its arguments; there is no shell.
        options: of `subprocess.Popen`.

    Raises:
        OSError: it cannot be started.
    """
    return subprocess.Popen(  # noqa: S603  # no shell
        arguments, start_new_session=True, creationflags=_OWN_GROUP, **options
    )


@final
class Tree:
    """A program that `start` started, with all that it has started.

    Args:
        root: the program's process number.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._others: set[int] = set()  # groups of those who have left the program's
        self._process: psutil.Process | None = None  # is never taken for a later one of its number
        with suppress(psutil.Error):
            self._process = psutil.Process(root)

    def terminate(self) -> None:
        """Ask the program and its group to end; who has left the group is remembered for `kill`."""
        if _IS_POSIX:
            self._look()
            _signal(self._root, signal.SIGTERM)
        else:
            self.kill()

    def kill(self) -> None:
        """End all of them; on POSIX systems also those left behind by a program that has ended."""
        if _IS_POSIX:
            self._look()
            for group in [*self._others, self._root]:  # at last who may be ourselves
                _signal(group, signal.SIGKILL)
        else:
            for process in self._alive():
                with suppress(psutil.Error):
                    process.kill()

    def _look(self) -> None:
        for process in self._alive():
            with suppress(ProcessLookupError, PermissionError):
                self._others.add(os.getpgid(process.pid))
        self._others.discard(self._root)

    def _alive(self) -> list[psutil.Process]:
        """Return the program's descendants and the program; none, once it has ended."""
        with suppress(psutil.Error):
            if self._process is not None and self._process.is_running():
                return [*self._process.children(recursive=True), self._process]
        return []


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left
        os.killpg(group, number)
