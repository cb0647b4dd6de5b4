"""Where questions wait for their answers: here, or wherever an executor has them answered.

There is one way through: questions are submitted, answers are collected as they arrive. What goes
wrong on the way, with a worker or by taking too long, is an answer too. What goes wrong with the
executor itself is an error, and ends the run; the results on their way are in the spool.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from typing import TypeAlias, final

from adaptsample.errors import ExecutorError, OverdueError, WorkerLostError
from adaptsample.evaluation.asking import answer, text_of
from adaptsample.evaluation.evaluation import Evaluation, Question, Status
from adaptsample.evaluation.spool import Spool, work
from adaptsample.evaluation.workers import Processes, call_within
from adaptsample.oracles import Oracle, SupportsExact

Executors: TypeAlias = Executor | Callable[[], Executor]
"""An executor, or what makes one: a broken one can then be made again."""

Answered: TypeAlias = tuple[Question, Evaluation]


@final
class Dispatcher:
    """Has questions answered.

    An oracle that is its own exact version costs nothing, so it is asked all at once. Any other is
    asked one point at a time, for each result to be kept before the next is paid.

    Args:
        oracle: who is asked.
        executor: answers in parallel; None answers here, one after the other.
        timeout: seconds that an answer may take, or None.
    """

    def __init__(self, oracle: Oracle, executor: Executors | None, timeout: float | None) -> None:
        self.spool: Spool | None = None
        self._oracle = oracle
        self._is_free = isinstance(oracle, SupportsExact) and oracle.exact is oracle
        self._timeout = timeout
        self._make = None if executor is None or isinstance(executor, Executor) else executor
        self._executor = executor if isinstance(executor, Executor) else None
        self._own: Processes | None = None  # made for the sake of a timeout
        if executor is None and timeout is not None and not self._is_free:
            self._own = self._executor = Processes(1)
        self._queue: deque[Question] = deque()  # answered here
        self._running: dict[Future[Evaluation], Question] = {}

    @property
    def needs_spool(self) -> bool:
        """Whether answers are found elsewhere than here."""
        return not self._is_free and not (self._executor is None and self._make is None)

    @property
    def is_waiting(self) -> bool:
        """Whether there are questions without answer."""
        return bool(self._queue or self._running)

    def submit(self, question: Question) -> None:
        """Take a question."""
        if self.needs_spool:
            self._running[self._started(question)] = question
        else:
            self._queue.append(question)

    def collect(self) -> list[Answered]:
        """Wait for at least one answer, and return all that are there.

        Raises:
            ExecutorError: the executor cannot be used any more.
        """
        if self._queue:
            questions = [*self._queue] if self._is_free else [self._queue[0]]
            if self._is_free:
                answers = answer(self._oracle, questions)
            else:
                answers = [self._answered_here(questions[0])]
            for _ in questions:
                self._queue.popleft()
            return list(zip(questions, answers, strict=True))
        done = wait(self._running, return_when=FIRST_COMPLETED).done
        found: list[Answered] = []
        suspects: list[Question] = []
        for future in sorted(done, key=lambda f: self._running[f].asked):
            question = self._running.pop(future)
            try:
                found.append((question, self._result(future, question)))
            except BrokenExecutor:
                suspects.append(question)
        return found + (self._after_break(suspects) if suspects else [])

    def withdraw(self) -> None:
        """Take back the questions that nobody has begun to answer."""
        self._queue.clear()
        for future in [f for f in self._running if f.cancel()]:
            del self._running[future]

    def close(self) -> None:
        """Let go of the questions; what is being answered is finished, and left in the spool."""
        self.withdraw()
        if self._own is not None:
            self._own.shutdown()
        if self.spool is not None:
            self.spool.close()

    def kill(self) -> None:
        """End what is being answered, where this dispatcher has the say."""
        self.withdraw()
        if isinstance(self._executor, Processes):
            self._executor.kill()

    def _answered_here(self, question: Question) -> Evaluation:
        found = None if self.spool is None else self.spool.find(question)
        return answer(self._oracle, [question])[0] if found is None else found

    def _started(self, question: Question) -> Future[Evaluation]:
        if self._executor is None and self._make is not None:
            self._executor = self._make()
        executor, task = self._executor, (self._oracle, question, self.spool)
        try:
            if isinstance(executor, Processes):
                return executor.submit_within(self._timeout, work, *task)
            if executor is not None and self._timeout is not None:
                within: Callable[..., Evaluation] = call_within
                return executor.submit(within, self._timeout, work, *task)
            if executor is not None:
                return executor.submit(work, *task)
        except BrokenExecutor:
            if self._make is not None:
                self._executor = None
                return self._started(question)
            raise ExecutorError(
                "the executor is broken; resume the run with a new one, or give a function that "
                "makes one, and it is made again"
            ) from None
        raise ExecutorError("the function that makes the executor made none")

    def _result(self, future: Future[Evaluation], question: Question) -> Evaluation:
        """Return the answer, or the failure that the worker's end is."""
        try:
            return future.result()
        except OverdueError as error:
            return question.failed(Status.TIMEOUT, str(error), seconds=self._timeout or 0.0)
        except WorkerLostError as error:
            return question.failed(Status.WORKER_LOST, str(error))
        except BrokenExecutor:
            raise
        except CancelledError:
            raise ExecutorError(
                "the executor dropped an evaluation, as it does when its scheduler is gone; "
                "resume the run with a new one"
            ) from None
        except Exception as error:
            if type(error).__name__ == "KilledWorker":  # Dask's, which need not be installed
                return question.failed(Status.WORKER_LOST, text_of(error))
            raise ExecutorError(f"the executor cannot evaluate: {text_of(error)}") from error

    def _after_break(self, suspects: Sequence[Question]) -> list[Answered]:
        """Ask each question that a broken pool left open alone: only one of them broke it."""
        found: list[Answered] = []
        open_questions = [*suspects]
        for future, question in [*self._running.items()]:
            del self._running[future]
            try:
                found.append((question, self._result(future, question)))
            except BrokenExecutor:
                open_questions.append(question)
        if len(open_questions) == 1:
            lost = open_questions.pop()
            message = "the pool of workers broke"
            found.append((lost, lost.failed(Status.WORKER_LOST, message)))
            self._executor = None if self._make is not None else self._executor
        for question in sorted(open_questions, key=lambda q: q.asked):
            self._executor = None if self._make is not None else self._executor
            try:
                result = self._result(self._started(question), question)
            except BrokenExecutor as error:
                result = question.failed(Status.WORKER_LOST, text_of(error))
            found.append((question, result))
        return found
