"""Results on disk before anybody asks for them, so that they outlive who asked.

Whoever evaluates leaves each result in a folder beside the run file: a process that started it may
be dead by then. It holds a lock of the operating system while it evaluates. A resumed run asks the
same question again, waits for that lock, and finds the result instead of paying for it.
"""

import os
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from adaptsample.core import locks
from adaptsample.core.files import decode, encode, write_file
from adaptsample.errors import LedgerError
from adaptsample.evaluation.asking import answer, text_of
from adaptsample.evaluation.evaluation import Evaluation, Question, Status
from adaptsample.evaluation.workers import StoppedError
from adaptsample.oracles import Oracle


@final
@dataclass(frozen=True)
class Spool:
    """A folder of results that are not in the run file yet.

    Where the folder is not there, as on another machine, nothing is kept and nothing is lost that
    would not be lost without it.

    Args:
        folder: where.
    """

    folder: Path

    def open(self, *, recorded: Container[tuple[int, int]]) -> None:
        """Make the folder; remove what is in the run file already, by (asked, attempt).

        Raises:
            OSError: the disk refuses.
        """
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.glob("*.json"):
            asked, _, attempt = path.stem.partition("-")
            known = asked.isdecimal() and attempt.isdecimal()
            if known and (int(asked), int(attempt)) in recorded:
                self._remove(path.stem)

    def clear(self) -> None:
        """Remove everything, for another run is to take the place of this one.

        Raises:
            LedgerError: a worker of the old run is still evaluating.
        """
        for path in self.folder.glob("*.lock"):
            try:
                os.close(locks.take(path))
            except BlockingIOError:
                raise LedgerError(
                    f"{locks.holder(path)} still evaluates for the run that was here; "
                    "wait for it or stop it"
                ) from None
            except OSError:  # a file system without locks
                continue
        for path in self.folder.glob("*"):
            path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Remove the folder if nothing is in it."""
        with suppress(OSError):
            self.folder.rmdir()

    def find(self, question: Question) -> Evaluation | None:
        """Return the result of a question, if it is there and whole."""
        try:
            record = decode((self.folder / f"{_name(question)}.json").read_bytes())
        except OSError:
            return None
        if record is None:
            return None
        found = Evaluation.from_record(record)
        return found if torch.equal(found.x, question.x) else None

    def keep(self, question: Question, result: Evaluation) -> None:
        """Write a result; a disk that refuses is no reason to lose it on its way home."""
        with suppress(OSError):
            write_file(
                self.folder / f"{_name(question)}.json", encode(result.to_record(question.asked))
            )

    def forget(self, question: Question) -> None:
        """Remove a result that is in the run file by now."""
        self._remove(_name(question))

    @contextmanager
    def claim(self, question: Question) -> Iterator[None]:
        """Wait until nobody else evaluates the question, and hold others off."""
        try:
            lock = locks.take(self.folder / f"{_name(question)}.lock", wait=True)
        except OSError:  # no such folder, or a file system without locks
            yield
            return
        try:
            yield
        finally:
            os.close(lock)

    def _remove(self, name: str) -> None:
        for ending in (".json", ".lock"):
            (self.folder / f"{name}{ending}").unlink(missing_ok=True)


def work(oracle: Oracle, question: Question, spool: Spool | None) -> Evaluation:
    """Answer a question, in whichever process: from the spool, or by asking the oracle.

    Nothing that the oracle raises comes out of here, not even a KeyboardInterrupt: that is for who
    sits at the terminal, and he does not sit here.
    """
    if spool is None:
        return _answer(oracle, question)
    with spool.claim(question):
        result = spool.find(question)
        if result is None:
            result = _answer(oracle, question)
            spool.keep(question, result)
    return result


def _answer(oracle: Oracle, question: Question) -> Evaluation:
    try:
        return answer(oracle, [question])[0]
    except StoppedError:
        raise
    except BaseException as error:
        return question.failed(Status.FAILED, text_of(error))


def _name(question: Question) -> str:
    return f"{question.asked}-{question.attempt}"
