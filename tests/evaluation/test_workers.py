"""Workers: their ends are known, nobody else is touched, and nothing of them stays behind."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adaptsample.errors import OverdueError, WorkerLostError
from adaptsample.evaluation.workers import Processes


@pytest.fixture(scope="module")
def workers() -> Iterator[Processes]:
    with Processes(2) as executor:
        yield executor


def test_a_function_of_the_test_runs_elsewhere(workers: Processes) -> None:
    def where(x: int) -> tuple[int, int, int]:
        return x, os.getpid(), os.getpgid(0)

    x, process, group = workers.submit(where, x=3).result()
    assert x == 3
    assert process != os.getpid()
    assert group == process  # a process group of its own


def test_the_time_to_import_what_is_called_is_not_the_call_s() -> None:
    class SlowToLoad:
        def __reduce__(self) -> tuple[Any, ...]:
            return (lambda: time.sleep(3) or abs), ()

    with Processes(1) as executor:
        assert executor.submit_within(2.0, SlowToLoad(), -5).result() == 5  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_fails_its_call_and_no_other(
    workers: Processes, number: signal.Signals
) -> None:
    def die() -> None:
        os.kill(os.getpid(), number)

    dead, alive = workers.submit(die), workers.submit(pow, 2, 5)
    with pytest.raises(WorkerLostError, match=f"by signal {int(number)}"):
        dead.result()
    assert alive.result() == 32
    assert workers.submit(pow, 3, 2).result() == 9


def test_the_exit_status_of_a_worker_is_told(workers: Processes) -> None:
    with pytest.raises(WorkerLostError, match="exit status 3"):
        workers.submit(os._exit, 3).result()


def test_a_call_that_takes_too_long_ends_with_all_that_it_started(
    workers: Processes, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"

    def hang() -> None:
        program = subprocess.Popen(["/bin/sleep", "1000"])
        pids.write_text(f"{os.getpid()} {program.pid}")
        time.sleep(1000)

    with pytest.raises(OverdueError, match=r"within 0\.3 s"):
        workers.submit_within(0.3, hang).result()
    assert not any(_is_running(int(pid)) for pid in pids.read_text().split())


def test_what_a_call_raises_comes_back_as_text(workers: Processes) -> None:
    def refuse() -> Any:
        raise KeyboardInterrupt("not here")

    with pytest.raises(RuntimeError, match="KeyboardInterrupt: not here"):
        workers.submit(refuse).result()


def test_there_must_be_a_worker() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Processes(0)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
