"""Buys evaluations: counted against the budget, on file before they are used, free to use again.

Orders go out and deliveries come in. What a resumed run file holds is delivered first, in the order
in which it was recorded, and is counted but not paid again.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import final

from jaxtyping import Bool
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.errors import LedgerError
from adaptsample.evaluation.dispatcher import Answered, Dispatcher, Executors
from adaptsample.evaluation.evaluation import Evaluation, Question, Status, point_key
from adaptsample.evaluation.spool import Spool
from adaptsample.loop.journal import Journal
from adaptsample.loop.specification import Specification
from adaptsample.oracles import Stochastic

LOST_RETRIES = 2
"""A lost worker is tried again so often at least: as far as anybody knows it was not the point."""

_RETRIED = (Status.FAILED, Status.TIMEOUT, Status.WORKER_LOST)


@final
class Evaluator:
    """Buys evaluations, each recorded before it is used.

    A deterministic oracle is never asked the same question twice, and a point whose evaluation
    failed for good is not asked again.

    Args:
        spec: of the run: whom to ask, at which price, how patiently.
        executor: evaluates points in parallel.
        on_change: called whenever something was bought.
    """

    def __init__(
        self,
        spec: Specification,
        *,
        executor: Executors | None,
        on_change: Callable[[], None],
    ) -> None:
        self.evaluations: list[Evaluation] = []
        self.spent = 0.0
        self.seconds = 0.0  # waited for deliveries
        self.budget = float("inf")
        self.repeats = spec.oracle is None or isinstance(spec.oracle, Stochastic)
        self._spec = spec
        self._dispatcher = (
            None if spec.oracle is None else Dispatcher(spec.oracle, executor, spec.timeout)
        )
        self._on_change = on_change
        self._known: dict[bytes, Evaluation] = {}
        self._counted: set[Evaluation] = set()  # by identity
        self._n_asked = 0
        self._committed: dict[int, float] = {}  # price of what is ordered, by the question's number
        self._doubles: dict[bytes, list[Question]] = {}  # ordered while the same was under way
        self._ready: list[tuple[int, int, Question, Evaluation, bool]] = []  # a heap
        self._journal = Journal()

    @property
    def left(self) -> float:
        """Evaluations that may still be ordered."""
        left = self.budget - self.spent - sum(self._committed.values())
        return left if left > 1e-9 else 0.0

    @property
    def n_evaluations(self) -> float:
        """Evaluations charged so far, gradients and failures included."""
        return int(self.spent) if float(self.spent).is_integer() else self.spent

    @property
    def is_waiting(self) -> bool:
        """Whether something ordered is not delivered yet."""
        return bool(self._ready or self._committed)

    def keep_in(self, journal: Journal, spool: Spool) -> None:
        """Take evaluations from a run file, and write new ones there, by way of a spool.

        Raises:
            LedgerError: the spool is needed, and the disk refuses it.
        """
        self._journal = journal
        if self._dispatcher is not None and (self._dispatcher.needs_spool or spool.folder.is_dir()):
            try:
                spool.open(recorded=journal.answered)
            except OSError as error:
                raise LedgerError(f"cannot write {spool.folder}: {error.strerror}") from error
            self._dispatcher.spool = spool

    def close(self) -> None:
        """Let go of what is under way; its results are left in the spool."""
        if self._dispatcher is not None:
            self._dispatcher.close()

    def order(
        self, x: Points, gradient: Bool[Tensor, " n"], *, number: int
    ) -> tuple[Question, ...]:
        """Order evaluations, unless they are paid for already; `deliver` brings them.

        Args:
            x: points (n, d).
            gradient: at which points the gradient is wanted too.
            number: of the round.
        """
        questions = tuple(
            Question(point, wanted, self._spec.seed, self._n_asked + i, number)
            for i, (point, wanted) in enumerate(zip(x, gradient.tolist(), strict=True), start=1)
        )
        self._n_asked += len(x)
        for question in questions:
            self._order(question)
        return questions

    def buy(self, x: Points, gradient: Bool[Tensor, " n"], *, number: int) -> list[Evaluation]:
        """Order evaluations and wait for all of them; return one for each point, in order."""
        questions = self.order(x, gradient, number=number)
        results: dict[int, Evaluation] = {}
        while len(results) < len(questions):
            results |= {question.asked: evaluation for question, evaluation in self.deliver()}
        return [results[question.asked] for question in questions]

    def deliver(self) -> list[Answered]:
        """Wait for an order and return its evaluation, with those of its doubles.

        It is on disk before it is returned. An attempt that is tried again is not returned. What
        came in together is delivered one by one, as a replay of the run file will do.
        """
        start = perf_counter()
        finished: list[Answered] = []
        while not finished and self.is_waiting:
            if not self._ready:
                self._fetch()
            question, evaluation = self._next_ready()
            finished = self._settle(question, evaluation)
        self.seconds += perf_counter() - start
        return finished

    def drain(self) -> list[Answered]:
        """Order nothing more; wait for what is under way, and record and return it.

        A KeyboardInterrupt meanwhile ends it, where this process has the say.
        """
        if self._dispatcher is None:
            return []
        self._dispatcher.withdraw()
        try:
            while self._dispatcher.is_waiting:
                self._fetch()
        except KeyboardInterrupt:
            self._dispatcher.kill()
            raise
        return [self._next_ready() for _ in range(len(self._ready))]

    def left_over(self, number: int | None = None) -> list[Evaluation]:
        """Return, and count, what a resumed run file holds of a round, or all, and nobody asked."""
        found = self._journal.left_over(number)
        for evaluation in found:
            self._count(evaluation)
        return found

    def has(self, evaluation: Evaluation) -> bool:
        """Tell whether this very evaluation was bought or recorded here."""
        return evaluation in self._counted

    def record(self, evaluations: Sequence[Evaluation]) -> None:
        """Write what others evaluated to the run file, then count it."""
        self._journal.add(evaluations)
        for evaluation in evaluations:
            self._count(evaluation)

    def failures(self) -> str:
        """Return the reasons of all failures, counted, for an error message."""
        counts: Mapping[str, int] = Counter(
            f"{e.status}: {e.message}" for e in self.evaluations if e.status is not Status.OK
        )
        most = sorted(counts.items(), key=lambda item: -item[1])[:5]
        return "; ".join(f"{n} x {reason}" for reason, n in most)

    def _order(self, question: Question) -> None:
        key = point_key(question.x)
        if key in self._doubles and not self.repeats and question.attempt == 1:
            self._committed[question.asked] = 0.0
            self._doubles[key].append(question)
            return
        if (past := self._journal.evaluation(key)) is not None:
            place, evaluation = past
            self._committed[question.asked] = evaluation.price
            self._doubles.setdefault(key, [])
            heapq.heappush(self._ready, (place, question.asked, question, evaluation, True))
            return
        known = None if self.repeats or question.attempt > 1 else self._known.get(key)
        value_price = 1.0
        if known is not None:
            has_value = known.status is Status.OK
            if not (has_value and question.gradient and known.gradient is None):
                heapq.heappush(self._ready, (-1, question.asked, question, known, False))
                return
            value_price = 0.0  # only the gradient is missing
        self._committed[question.asked] = value_price + self._spec.gradient_cost * question.gradient
        if self._dispatcher is None:
            raise ValueError("there is no oracle to ask; tell() the values instead")
        self._doubles.setdefault(key, [])
        self._dispatcher.submit(question)

    def _settle(self, question: Question, evaluation: Evaluation) -> list[Answered]:
        """Return the order as finished, with its doubles, unless it is tried again."""
        self._committed.pop(question.asked, None)
        lost, retries = evaluation.status is Status.WORKER_LOST, self._spec.retries
        attempts = 1 + (max(retries, LOST_RETRIES) if lost else retries)
        if evaluation.status in _RETRIED and question.attempt < attempts and self.left >= 1:
            self._order(replace(question, attempt=question.attempt + 1))
            return []
        doubles = self._doubles.pop(point_key(question.x), [])
        for double in doubles:
            self._committed.pop(double.asked, None)
        return [(question, evaluation), *((double, evaluation) for double in doubles)]

    def _fetch(self) -> None:
        """Wait for answers, write them down, and make them ready to be delivered."""
        if self._dispatcher is None:
            return
        answers = [(question, self._priced(e)) for question, e in self._dispatcher.collect()]
        place = self._journal.add([evaluation for _, evaluation in answers])
        for i, (question, evaluation) in enumerate(answers):
            if self._dispatcher.spool is not None:
                self._dispatcher.spool.forget(question)
            entry = (place + i, question.asked, question, evaluation, True)
            heapq.heappush(self._ready, entry)

    def _next_ready(self) -> Answered:
        _, _, question, evaluation, is_new = heapq.heappop(self._ready)
        if is_new:
            self._count(evaluation)
        return question, evaluation

    def _count(self, evaluation: Evaluation) -> None:
        self.evaluations.append(evaluation)
        self._counted.add(evaluation)
        self.spent += evaluation.price
        self._known[point_key(evaluation.x)] = evaluation
        self._on_change()

    def _priced(self, answer: Evaluation) -> Evaluation:
        known = self._known.get(point_key(answer.x))
        has_value = known is not None and known.status is Status.OK and not self.repeats
        price = 0.0 if has_value else 1.0
        if answer.gradient is not None:
            price += self._spec.gradient_cost
        return replace(answer, price=price)
