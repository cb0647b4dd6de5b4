"""A program ends with all that it has started, wherever that has gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from adaptsample.core.processes import Tree, start

FAMILY = """\
import os, signal, sys, time
def note(name):
    with open(name + ".tmp", "w") as file:
        file.write(str(os.getpid()))
    os.rename(name + ".tmp", name)
signal.signal(signal.SIGTERM, ON_TERM)
if os.fork() == 0:  # in our group
    note("child")
    time.sleep(1000)
if os.fork() == 0:  # in a session of its own, with a child there
    os.setsid()
    note("apart")
    if os.fork() == 0:
        note("below")
    time.sleep(1000)
if os.fork() == 0:  # without a parent
    if os.fork() == 0:
        note("orphan")
        time.sleep(1000)
    os._exit(0)
note("root")
time.sleep(1000)
"""
NAMES = ("root", "child", "apart", "below", "orphan")


@pytest.fixture
def family(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[bytes]"]:
    code = FAMILY.replace("ON_TERM", request.param)
    process = start([sys.executable, "-S", "-E", "-c", code], cwd=tmp_path)
    yield process
    for name in NAMES:  # whatever the test has shown
        if _is_alive(tmp_path, name):
            os.kill(_number(tmp_path, name), signal.SIGKILL)
    process.wait()


def _number(folder: Path, name: str) -> int:
    while not (folder / name).exists():
        time.sleep(0.01)
    return int((folder / name).read_text())


def _is_alive(folder: Path, name: str) -> bool:
    try:
        return psutil.Process(_number(folder, name)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _left(folder: Path, expected: set[str]) -> set[str]:
    """Return who is alive, once the others have had the time to go."""
    for _ in range(1000):
        alive = {name for name in NAMES if _is_alive(folder, name)}
        if alive <= expected:
            break
        time.sleep(0.01)
    return alive


@pytest.mark.parametrize("family", ["signal.SIG_IGN"], indirect=True)
def test_all_end_wherever_they_are(family: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    tree = Tree(family.pid)
    assert _left(tmp_path, set(NAMES)) == set(NAMES)
    tree.kill()
    assert family.wait() == -signal.SIGKILL
    assert _left(tmp_path, set()) == set()


@pytest.mark.parametrize("family", ["lambda *_: os._exit(5)"], indirect=True)
def test_who_has_left_the_group_is_remembered_when_the_program_does_as_it_is_asked(
    family: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    tree = Tree(family.pid)
    assert _left(tmp_path, set(NAMES)) == set(NAMES)
    tree.terminate()
    assert family.wait() == 5
    assert _left(tmp_path, {"apart", "below"}) == {"apart", "below"}
    tree.kill()
    assert _left(tmp_path, set()) == set()


@pytest.mark.parametrize("family", ["signal.SIG_IGN"], indirect=True)
def test_an_ended_program_s_group_ends_and_those_who_left_it_are_out_of_reach(
    family: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    tree = Tree(family.pid)
    assert _left(tmp_path, set(NAMES)) == set(NAMES)
    family.kill()
    family.wait()
    tree.kill()
    assert _left(tmp_path, {"apart", "below"}) == {"apart", "below"}


def test_an_ended_program_can_be_ended_again() -> None:
    process = start([sys.executable, "-S", "-E", "-c", ""])
    process.wait()
    tree = Tree(process.pid)
    tree.terminate()
    tree.kill()
    assert process.returncode == 0


def test_a_program_does_not_share_our_terminal_s_signals() -> None:
    code = "import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))"
    process = start([sys.executable, "-S", "-E", "-c", code], stdout=subprocess.PIPE)
    assert process.communicate()[0] == b"True\n"
