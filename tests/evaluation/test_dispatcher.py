"""Questions in, answers out: in order here, as they arrive elsewhere, and never a loss."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from adaptsample import Box
from adaptsample.errors import ExecutorError, OverdueError, WorkerLostError
from adaptsample.evaluation.dispatcher import Dispatcher
from adaptsample.evaluation.evaluation import Evaluation, Question, Status
from adaptsample.evaluation.spool import Spool, work
from adaptsample.oracles import FunctionOracle

BOX = Box({"x": (0, 1)})


class _Noting:
    """Answers x, and notes each call's points."""

    domain, n_outputs = BOX, 1

    def __init__(self) -> None:
        self.calls: list[list[float]] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.calls.append(x[:, 0].tolist())
        return x


class _Free(_Noting):
    @property
    def exact(self) -> "_Free":
        return self


def _question(asked: int, attempt: int = 1) -> Question:
    x = torch.tensor([asked / 10], dtype=torch.float64)
    return Question(x, False, seed=0, asked=asked, attempt=attempt)


class _Manual(Executor):
    """Does what the test says, when the test says it."""

    def __init__(self) -> None:
        self.futures: dict[int, Future[Any]] = {}
        self.calls: dict[int, Callable[[], Any]] = {}
        self.broken: BaseException | None = None

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        if self.broken is not None:
            raise self.broken
        question = next(a for a in args if isinstance(a, Question))
        future: Future[Any] = Future()
        self.futures[question.asked] = future
        self.calls[question.asked] = lambda: fn(*args)
        return future

    def finish(self, asked: int) -> None:
        self.futures[asked].set_result(self.calls[asked]())

    def fail(self, asked: int, error: BaseException) -> None:
        self.futures[asked].set_exception(error)


def _collected(dispatcher: Dispatcher) -> list[tuple[int, Status, str]]:
    return [(q.asked, e.status, e.message) for q, e in dispatcher.collect()]


def test_here_each_result_comes_before_the_next_is_paid() -> None:
    oracle = _Noting()
    dispatcher = Dispatcher(oracle, None, None)
    assert not dispatcher.needs_spool
    for i in (3, 1, 2):
        dispatcher.submit(_question(i))
    assert _collected(dispatcher) == [(3, Status.OK, "")]
    assert oracle.calls == [[0.3]]
    assert _collected(dispatcher) == [(1, Status.OK, "")]
    assert dispatcher.is_waiting
    assert _collected(dispatcher) == [(2, Status.OK, "")]
    assert not dispatcher.is_waiting


def test_an_oracle_that_costs_nothing_is_asked_all_at_once_and_here() -> None:
    oracle = _Free()
    dispatcher = Dispatcher(oracle, _Manual(), 3.0)
    assert not dispatcher.needs_spool
    for i in (3, 1, 2):
        dispatcher.submit(_question(i))
    assert [asked for asked, _, _ in _collected(dispatcher)] == [3, 1, 2]
    assert oracle.calls == [[0.3, 0.1, 0.2]]


def test_an_interrupted_question_stays_open() -> None:
    class Interrupted(_Noting):
        def __call__(self, x: Tensor) -> Tensor:
            if not self.calls:
                super().__call__(x)
                raise KeyboardInterrupt
            return super().__call__(x)

    dispatcher = Dispatcher(Interrupted(), None, None)
    dispatcher.submit(_question(1))
    with pytest.raises(KeyboardInterrupt):
        dispatcher.collect()
    assert _collected(dispatcher) == [(1, Status.OK, "")]


def test_elsewhere_answers_come_as_they_arrive() -> None:
    executor = _Manual()
    dispatcher = Dispatcher(_Noting(), executor, None)
    assert dispatcher.needs_spool
    for i in (1, 2, 3):
        dispatcher.submit(_question(i))
    executor.finish(2)
    assert _collected(dispatcher) == [(2, Status.OK, "")]
    executor.finish(3)
    executor.finish(1)
    assert [asked for asked, _, _ in _collected(dispatcher)] == [1, 3]
    assert not dispatcher.is_waiting


def test_threads_answer_what_the_oracle_would_here() -> None:
    oracle = FunctionOracle(lambda x: x[:, 0] ** 2, BOX)
    with ThreadPoolExecutor(2) as executor:
        dispatcher = Dispatcher(oracle, executor, None)
        for i in range(6):
            dispatcher.submit(_question(i))
        answers: dict[int, Evaluation] = {}
        while dispatcher.is_waiting:
            answers |= {question.asked: e for question, e in dispatcher.collect()}
    values = [e.y.item() for _, e in sorted(answers.items()) if e.y is not None]
    assert values == [(i / 10) ** 2 for i in range(6)]


def test_what_nobody_has_begun_can_be_withdrawn() -> None:
    executor = _Manual()
    dispatcher = Dispatcher(_Noting(), executor, None)
    for i in (1, 2):
        dispatcher.submit(_question(i))
    assert executor.futures[1].set_running_or_notify_cancel()
    dispatcher.withdraw()
    assert executor.futures[2].cancelled()
    assert dispatcher.is_waiting
    executor.finish(1)
    assert _collected(dispatcher) == [(1, Status.OK, "")]
    here = Dispatcher(_Noting(), None, None)
    here.submit(_question(1))
    here.withdraw()
    assert not here.is_waiting


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (OverdueError("no answer within 2 s"), Status.TIMEOUT, "no answer within 2 s"),
        (WorkerLostError("exit status 3"), Status.WORKER_LOST, "exit status 3"),
        (type("KilledWorker", (Exception,), {})("3 times"), Status.WORKER_LOST, "3 times"),
    ],
)
def test_a_worker_s_end_is_an_answer(error: Exception, status: Status, message: str) -> None:
    executor = _Manual()
    dispatcher = Dispatcher(_Noting(), executor, 2.0)
    dispatcher.submit(_question(1))
    executor.fail(1, error)
    [(question, answer)] = dispatcher.collect()
    assert (question.asked, answer.asked, answer.status) == (1, 1, status)
    assert message in answer.message
    assert answer.seconds == (2.0 if status is Status.TIMEOUT else 0.0)


def test_an_executor_that_drops_a_question_or_cannot_send_it_ends_the_run() -> None:
    executor = _Manual()
    dispatcher = Dispatcher(_Noting(), executor, None)
    dispatcher.submit(_question(1))
    executor.futures[1].cancel()
    executor.futures[1].set_running_or_notify_cancel()
    with pytest.raises(ExecutorError, match=r"dropped an evaluation, .* resume the run"):
        dispatcher.collect()
    dispatcher.submit(_question(2))
    executor.fail(2, TypeError("cannot pickle"))
    with pytest.raises(ExecutorError, match="cannot evaluate: TypeError: cannot pickle"):
        dispatcher.collect()


def test_the_question_that_breaks_a_pool_is_found_and_the_others_are_answered() -> None:
    pools: list[_Manual] = []

    class Pool(_Manual):
        """Question 2 breaks it; the first pool has answered nothing by then."""

        def submit(self, fn: Any, /, *args: Any, **options: Any) -> Future[Any]:
            future = super().submit(fn, *args, **options)
            if 2 in self.futures:
                self.broken = BrokenProcessPool()
                for open_future in self.futures.values():
                    open_future.set_exception(self.broken)
            elif self is not pools[0]:
                self.finish(next(reversed(self.futures)))
            return future

    def make() -> Executor:
        pools.append(Pool())
        return pools[-1]

    dispatcher = Dispatcher(_Noting(), make, None)
    dispatcher.submit(_question(1))
    dispatcher.submit(_question(2))
    answers = _collected(dispatcher)
    assert [(asked, status) for asked, status, _ in answers] == [
        (1, Status.OK),
        (2, Status.WORKER_LOST),
    ]
    assert len(pools) == 3  # the one that broke, and one for each question asked alone
    dispatcher.submit(_question(3))
    assert _collected(dispatcher) == [(3, Status.OK, "")]


def test_a_broken_pool_that_cannot_be_made_again_ends_the_run() -> None:
    executor = _Manual()
    executor.broken = BrokenProcessPool()
    dispatcher = Dispatcher(_Noting(), executor, None)
    with pytest.raises(ExecutorError, match="give a function that makes one"):
        dispatcher.submit(_question(1))


def test_a_result_that_is_in_the_spool_is_not_paid_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "run.spool")
    spool.open(recorded=set())
    work(_Noting(), _question(1), spool)
    oracle = _Noting()
    here = Dispatcher(oracle, None, None)
    here.spool = spool
    here.submit(_question(1))
    here.submit(_question(2))
    assert [_collected(here)[0][1], _collected(here)[0][1]] == [Status.OK, Status.OK]
    assert oracle.calls == [[0.2]]
    executor = _Manual()
    elsewhere = Dispatcher(oracle, executor, None)
    elsewhere.spool = spool
    elsewhere.submit(_question(1))
    executor.finish(1)
    assert _collected(elsewhere) == [(1, Status.OK, "")]
    assert oracle.calls == [[0.2]]
    spool.forget(_question(1))
    here.close()
    assert not spool.folder.exists()
