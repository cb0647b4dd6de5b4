"""Results in the spool: found once, paid once, and never lost on their way home."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from adaptsample import Box
from adaptsample.core import locks
from adaptsample.errors import LedgerError
from adaptsample.evaluation.evaluation import Evaluation, Question, Status
from adaptsample.evaluation.spool import Spool, work
from adaptsample.evaluation.workers import StoppedError

BOX = Box({"x": (0, 1)})


class _Counting:
    """Answers half of x, or raises, and counts how often."""

    domain, n_outputs = BOX, 1

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.n_calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.n_calls += 1
        if self.error is not None:
            raise self.error
        return x / 2


def _question(x: float = 0.3, *, asked: int = 7, attempt: int = 1) -> Question:
    point = torch.tensor([x], dtype=torch.float64)
    return Question(point, False, seed=0, asked=asked, round=2, attempt=attempt)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "run.spool")
    spool.open(recorded=set())
    return spool


def _names(spool: Spool) -> list[str]:
    return sorted(path.name for path in spool.folder.iterdir())


def test_a_kept_result_is_found_to_the_bit_by_its_question_alone(spool: Spool) -> None:
    question = _question(1 / 3)
    spool.keep(question, question.answered(Evaluation(question.x, question.x / 7)))
    found = spool.find(question)
    assert found is not None
    assert found.y is not None
    assert (found.y.item(), found.asked, found.round) == ((1 / 3) / 7, 7, 2)
    assert spool.find(_question(1 / 3, asked=8)) is None
    assert spool.find(_question(1 / 3, attempt=2)) is None
    assert spool.find(_question(0.4)) is None  # of a run that was here before


def test_every_damaged_byte_of_a_result_makes_it_none(spool: Spool) -> None:
    question = _question()
    spool.keep(question, Evaluation(question.x, question.x))
    path = spool.folder / "7-1.json"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert spool.find(question) is None
        path.write_bytes(whole[:place])
        assert spool.find(question) is None
    path.write_bytes(whole)
    assert spool.find(question) is not None


def test_an_oracle_is_paid_once_for_a_question(spool: Spool) -> None:
    oracle = _Counting()
    first, again = (work(oracle, _question(), spool) for _ in range(2))
    assert oracle.n_calls == 1
    assert first.y is not None
    assert again.y is not None
    assert first.y.tolist() == again.y.tolist() == [0.15]
    spool.forget(_question())
    work(oracle, _question(), spool)
    assert oracle.n_calls == 2


def test_a_failure_is_a_result_too(spool: Spool) -> None:
    oracle = _Counting(ValueError("no mesh"))
    first, again = (work(oracle, _question(), spool) for _ in range(2))
    assert oracle.n_calls == 1
    assert (first.status, first.message) == (again.status, again.message)
    assert (again.status, again.message) == (Status.FAILED, "ValueError: no mesh")


def test_without_a_spool_a_question_is_answered_all_the_same() -> None:
    oracle = _Counting(KeyboardInterrupt("not here"))
    answer = work(oracle, _question(), None)
    assert (answer.status, answer.message) == (Status.FAILED, "KeyboardInterrupt: not here")


def test_a_worker_that_is_stopped_leaves_no_result(spool: Spool) -> None:
    with pytest.raises(StoppedError):
        work(_Counting(StoppedError()), _question(), spool)
    assert _names(spool) == ["7-1.lock"]
    os.close(locks.take(spool.folder / "7-1.lock"))  # and the question is free


def test_who_asks_what_is_being_answered_waits_for_the_result(spool: Spool) -> None:
    started, go_on = threading.Event(), threading.Event()

    class Slow(_Counting):
        def __call__(self, x: Tensor) -> Tensor:
            started.set()
            go_on.wait()
            return super().__call__(x)

    slow, other = Slow(), _Counting()
    answers: dict[str, Evaluation] = {}
    threads = [
        threading.Thread(target=lambda n=n, o=o: answers.update({n: work(o, _question(), spool)}))  # type: ignore[misc]
        for n, o in (("slow", slow), ("other", other))
    ]
    threads[0].start()
    started.wait()
    threads[1].start()
    threads[1].join(0.2)
    assert answers == {}
    go_on.set()
    for thread in threads:
        thread.join()
    assert (slow.n_calls, other.n_calls) == (1, 0)
    assert answers["other"].y is not None
    assert answers["other"].y.tolist() == [0.15]


def test_other_questions_are_answered_meanwhile(spool: Spool) -> None:
    with spool.claim(_question()):
        assert work(_Counting(), _question(asked=8), spool).status is Status.OK


def test_a_disk_that_refuses_loses_no_result(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", refuse)
    assert work(_Counting(), _question(), spool).status is Status.OK
    assert _names(spool) == ["7-1.lock"]


def test_where_the_folder_is_not_there_nothing_is_kept_and_nothing_lost(tmp_path: Path) -> None:
    oracle = _Counting()
    spool = Spool(tmp_path / "elsewhere")
    assert work(oracle, _question(), spool).status is Status.OK
    assert work(oracle, _question(), spool).status is Status.OK
    assert oracle.n_calls == 2
    assert not spool.folder.exists()


def test_results_that_are_in_the_run_file_are_removed_when_it_is_opened(spool: Spool) -> None:
    for asked, attempt in ((7, 1), (7, 2), (8, 1)):
        work(_Counting(), _question(asked=asked, attempt=attempt), spool)
    (spool.folder / "notes.json").touch()
    spool.open(recorded={(7, 1), (8, 1), (9, 1)})
    assert _names(spool) == ["7-2.json", "7-2.lock", "notes.json"]


def test_a_spool_goes_when_it_is_empty(spool: Spool) -> None:
    work(_Counting(), _question(), spool)
    spool.close()
    assert spool.folder.is_dir()
    spool.forget(_question())
    spool.close()
    assert not spool.folder.exists()


def test_nothing_is_cleared_while_somebody_evaluates_and_he_is_named(spool: Spool) -> None:
    work(_Counting(), _question(asked=8), spool)
    with spool.claim(_question()), pytest.raises(LedgerError) as error:
        spool.clear()
    assert f"process {os.getpid()} on " in str(error.value)
    assert "still evaluates for the run that was here" in str(error.value)
    assert _names(spool) == ["7-1.lock", "8-1.json", "8-1.lock"]
    spool.clear()
    assert not spool.folder.exists()
