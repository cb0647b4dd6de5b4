"""Workers: their ends are known, nobody else is touched, and nothing of them stays behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptsample import Box
from adaptsample.errors import OverdueError, WorkerLostError
from adaptsample.evaluation.evaluation import Question
from adaptsample.evaluation.spool import work
from adaptsample.evaluation.workers import Processes
from adaptsample.oracles import CommandOracle


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


def test_a_call_that_takes_too_long_ends_what_it_started_in_other_sessions(
    workers: Processes, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"

    def hang() -> None:
        program = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
        pids.write_text(f"{os.getpid()} {program.pid}")
        time.sleep(1000)

    with pytest.raises(OverdueError, match=r"within 0\.3 s"):
        workers.submit_within(0.3, hang).result()
    assert all(_is_gone(int(pid)) for pid in pids.read_text().split())


def test_a_call_ends_itself_when_nobody_is_left_to_end_it(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, time; from pathlib import Path\n"
        "from adaptsample.evaluation.workers import Worker\n"
        "def hang():\n"
        "    program = subprocess.Popen(['/bin/sleep', '1000'], start_new_session=True)\n"
        "    Path('pids.tmp').write_text(f'{os.getpid()} {program.pid}')\n"
        "    os.rename('pids.tmp', 'pids')\n"
        "    time.sleep(1000)\n"
        "Worker().call(hang, timeout=2.0)"
    )
    coordinator = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)  # noqa: S603
    while not (tmp_path / "pids").exists():
        time.sleep(0.01)
    coordinator.kill()
    coordinator.wait()
    assert all(_is_gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_what_is_left_behind_by_a_worker_that_died_does_not_hold_its_line(
    workers: Processes, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"

    def die() -> None:
        if (child := os.fork()) == 0:
            os.setsid()
            time.sleep(1000)
        pid.write_text(str(child))
        os._exit(3)

    with pytest.raises(WorkerLostError, match="exit status 3"):
        workers.submit(die).result()
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_what_is_printed_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def printing() -> str:
        print("from Python")
        os.write(1, b"from a library\n")
        subprocess.run([sys.executable, "-S", "-c", "print('from a program')"], check=True)
        return sys.stdin.read()

    (tmp_path / "sitecustomize.py").write_text("print('from the start', end='')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Processes(1) as executor:
        assert executor.submit(printing).result() == ""
    assert capfd.readouterr().err == "from Python\nfrom a library\nfrom a program\n"


def test_a_large_call_and_a_large_answer_arrive_whole(workers: Processes) -> None:
    content = os.urandom(1 << 22)
    assert workers.submit(lambda x: x[::-1], content).result() == content[::-1]


def test_a_worker_loads_oracles_and_core_only(workers: Processes) -> None:
    box = Box({"x": (0, 1)})
    oracle = CommandOracle([sys.executable, "-S", "-E", "-c", "input(); print(5)"], box)
    question = Question(torch.tensor([0.5], dtype=torch.float64), False, seed=0, asked=1)

    def evaluate() -> Any:
        return work(oracle, question, None), sorted(sys.modules)

    evaluation, modules = workers.submit(evaluate).result()
    assert evaluation.y.tolist() == [5.0]
    wings = {name.split(".")[1] for name in modules if name.startswith("adaptsample.")}
    assert wings == {"core", "errors", "evaluation", "oracles"}
    assert "adaptsample.oracles.command" in modules
    assert not {"sympy", "scipy", "matplotlib", "pandas", "strategies"} & {*modules}
    assert "adaptsample.oracles.expression" not in modules


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


def _is_gone(pid: int) -> bool:
    """Return whether a process ends, for which it needs a moment."""
    for _ in range(2000):
        if not _is_running(pid):
            return True
        time.sleep(0.01)
    return False
