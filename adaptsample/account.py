"""Everything paid for: durable in the ledger, counted against the budget, free to use again."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, final

from jaxtyping import Bool, Float
from torch import Tensor

from adaptsample._types import Points
from adaptsample.evaluation import Evaluation, Question, Status, evaluate
from adaptsample.ledger import Ledger, LedgerError, Record, read
from adaptsample.oracles import Oracle, Stochastic

Existing = Literal["refuse", "resume", "overwrite"]


def point_key(x: Float[Tensor, " d"]) -> bytes:
    """Return what tells points apart: their exact coordinates (-0.0 is 0.0)."""
    return bytes((x + 0.0).numpy().tobytes())


@final
class Account:
    """Buys evaluations, each recorded before it is used.

    A deterministic oracle is never asked the same question twice, and what a resumed run file
    already holds is counted when the replay first uses it, not paid again.

    Args:
        oracle: what evaluations are bought from; None if somebody else makes them.
        seed: the run's seed, for the noise of a stochastic oracle.
        gradient_cost: price of a gradient, in evaluations.
        retries: how often an evaluation that raised is tried again, each attempt at full price.
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
        executor: Executor | None,
        on_change: Callable[[], None],
    ) -> None:
        self.evaluations: list[Evaluation] = []
        self.spent = 0.0
        self.budget = float("inf")
        self.repeats = oracle is None or isinstance(oracle, Stochastic)
        self._oracle = oracle
        self._seed = seed
        self._gradient_cost = gradient_cost
        self._retries = retries
        self._executor = executor
        self._on_change = on_change
        self._known: dict[bytes, Evaluation] = {}
        self._waiting: dict[bytes, deque[Evaluation]] = {}  # from a run file, not used yet
        self._rounds_on_file = 0
        self._rounds = 0
        self._ledger: Ledger | None = None

    @property
    def left(self) -> float:
        """Evaluations that may still be paid."""
        left = self.budget - self.spent
        return left if left > 1e-9 else 0.0

    def open(self, run_file: Path, spec: Record, existing: Existing) -> None:
        """Create the run file, or continue the one that is there.

        Raises:
            LedgerError: there is a run file and it may not be replaced, or it belongs to another
                specification, or it cannot be read or written.
        """
        if existing == "overwrite" or not run_file.exists():
            self._ledger = Ledger.create(run_file, spec)
            return
        recorded = read(run_file)
        if difference := recorded.difference(spec):
            raise LedgerError(
                f"{run_file} holds another run: {difference}; overwrite it or choose another folder"
            )
        if existing == "refuse":
            raise LedgerError(f"{run_file} is there already; resume it or overwrite it")
        self._ledger = Ledger.reopen(recorded)
        self._rounds_on_file = len(recorded.rounds)
        for record in recorded.evaluations:
            evaluation = Evaluation.from_record(record)
            self._waiting.setdefault(point_key(evaluation.x), deque()).append(evaluation)

    def close(self) -> None:
        """Close the run file; another process may then continue it."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def buy(self, x: Points, gradient: Bool[Tensor, " n"], *, number: int) -> list[Evaluation]:
        """Return the evaluations at x, paying for those that are not paid for yet.

        Args:
            x: points (n, d).
            gradient: at which points the gradient is wanted too.
            number: of the round.

        Returns:
            One evaluation for each point, then any others that a resumed run file holds of the
            round.
        """
        results: dict[int, Evaluation] = {}
        to_try = list(range(len(x)))
        for attempt in range(1, self._retries + 2):
            first = len(self.evaluations) + 1
            asked: dict[bytes, int] = {}
            questions = []
            twins = {}
            for rank, i in enumerate(to_try):
                key = point_key(x[i])
                found = self._find(key, bool(gradient[i]), attempt)
                if found is not None:
                    results[i] = found
                elif key in asked and not self.repeats:
                    twins[i] = asked[key]
                else:
                    asked[key if not self.repeats else str(i).encode()] = i
                    questions.append(Question(x[i], bool(gradient[i]), self._seed, first + rank))
            positions = list(asked.values())
            for answers in self._ask(questions):
                new = {positions[p]: self._priced(e, attempt, number) for p, e in answers}
                results |= new
                self.record(list(new.values()))
            results |= {i: results[twin] for i, twin in twins.items()}
            to_try = [i for i in to_try if results[i].status is Status.FAILED]
            to_try = to_try[: int(min(self.left, len(to_try)))]
            if not to_try:
                break
        return [results[i] for i in range(len(x))] + self._left_over(number)

    def adopt(self) -> list[Evaluation]:
        """Return, and count, everything that a resumed run file holds and nobody has used yet."""
        waiting = [evaluation for queue in self._waiting.values() for evaluation in queue]
        return [e for n in sorted({e.round for e in waiting}) for e in self._left_over(n)]

    def record(self, evaluations: Sequence[Evaluation]) -> None:
        """Write new evaluations to the ledger, then count them."""
        if self._ledger is not None:
            first = len(self.evaluations) + 1
            self._ledger.append([e.to_record(first + i) for i, e in enumerate(evaluations)])
        for evaluation in evaluations:
            self._count(evaluation)

    def record_round(self, record: Record) -> None:
        """Write a round's line, unless the resumed run file holds it already."""
        self._rounds += 1
        if self._ledger is not None and self._rounds > self._rounds_on_file:
            self._ledger.append([record])

    def record_end(self, record: Record) -> None:
        """Write the last line."""
        if self._ledger is not None:
            self._ledger.append([record])

    def failures(self) -> str:
        """Return the reasons of all failures, counted, for an error message."""
        counts: Mapping[str, int] = Counter(
            f"{e.status}: {e.message}" for e in self.evaluations if e.status is not Status.OK
        )
        most = sorted(counts.items(), key=lambda item: -item[1])[:5]
        return "; ".join(f"{n} x {reason}" for reason, n in most)

    def _ask(self, questions: Sequence[Question]) -> Any:
        if not questions:
            return ()
        if self._oracle is None:
            raise ValueError("there is no oracle to ask; tell() the values instead")
        return evaluate(self._oracle, questions, executor=self._executor)

    def _count(self, evaluation: Evaluation) -> None:
        self.evaluations.append(evaluation)
        self.spent += evaluation.price
        self._known[point_key(evaluation.x)] = evaluation
        self._on_change()

    def _find(self, key: bytes, gradient: bool, attempt: int) -> Evaluation | None:
        if waiting := self._waiting.get(key):
            self._count(waiting.popleft())
            return self.evaluations[-1]
        known = self._known.get(key)
        if known is None or self.repeats or attempt > 1:
            return None
        lacks_gradient = gradient and known.status is Status.OK and known.gradient is None
        return None if lacks_gradient else known

    def _priced(self, answer: Evaluation, attempt: int, number: int) -> Evaluation:
        known = self._known.get(point_key(answer.x))
        has_value = known is not None and known.status is Status.OK and not self.repeats
        price = 0.0 if has_value else 1.0
        if answer.gradient is not None:
            price += self._gradient_cost
        return replace(answer, price=price, attempt=attempt, round=number)

    def _left_over(self, number: int) -> list[Evaluation]:
        found = [e for queue in self._waiting.values() for e in queue if e.round == number]
        for evaluation in found:
            self._waiting[point_key(evaluation.x)].remove(evaluation)
            self._count(evaluation)
        return found
