"""A run's file as the loop sees it: what it holds comes from there, what is new is written first.

A run is resumed by replaying it. The loop starts again and asks the journal for every proposal,
evaluation and round; as long as the file has them they come from the file, and from then on they
are made, written, and only then used. Nobody else asks whether something is on file.
"""

from array import array
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, final

from adaptsample.core.files import Record
from adaptsample.errors import LedgerError
from adaptsample.evaluation.evaluation import Evaluation
from adaptsample.loop.specification import Specification
from adaptsample.record.ledger import FORMAT, Ledger
from adaptsample.record.run_file import Recorded, read

Existing: TypeAlias = Literal["refuse", "resume", "overwrite"]
RoundKind: TypeAlias = Literal["proposal", "round"]


@final
class Journal:
    """What a run file holds and nobody has used yet, and the end to which new lines are added.

    Made without a file, it holds nothing and writes nothing.
    """

    def __init__(self, recorded: Recorded | None = None, ledger: Ledger | None = None) -> None:
        """Continue a file that was read; use `open` instead."""
        self._ledger = ledger
        self._lines: dict[RoundKind, deque[Record]] = {
            "proposal": deque(recorded.proposals if recorded else ()),
            "round": deque(recorded.rounds if recorded else ()),
        }
        proposals = self._lines["proposal"]
        self.n_rounds = 1 + int(proposals[-1]["round"]) if proposals else 0
        """How many rounds the file had proposals of when it was opened, the lost ones included."""
        self.says_what_was_asked = recorded is None or recorded.spec.get("format", FORMAT) > 1
        """Whether the file has proposals, and not only what was answered, as those of format 1."""
        self._unused = dict(enumerate(recorded.evaluations if recorded else ()))
        self._n_evaluations = len(self._unused)  # lines, by this process or an earlier one
        self.answered = {
            (line["asked"], line["attempt"])
            for line in self._unused.values()
            if line.get("asked") is not None
        }
        """Questions whose answers the file had when it was opened, by (asked, attempt)."""
        self._places: dict[bytes, deque[int]] = {}
        self._of_round: dict[int, list[int]] = {}
        for place, line in self._unused.items():
            key = array("d", [coordinate + 0.0 for coordinate in line["x"]]).tobytes()
            self._places.setdefault(key, deque()).append(place)
            self._of_round.setdefault(line["round"], []).append(place)

    @classmethod
    def open(
        cls, path: Path, spec: Specification, *, budget: float, existing: Existing
    ) -> "Journal":
        """Create the run file, or continue the one that is there.

        Args:
            path: where.
            spec: of the run; its first line.
            budget: evaluations allowed, which says whether there is room for them.
            existing: what to do with a file that is there.

        Raises:
            LedgerError: there is a run file and it may not be replaced, or it belongs to another
                specification, or it cannot be read or written, or there is no room.
        """
        first = spec.to_record(budget)
        if existing == "overwrite" or not path.exists():
            room = _line_bytes(spec) * int(budget) if budget < float("inf") else 0
            ledger = Ledger.create(path, first, expected_bytes=room)
            return cls(read(path), ledger)
        recorded = read(path)
        if difference := spec.difference(recorded.spec):
            raise LedgerError(
                f"{path} holds another run: {difference}; overwrite it or choose another folder"
            )
        if existing == "refuse":
            raise LedgerError(f"{path} is there already; resume it or overwrite it")
        ledger = Ledger.reopen(path, recorded.size)
        if not recorded.spec:  # damaged; nothing tells this run from another one any more
            ledger.append([{"kind": "spec", "format": FORMAT, **first}])
        return cls(recorded, ledger)

    def holds(self, kind: RoundKind, number: int) -> bool:
        """Tell whether the file has a round's line of a kind."""
        return self._on_file(kind, number) is not None

    def line(self, kind: RoundKind, number: int, make: Callable[[], Record]) -> Record:
        """Return a round's line of a kind: from the file, or made and then written.

        A proposal of no points is not written: nothing is paid for it.

        Raises:
            LedgerError: the file cannot be written.
        """
        recorded = self._on_file(kind, number)
        if recorded is not None:
            return recorded
        made = make()
        if kind != "proposal" or made["x"]:
            self._write([made])
        return made

    def evaluation(self, key: bytes) -> tuple[int, Evaluation] | None:
        """Return the first unused evaluation at a point, and its place among all in the file."""
        places = self._places.get(key, deque())
        while places:
            place = places.popleft()
            if place in self._unused:
                return place, Evaluation.from_record(self._unused.pop(place))
        return None

    def left_over(self, number: int | None = None) -> list[Evaluation]:
        """Return what the file has of a round, or of all rounds, and nobody has used."""
        numbers = sorted(self._of_round) if number is None else [number]
        places = [place for n in numbers for place in self._of_round.pop(n, [])]
        lines = [self._unused.pop(place) for place in places if place in self._unused]
        return [Evaluation.from_record(line) for line in lines]

    def add(self, evaluations: Sequence[Evaluation]) -> int:
        """Write evaluations; return the place of the first among all in the file.

        Raises:
            LedgerError: they are not on disk.
        """
        first = self._n_evaluations
        if evaluations:
            self._write([e.to_record(first + i) for i, e in enumerate(evaluations, start=1)])
        self._n_evaluations += len(evaluations)
        return first

    def end(self, record: Record) -> None:
        """Write the last line."""
        self._write([{"kind": "end", **record}])

    def close(self) -> None:
        """Close the file; another process may then continue it."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _on_file(self, kind: RoundKind, number: int) -> Record | None:
        lines = self._lines[kind]
        while lines and lines[0]["round"] < number:
            lines.popleft()
        return lines[0] if lines and lines[0]["round"] == number else None

    def _write(self, records: Sequence[Record]) -> None:
        if self._ledger is not None:
            self._ledger.append(records)


def _line_bytes(spec: Specification) -> int:
    """Return about how many bytes an evaluation takes in the file, with its proposal."""
    d = spec.domain.dimension
    k = 1 if spec.oracle is None else spec.oracle.n_outputs
    return 500 + 25 * (2 * d + 2 * k + d * k)
