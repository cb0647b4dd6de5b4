"""A session of ask and tell: what a line of results may be, and who waits for whom."""

import io
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptsample import Box, Sampler
from adaptsample.cli import session
from adaptsample.errors import LedgerBusyError, LedgerError
from adaptsample.record.run_file import read

BOUNDS = {"x": (0.0, 1.0), "y": (-2.0, 3.0)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file of a run that was just created."""
    session.create(tmp_path / "a", BOUNDS, surrogate="polynomial", strategy="random")
    return tmp_path / "a"


def test_what_was_written_and_set_is_on_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "b"
    session.create(path, BOUNDS, surrogate="auto()", strategy="topk", n_initial=7, design="uniform")
    spec = read(path).spec
    assert spec["as_written"] == {"surrogate": "auto()", "strategy": "topk"}
    assert (spec["n_initial"], spec["design"], spec["seed"]) == (7, "uniform", 0)
    assert spec["oracle"] is None


def test_a_run_is_not_created_twice_nor_as_its_own_lock(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="is there already"):
        session.create(path, BOUNDS, surrogate="polynomial", strategy="random")
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="own lock file"):
        session.create(path.with_name("a.lock"), BOUNDS, surrogate="polynomial", strategy="random")


def test_a_run_that_is_not_there_is_told_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"`adaptsample create .*a --bound \.\.\.` starts one"):
        session.open_file(tmp_path / "a")


def test_lines_come_whole_and_a_last_one_without_its_end_too() -> None:
    stream = io.BytesIO(b"one\ntwo\n\nthree")
    assert [line for lines in session.lines_as_they_come(stream) for line in lines] == [
        b"one",
        b"two",
        b"",
        b"three",
    ]


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_LONGEST_LINE", 10)
    with pytest.raises(ValueError, match="longer than 10 bytes"):
        list(session.lines_as_they_come(io.BytesIO(b"x" * 11)))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=80), st.fixed_dictionaries({"x": _JSON, "y": _JSON, "error": _JSON}))
def test_any_line_is_recorded_or_refused(noise: bytes, result: dict[str, Any]) -> None:
    sampler = Sampler(Box({"x": (0, 1)}))
    lines = [noise, json.dumps(result).encode(), b'{"x": [0.5], "y": 1}']
    outcomes = [told.outcome for told in session.tell(sampler, lines, first=1)]
    assert set(outcomes[:-1]) <= {"recorded", "failed", "refused"}
    assert outcomes[-1] in ("recorded", "known", "refused")  # refused if y had two numbers before
    assert len(sampler.evaluations) == len([o for o in outcomes if o in ("recorded", "failed")])


def test_shells_at_the_same_time_get_different_points(path: Path) -> None:

    def work(worker: int) -> list[list[float]]:
        points = []
        for _ in range(4):
            with session.opened(path, on_wait=print) as sampler:
                mine = [request["x"] for request in session.ask(sampler, 2)]
            with session.opened(path, on_wait=print) as sampler:
                line = json.dumps({"x": mine[0], "y": worker}).encode()
                assert [t.outcome for t in session.tell(sampler, [line], first=1)] == ["recorded"]
            points += mine
        return points

    with ThreadPoolExecutor(4) as pool:
        points = [tuple(x) for some in pool.map(work, range(4)) for x in some]
    assert len(points) == len(set(points)) == 32
    recorded = read(path)
    assert recorded.damaged == ()
    assert len(recorded.evaluations) == len(recorded.pending) == 16


def test_whoever_waits_is_told_for_whom(path: Path) -> None:
    said: list[str] = []
    released = threading.Event()
    with session.opened(path, on_wait=print):
        with pytest.raises(LedgerBusyError, match="being written by process"):
            Sampler(
                Box({"x": (0, 1), "y": (-2, 3)}),
                strategy="random",
                surrogate="polynomial",
                run_file=path,
                existing="resume",
            )

        def wait() -> None:
            def on_wait(text: str) -> None:
                said.append(text)
                released.set()

            with session.opened(path, on_wait=on_wait):
                pass

        waiter = threading.Thread(target=wait)
        waiter.start()
        assert released.wait(30)
    waiter.join()
    assert f"being written by process {os.getpid()}" in said[0]
