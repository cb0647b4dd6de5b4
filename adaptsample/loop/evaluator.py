"""Everything paid for: durable in the ledger, counted against the budget, free to use again.

Orders go out and deliveries come in. What a resumed run file holds is delivered first, in the order
in which it was recorded, and is counted but not paid again.
"""

import heapq
from array import array
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, final

from jaxtyping import Bool
from torch import Tensor

from adaptsample.core.files import Record
from adaptsample.core.shapes import Points
from adaptsample.errors import LedgerError
from adaptsample.evaluation.dispatcher import Answered, Dispatcher, Executors
from adaptsample.evaluation.evaluation import Evaluation, Question, Status, point_key
from adaptsample.evaluation.spool import Spool
from adaptsample.oracles import Oracle, Stochastic
from adaptsample.record.ledger import FORMAT, Ledger
from adaptsample.record.run_file import Recorded, read

Existing = Literal["refuse", "resume", "overwrite"]
LOST_RETRIES = 2
"""A lost worker is tried again so often at least: as far as anybody knows it was not the point."""

_RETRIED = (Status.FAILED, Status.TIMEOUT, Status.WORKER_LOST)


@final
class Account:
    """Buys evaluations, each recorded before it is used.

    A deterministic oracle is never asked the same question twice, and a point whose evaluation
    failed for good is not asked again.

    Args:
        oracle: what evaluations are bought from; None if somebody else makes them.
        seed: the run's seed, for the noise of a stochastic oracle.
        gradient_cost: price of a gradient, in evaluations.
        retries: how often a failed evaluation is tried again, each attempt at full price.
        timeout: seconds that an evaluation may take, or None.
        executor: evaluates points in parallel.
        on_change: called whenever something was bought.
    """

    def __init__(
        self,
        oracle: Oracle | None,
        *,
        seed: int,
        gradient_cost: float,
        retries: int,
        timeout: float | None,
        executor: Executors | None,
        on_change: Callable[[], None],
    ) -> None:
        self.evaluations: list[Evaluation] = []
        self.spent = 0.0
        self.budget = float("inf")
        self.says_what_was_asked = True  # and not only what was answered, as files of format 1
        self.repeats = oracle is None or isinstance(oracle, Stochastic)
        self._oracle = oracle
        self._seed = seed
        self._gradient_cost = gradient_cost
        self._retries = retries
        self._dispatcher = None if oracle is None else Dispatcher(oracle, executor, timeout)
        self._on_change = on_change
        self._known: dict[bytes, Evaluation] = {}
        self._n_asked = 0
        self._n_lines = 0  # evaluations written, by this process or an earlier one
        self._committed: dict[int, float] = {}  # price of what is ordered, by the question's number
        self._doubles: dict[bytes, list[Question]] = {}  # ordered while the same was under way
        self._ready: list[tuple[int, int, Question, Evaluation, bool]] = []  # a heap
        self._ledger: Ledger | None = None
        self._past = _Past()

    @property
    def left(self) -> float:
        """Evaluations that may still be ordered."""
        left = self.budget - self.spent - sum(self._committed.values())
        return left if left > 1e-9 else 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether something ordered is not delivered yet."""
        return bool(self._ready or self._committed)

    def open(self, run_file: Path, spec: Record, existing: Existing, *, line_bytes: int) -> None:
        """Create the run file, or continue the one that is there.

        Args:
            run_file: where.
            spec: its first line.
            existing: what to do with one that is there.
            line_bytes: about how many bytes an evaluation takes, to see whether there is room.

        Raises:
            LedgerError: there is a run file and it may not be replaced, or it belongs to another
                specification, or it cannot be read or written, or there is no room.
        """
        spool = Spool(run_file.with_suffix(".spool"))
        if existing == "overwrite" or not run_file.exists():
            spool.clear()
            room = line_bytes * int(self.budget) if self.budget < float("inf") else 0
            self._ledger = Ledger.create(run_file, spec, expected_bytes=room)
            recorded = read(run_file)
        else:
            recorded = read(run_file)
            if difference := recorded.difference(spec):
                raise LedgerError(
                    f"{run_file} holds another run: {difference}; "
                    "overwrite it or choose another folder"
                )
            if existing == "refuse":
                raise LedgerError(f"{run_file} is there already; resume it or overwrite it")
            self._ledger = Ledger.reopen(run_file, recorded.size)
            if not recorded.spec:  # damaged; nothing tells this run from another one any more
                self._ledger.append([{"kind": "spec", "format": FORMAT, **spec}])
        self.says_what_was_asked = recorded.spec.get("format", FORMAT) > 1
        self._past = _Past(recorded)
        self._n_lines = len(recorded.evaluations)
        if self._dispatcher is not None and (self._dispatcher.needs_spool or spool.folder.is_dir()):
            try:
                spool.open(recorded=self._past.numbers)
            except OSError as error:
                raise LedgerError(f"cannot write {spool.folder}: {error.strerror}") from error
            self._dispatcher.spool = spool

    def close(self) -> None:
        """Close the run file; another process may then continue it."""
        if self._dispatcher is not None:
            self._dispatcher.close()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

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
            Question(point, wanted, self._seed, self._n_asked + i, number)
            for i, (point, wanted) in enumerate(zip(x, gradient.tolist(), strict=True), start=1)
        )
        self._n_asked += len(x)
        for question in questions:
            self._order(question)
        return questions

    def deliver(self) -> list[Answered]:
        """Wait for an order and return its evaluation, with those of its doubles.

        It is on disk before it is returned. An attempt that is tried again is not returned. What
        came in together is delivered one by one, as a replay of the run file will do.
        """
        finished: list[Answered] = []
        while not finished and self.is_waiting:
            if not self._ready:
                self._fetch()
            question, evaluation = self._next_ready()
            finished = self._settle(question, evaluation)
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

    def left_over(self, number: int) -> list[Evaluation]:
        """Return, and count, what a resumed run file holds of a round and nobody asked."""
        found = self._past.take_round(number)
        for evaluation in found:
            self._count(evaluation)
        return found

    def adopt(self) -> list[Evaluation]:
        """Return, and count, everything that a resumed run file holds and nobody has used."""
        return [e for number in self._past.open_rounds for e in self.left_over(number)]

    @property
    def n_rounds(self) -> int:
        """How many rounds a resumed run file has proposals of, the lost ones included."""
        return 1 + int(self._past.proposals[-1]["round"]) if self._past.proposals else 0

    def proposal_on_file(self, number: int) -> Record | None:
        """Return what the resumed run file says was proposed in a round; None if nothing."""
        return _of_round(self._past.proposals, number)

    def record_proposal(self, record: Record) -> None:
        """Write what is proposed, before it is paid, unless the run file has it already."""
        if self.proposal_on_file(record["round"]) is None and self._ledger is not None:
            self._ledger.append([record])

    def round_on_file(self, number: int) -> Record | None:
        """Return what the resumed run file says of a round; None if nothing."""
        return _of_round(self._past.rounds, number)

    def record_round(self, record: Record) -> None:
        """Write a round's line, unless the run file has it already."""
        if self.round_on_file(record["round"]) is None and self._ledger is not None:
            self._ledger.append([record])

    def record_end(self, record: Record) -> None:
        """Write the last line."""
        if self._ledger is not None:
            self._ledger.append([record])

    def record(self, evaluations: Sequence[Evaluation]) -> None:
        """Write new evaluations to the ledger, then count them."""
        self._write(evaluations)
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
        if (past := self._past.take(key)) is not None:
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
        self._committed[question.asked] = value_price + self._gradient_cost * question.gradient
        if self._dispatcher is None:
            raise ValueError("there is no oracle to ask; tell() the values instead")
        self._doubles.setdefault(key, [])
        self._dispatcher.submit(question)

    def _settle(self, question: Question, evaluation: Evaluation) -> list[Answered]:
        """Return the order as finished, with its doubles, unless it is tried again."""
        self._committed.pop(question.asked, None)
        lost = evaluation.status is Status.WORKER_LOST
        attempts = 1 + (max(self._retries, LOST_RETRIES) if lost else self._retries)
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
        place = self._n_lines
        self._write([evaluation for _, evaluation in answers])
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

    def _write(self, evaluations: Sequence[Evaluation]) -> None:
        first = self._n_lines + 1
        if self._ledger is not None and evaluations:
            self._ledger.append([e.to_record(first + i) for i, e in enumerate(evaluations)])
        self._n_lines += len(evaluations)

    def _count(self, evaluation: Evaluation) -> None:
        self.evaluations.append(evaluation)
        self.spent += evaluation.price
        self._known[point_key(evaluation.x)] = evaluation
        self._on_change()

    def _priced(self, answer: Evaluation) -> Evaluation:
        known = self._known.get(point_key(answer.x))
        has_value = known is not None and known.status is Status.OK and not self.repeats
        price = 0.0 if has_value else 1.0
        if answer.gradient is not None:
            price += self._gradient_cost
        return replace(answer, price=price)


def _of_round(records: deque[Record], number: int) -> Record | None:
    while records and records[0]["round"] < number:
        records.popleft()
    return records[0] if records and records[0]["round"] == number else None


@final
class _Past:
    """What a run file holds and nobody has used yet."""

    def __init__(self, recorded: Recorded | None = None) -> None:
        self.proposals: deque[Record] = deque(recorded.proposals if recorded else ())
        self.rounds: deque[Record] = deque(recorded.rounds if recorded else ())
        self._unused = dict(enumerate(recorded.evaluations if recorded else ()))
        self.numbers = {
            (line["asked"], line["attempt"])
            for line in self._unused.values()
            if line.get("asked") is not None
        }
        self._places: dict[bytes, deque[int]] = {}
        self._rounds: dict[int, list[int]] = {}
        for place, line in self._unused.items():
            key = array("d", [coordinate + 0.0 for coordinate in line["x"]]).tobytes()
            self._places.setdefault(key, deque()).append(place)
            self._rounds.setdefault(line["round"], []).append(place)

    def take(self, key: bytes) -> tuple[int, Evaluation] | None:
        """Return the first evaluation at a point, and its place in the file."""
        places = self._places.get(key, deque())
        while places:
            place = places.popleft()
            if place in self._unused:
                return place, Evaluation.from_record(self._unused.pop(place))
        return None

    def take_round(self, number: int) -> list[Evaluation]:
        """Return all evaluations of a round."""
        places = self._rounds.pop(number, [])
        lines = [self._unused.pop(place) for place in places if place in self._unused]
        return [Evaluation.from_record(line) for line in lines]

    @property
    def open_rounds(self) -> list[int]:
        """Rounds that have evaluations, in order."""
        return sorted(self._rounds)
