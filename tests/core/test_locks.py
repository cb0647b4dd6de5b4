"""A lock has one holder, who is known, and ends with him."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import portalocker
import pytest

from adaptsample.core import locks

HOLD = (
    "import sys; from pathlib import Path; from adaptsample.core import locks\n"
    "locks.take(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def _holding(path: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(  # noqa: S603  # our own code and path
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_there_is_one_holder_who_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("a name that is longer than the one that comes after it" * 9)
    lock = locks.take(path)
    with pytest.raises(BlockingIOError):
        locks.take(path)
    assert locks.holder(path) == f"process {os.getpid()} on {os.uname().nodename}"
    os.close(lock)
    os.close(locks.take(path))


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holding(path) as process:
        with pytest.raises(BlockingIOError):
            locks.take(path)
        assert locks.holder(path).startswith(f"process {process.pid} on ")
        process.kill()
        process.wait()
        os.close(locks.take(path))


def test_whoever_waits_gets_it_next(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order: list[str] = []

    def wait() -> None:
        lock = locks.take(path, wait=True)
        order.append("got")
        os.close(lock)

    first = locks.take(path)
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.2)
    order.append("released")
    os.close(first)
    thread.join()
    assert order == ["released", "got"]


def test_waiting_goes_on_where_the_system_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [portalocker.AlreadyLocked("ten seconds"), portalocker.AlreadyLocked("ten more")]

    def like_windows(*_: object) -> None:
        if answers:
            raise answers.pop()

    monkeypatch.setattr(locks, "lock", like_windows)
    os.close(locks.take(tmp_path / "lock", wait=True))
    assert answers == []


def test_a_file_system_without_locks_is_told_from_a_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: object) -> None:
        raise portalocker.LockException(OSError(errno.ENOTSUP, "not supported"))

    n_open = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names only
    monkeypatch.setattr(locks, "lock", without)
    with pytest.raises(OSError, match="No locks available") as error:
        locks.take(tmp_path / "lock")
    assert not isinstance(error.value, BlockingIOError)
    assert len(os.listdir("/proc/self/fd")) == n_open  # noqa: PTH208


def test_a_holder_whose_file_cannot_be_read_is_somebody(tmp_path: Path) -> None:
    assert locks.holder(tmp_path / "none") == "another process"
    (tmp_path / "empty").touch()
    assert locks.holder(tmp_path / "empty") == "another process"
