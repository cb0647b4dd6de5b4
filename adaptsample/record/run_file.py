"""The one reader of run files, of this format and of earlier ones.

Kinds of line: ``spec`` first, then ``proposal``, ``evaluation``, ``round`` and ``end``. Format 1
has no proposals, no ``asked`` of an evaluation, and no statuses of lost workers and timeouts. What
an earlier version called a strategy is read as it is called now.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from adaptsample.core.files import Record, decode
from adaptsample.errors import LedgerError
from adaptsample.record.ledger import FORMAT
from adaptsample.registry import upgraded


@final
@dataclass(frozen=True)
class Recorded:
    """What a run file says.

    Args:
        path: the file.
        spec: everything needed to repeat the run; empty if its line is damaged.
        proposals: the proposal lines, in order.
        evaluations: the evaluation lines, in order.
        rounds: the round lines, in order.
        end: the last line, if the run ended there.
        damaged: numbers (from 1) of complete lines whose checksum does not fit; they are left out.
        size: bytes up to and including the last complete line; what follows is a torn tail.
    """

    path: Path
    spec: Record
    proposals: tuple[Record, ...]
    evaluations: tuple[Record, ...]
    rounds: tuple[Record, ...]
    end: Record | None
    damaged: tuple[int, ...]
    size: int

    @property
    def pending(self) -> list[list[float]]:
        """Points that were proposed and not evaluated, in order."""
        told = {tuple(record["x"]) for record in self.evaluations}
        return [x for record in self.proposals for x in record["x"] if tuple(x) not in told]


def read(path: Path) -> Recorded:
    """Read a run file, whether or not somebody is writing to it.

    Raises:
        LedgerError: no run file, one that cannot be read, or a format newer than this library.
    """
    kinds: dict[str, list[Record]] = {
        kind: [] for kind in ("spec", "proposal", "evaluation", "round", "end")
    }
    damaged: list[int] = []
    size = 0
    try:
        with path.open("rb") as file, _no_garbage():
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break  # a torn tail: never acknowledged
                size += len(line)
                record = decode(line)
                if record is None or record.get("kind") not in kinds:
                    damaged.append(number)
                    continue
                if record["kind"] in ("proposal", "evaluation"):
                    kinds["end"].clear()  # the run went on
                kinds[record["kind"]].append(record)
    except OSError as error:
        raise LedgerError(f"cannot read the run file {path}: {error.strerror}") from error
    if not any(kinds.values()):
        raise LedgerError(f"{path} is no run file (no line of it is whole)")
    spec = kinds["spec"][-1] if kinds["spec"] else {}
    recipes = {part: upgraded(spec[part]) for part in ("strategy", "surrogate") if part in spec}
    spec = {**spec, **recipes}
    if spec.get("format", FORMAT) > FORMAT:
        raise LedgerError(
            f"{path} has format {spec['format']}, this version reads up to {FORMAT}; "
            "update adaptsample"
        )
    return Recorded(
        path=path,
        spec=spec,
        proposals=tuple(kinds["proposal"]),
        evaluations=tuple(kinds["evaluation"]),
        rounds=tuple(kinds["round"]),
        end=kinds["end"][-1] if kinds["end"] else None,
        damaged=tuple(damaged),
        size=size,
    )


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Let nobody look for garbage among 10^5 records again and again: there is none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
