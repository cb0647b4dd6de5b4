"""Ask and tell for people at a shell: every call is a process of its own, the run file is all.

A run can be used from several shells at once: each call waits for its turn, reads the run file,
appends to it and goes. Points that were handed out are on file as pending before anybody sees them,
so nobody is handed the same point twice; they stay so until a result comes, however late.
"""

import json
import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np

from adaptsample.core.domain import Box
from adaptsample.core.text import check_file_name, printable
from adaptsample.errors import LedgerBusyError, LedgerError
from adaptsample.evaluation.evaluation import Evaluation, Status
from adaptsample.loop.sampler import Sampler
from adaptsample.loop.specification import Specification
from adaptsample.oracles.command import request_line
from adaptsample.record.ledger import Ledger
from adaptsample.record.run_file import Recorded, read

_LONGEST_LINE = 1 << 24
_LONGEST_REASON = 1000


@final
@dataclass(frozen=True)
class Told:
    """What became of one line of results.

    Args:
        line: its number, from 1.
        outcome: ``"recorded"``, ``"failed"`` (recorded as a failed evaluation), ``"known"`` (the
            same was told before) or ``"refused"``.
        message: why, if it is not recorded as a value.
    """

    line: int
    outcome: str
    message: str = ""


def create(
    path: Path,
    bounds: Mapping[str, tuple[float, float]],
    *,
    surrogate: str,
    strategy: str,
    **settings: Any,
) -> None:
    """Start a run file.

    Args:
        path: of it.
        bounds: of the variables, by name.
        surrogate: text of the recipe.
        strategy: text of the recipe.
        settings: others of the specification.

    Raises:
        ValueError: a name, a bound or a recipe that cannot be used.
        LedgerError: the file is there already, or cannot be written.
    """
    check_file_name(path.name)
    if path.suffix == ".lock":
        raise ValueError(f"{path} would be its own lock file; choose another ending, as .jsonl")
    as_written: dict[str, Any] = {"surrogate": surrogate, "strategy": strategy}
    specification = Specification(Box(bounds), **as_written, **settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))  # it is ours
    except OSError as error:
        if path.exists():
            raise LedgerError(f"{path} is there already; choose another name") from None
        raise LedgerError(f"cannot write the run file {path}: {error.strerror}") from error
    Ledger.create(path, {**specification.to_record(), "as_written": as_written}).close()


def open_file(path: Path) -> Recorded:
    """Read a run file.

    Raises:
        LedgerError: it is not there, or it is no run file.
    """
    if not path.exists():
        raise LedgerError(
            f"there is no run file {path}; `adaptsample create {path} --bound ...` starts one"
        )
    return read(path)


@contextmanager
def opened(path: Path, *, on_wait: Callable[[str], None]) -> Iterator[Sampler]:
    """Give the run's sampler, as soon as nobody else writes to the run file.

    Args:
        path: the run file.
        on_wait: called once, with the reason, if that takes longer than a moment.

    Raises:
        LedgerError: an oracle makes the evaluations of this run, or its file cannot be used.
        ValueError: the file does not say what surrogate or strategy the run has.
    """
    spec = open_file(path).spec
    if spec.get("oracle") is not None:
        raise LedgerError(f"the oracle of {path} makes its evaluations itself; resume it instead")
    started, waiting = time.monotonic(), False
    while True:
        try:
            sampler = Sampler.resume(path, **spec.get("as_written", {}))
            break
        except LedgerBusyError as busy:
            if not waiting and time.monotonic() - started > 1:
                on_wait(str(busy))
                waiting = True
            time.sleep(0.02)
    try:
        yield sampler
    finally:
        sampler.close()


def ask(sampler: Sampler, n: int) -> list[dict[str, Any]]:
    """Return n points to evaluate, as `CommandOracle` asks a program; they are pending now."""
    return requests(sampler.ask(n).tolist(), sampler.domain.names, sampler.spec.seed)


def requests(points: list[list[float]], names: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Return points as a program is asked for them."""
    return [request_line(x, names, seed) for x in points]


def lines_as_they_come(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the lines of a stream, as many at a time as have arrived.

    Raises:
        ValueError: a line longer than 16 MiB.
    """
    rest = b""
    while chunk := stream.read1(1 << 16):  # type: ignore[attr-defined]  # of buffered streams
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines
        if len(rest) > _LONGEST_LINE:
            raise ValueError(f"a line is longer than {_LONGEST_LINE:,} bytes")
    if rest:
        yield [rest]


def tell(sampler: Sampler, lines: Sequence[bytes], *, first: int) -> Iterator[Told]:
    """Record results, one JSON object a line: ``x`` and ``y``, ``gradient`` too, or ``error``.

    What was told before in exactly the same way is not recorded again, so that a file of results
    can be told twice without harm. A line that cannot be used is refused, and the others are kept.

    Args:
        sampler: of the run.
        lines: the results; blank lines are passed over.
        first: number of the first line, for messages.

    Raises:
        LedgerError: the run file cannot be written.
    """
    known = {_recorded_key(evaluation) for evaluation in sampler.evaluations}
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            result = _parse(line)
            key = _told_key(result)
            if key in known:
                yield Told(number, "known")
                continue
            _record(sampler, result)
        except LedgerError:
            raise
        except ValueError as error:
            yield Told(number, "refused", str(error))
            continue
        known.add(key)
        evaluation = sampler.evaluations[-1]
        ok = evaluation.status is Status.OK
        yield Told(number, "recorded" if ok else "failed", evaluation.message)


def _parse(line: bytes) -> dict[str, Any]:
    try:
        result = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(result, dict) or "x" not in result:
        raise ValueError('expected {"x": [...], "y": ...} or {"x": [...], "error": "..."}')
    if result.get("error") is not None:
        reason = result["error"]
        text = reason if isinstance(reason, str) else json.dumps(reason)
        text = printable(text, _LONGEST_REASON) or "no reason was given"
        return {"x": result["x"], "error": text}
    if "y" not in result:
        raise ValueError('there is neither "y" nor "error"')
    return {name: result.get(name) for name in ("x", "y", "gradient")}


def _record(sampler: Sampler, result: Mapping[str, Any]) -> None:
    if "error" in result:
        sampler.tell_failed([result["x"]], result["error"])
        return
    gradient = result["gradient"]
    if isinstance(gradient, list) and not any(isinstance(row, list) for row in gradient):
        gradient = [gradient]  # of the one output
    sampler.tell([result["x"]], [result["y"]], gradient=None if gradient is None else [gradient])


def _told_key(result: Mapping[str, Any]) -> Hashable:
    """Return what tells results apart."""
    x = _flat(result["x"])
    if "error" in result:
        return x, result["error"]
    numbers = _flat(result["y"]), _flat(result["gradient"])
    if not all(map(isfinite, (*numbers[0], *numbers[1]))):
        return x, Status.NON_FINITE
    return x, *numbers


def _recorded_key(evaluation: Evaluation) -> Hashable:
    x = tuple(evaluation.x.tolist())
    if evaluation.y is None:
        failed = evaluation.status is Status.FAILED
        return x, evaluation.message if failed else evaluation.status
    slopes = () if evaluation.gradient is None else evaluation.gradient.flatten().tolist()
    return x, tuple(evaluation.y.tolist()), tuple(slopes)


def _flat(value: object) -> tuple[float, ...]:
    if value is None:
        return ()
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{json.dumps(value)[:200]} is no array of numbers")
    return tuple(array.astype(np.float64).ravel().tolist())
