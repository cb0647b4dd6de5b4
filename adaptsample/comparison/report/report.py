"""One HTML page about many runs, which needs no network and nothing beside itself.

Run files may come from anybody. So the page has no markup made from them: they are data in it, as
JSON in which no character can end the block, which a script puts into the page as text. A content
security policy lets this script run, no other, and nothing be loaded.
"""

import base64
import hashlib
import json
import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias, final

from adaptsample.comparison.curves import SMALLEST_ERROR
from adaptsample.comparison.repeat import MALFORMED, command_of, labels_of
from adaptsample.core.files import Record
from adaptsample.core.text import printable
from adaptsample.errors import LedgerError
from adaptsample.record.run_file import Recorded, read

MEASURES = ("mae", "rmse", "max")
MOST_NUMBERS = 1_000_000
"""Numbers of point clouds that a page may hold, some 10 MB; later seeds go without."""

Json: TypeAlias = dict[str, Any]
_DIGITS = 6
_LONGEST_MESSAGE = 500
_UNSAFE = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})


@final
@dataclass(frozen=True)
class Report:
    """What a page shows.

    Args:
        data: the page's data, as plain JSON values.
        problems: a line for each run file that could not be read, or not in full.
    """

    data: Json
    problems: tuple[str, ...]

    def to_html(self) -> str:
        """Return the page."""
        style, script = _template("report.css"), _template("report.js")
        policy = (
            f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
            "base-uri 'none'; form-action 'none'"
        )
        parts = {"policy": policy, "style": style, "script": script, "data": _embedded(self.data)}
        # all at once, so that nothing is looked for in what was put in
        return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _template("report.html"))


@final
@dataclass(frozen=True)
class _Fall:
    """How the error fell in a run: evaluations, and the errors in the order of `MEASURES`."""

    evaluations: Sequence[float]
    errors: Sequence[Sequence[float]]
    finished: bool

    def at(self, n: float) -> Sequence[float] | None:
        """Return the last errors measured by then; None before the first or after a break."""
        if not self.evaluations[0] <= n <= (math.inf if self.finished else self.evaluations[-1]):
            return None
        return self.errors[bisect_right(self.evaluations, n) - 1]


@final
@dataclass(frozen=True)
class _Reading:
    """A run as it was read: where, called what, and what is shown of it."""

    folder: Path
    labels: tuple[str, str]
    shown: Json
    fall: _Fall | None
    made: str


def read_report(folders: Sequence[Path]) -> Report:
    """Read every run file (``seed-*.jsonl``) below some folders.

    Raises:
        ValueError: a folder that is none, or no run file in any of them.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder; give one that holds run files")
    # a path twice is one run; first seeds come first, so that they have their points
    found = {p.resolve(): p for folder in folders for p in folder.rglob("seed-*.jsonl")}
    if not found:
        names = ", ".join(map(str, folders))
        raise ValueError(f"no run file (seed-*.jsonl) below {names}; `adaptsample run` makes some")
    readings: list[_Reading] = []
    problems: list[str] = []
    numbers_left = MOST_NUMBERS
    for path in sorted(found.values(), key=lambda p: (p.name, p)):
        try:
            recorded = read(path)
            reading = _reading(recorded, numbers_left)
        except LedgerError as error:
            problems.append(str(error))
            continue
        except MALFORMED as error:
            kind = type(error).__name__
            problems.append(f"{path} holds records that no run makes ({kind}: {error})")
            continue
        readings.append(reading)
        numbers_left -= sum(map(len, chain(reading.shown["x"] or (), reading.shown["y"] or ())))
        if recorded.damaged:
            lines = ", ".join(map(str, recorded.damaged[:20]))
            problems.append(f"{path} has damaged lines, which are left out: {lines}")
    named = sorted(printable(problem, _LONGEST_MESSAGE) for problem in problems)
    return Report(_data(folders, readings, named), tuple(named))


def _data(folders: Sequence[Path], readings: Sequence[_Reading], problems: Sequence[str]) -> Json:
    named = [
        (oracle, rival, reading)
        for (oracle, rival), reading in zip(_names(readings), readings, strict=True)
    ]
    named.sort(key=lambda entry: (*entry[:2], entry[2].shown["seed"], entry[2].shown["path"]))
    oracles = sorted({oracle for oracle, _, _ in named})
    rivals = sorted({rival for _, rival, _ in named})
    made = sorted({reading.made for reading in readings})
    falls: dict[tuple[int, int], list[_Fall]] = {}
    runs = []
    for oracle, rival, reading in named:
        place = oracles.index(oracle), rivals.index(rival)
        if reading.fall is not None:
            falls.setdefault(place, []).append(reading.fall)
        numbers = {"oracle": place[0], "rival": place[1], "made": made.index(reading.made)}
        runs.append({**numbers, **reading.shown})
    return {
        "folders": list(map(str, folders)),
        "oracles": oracles,
        "rivals": rivals,
        "made": made,
        "problems": list(problems),
        "n_without_points": sum(run["x"] is None for run in runs),
        "curves": [
            {"oracle": oracle, "rival": rival, **_curve(found)}
            for (oracle, rival), found in sorted(falls.items())
        ],
        "runs": runs,
    }


def _names(readings: Sequence[_Reading]) -> list[tuple[str, str]]:
    """Return what to call the oracle and its rival of each run: folders where that is ambiguous."""
    oracle_folders: dict[str, set[str]] = defaultdict(set)
    for reading in readings:
        oracle_folders[reading.labels[0]].add(reading.folder.parent.name)
    oracles = [
        reading.labels[0]
        if len(oracle_folders[reading.labels[0]]) == 1
        else reading.folder.parent.name
        for reading in readings
    ]
    folders: dict[tuple[str, str], set[Path]] = defaultdict(set)
    for oracle, reading in zip(oracles, readings, strict=True):
        folders[oracle, reading.labels[1]].add(reading.folder)
    return [
        (oracle, rival if len(folders[oracle, rival]) == 1 else f"{rival} ({reading.folder})")
        for oracle, reading in zip(oracles, readings, strict=True)
        for rival in reading.labels[1:]
    ]


def _reading(recorded: Recorded, numbers_left: int) -> _Reading:
    """Return what is shown of a run.

    Raises:
        LedgerError: its first line is damaged; or any of `MALFORMED`, if it holds something else.
    """
    spec, end, rounds = recorded.spec, recorded.end, recorded.rounds
    if not spec:
        raise LedgerError(f"{recorded.path} does not say what was run: its first line is damaged")
    measured = [
        record for record in rounds if all(_is_number(record["errors"].get(m)) for m in MEASURES)
    ]
    paid = math.fsum(record["price"] for record in recorded.evaluations)
    failed = sum(record["y"] is None for record in recorded.evaluations)
    status = printable(end["status"], 40) if end else f"unfinished, {paid:g} paid"
    points = _points(recorded)
    size = sum(map(len, chain(points["x"], points["y"])))
    command = command_of(recorded)
    commit = spec.get("commit") or "unknown"
    versions = [f"{name} {version}" for name, version in (spec.get("versions") or {}).items()]
    fall = _Fall(
        [record["n_evaluations"] for record in measured],
        [[max(record["errors"][m], SMALLEST_ERROR) for m in MEASURES] for record in measured],
        finished=end is not None,
    )
    return _Reading(
        folder=recorded.path.parent,
        labels=labels_of(recorded),
        shown={
            "path": str(recorded.path),
            "seed": int(spec["seed"]),
            "n_evaluations": _rounded(rounds[-1]["n_evaluations"] if rounds else paid),
            "errors": [_rounded(rounds[-1]["errors"].get(m) if rounds else None) for m in MEASURES],
            "seconds": _rounded(rounds[-1]["seconds"] if rounds else None),
            "status": status + (f", {failed} failed" if failed else ""),
            "command": command,
            "spec": None if command else _written(spec),
            **(points if size <= numbers_left else dict.fromkeys(points)),
        },
        fall=fall if measured else None,
        made=f"{', '.join(versions) or 'unknown'}; commit {commit}",
    )


def _points(recorded: Recorded) -> Json:
    """Return what was asked, by coordinate, and what came back, by output."""
    domain: Mapping[str, Sequence[float]] = recorded.spec["domain"]
    evaluations = recorded.evaluations
    n_outputs = max((len(e["y"]) for e in evaluations if e["y"] is not None), default=1)
    outputs = [
        [None if e["y"] is None else float(e["y"][k]) for e in evaluations]
        for k in range(n_outputs)
    ]
    # a message is kept once, however often it came
    reasons: dict[str, int] = {}
    failed = []
    for i, e in enumerate(evaluations):
        if e["y"] is None:
            text = printable(f"{e['status']}: {e['message']}", _LONGEST_MESSAGE)
            failed.append([i, reasons.setdefault(text, len(reasons))])
    return {
        "names": list(domain),
        "bounds": [[float(low), float(high)] for low, high in domain.values()],
        "x": [
            [_rounded(e["x"][j], high - low) for e in evaluations]
            for j, (low, high) in enumerate(domain.values())
        ],
        "y": [
            [_rounded(value, width) for value in output]
            for output, width in zip(outputs, map(_width, outputs), strict=True)
        ],
        "round": [int(e["round"]) for e in evaluations],
        "failed": failed,
        "messages": list(reasons),
    }


def _curve(falls: Sequence[_Fall]) -> Json:
    """Return how several runs fell: the geometric mean, the least and the largest error."""
    first = max(fall.evaluations[0] for fall in falls)
    curve: Json = {"n": [], "seeds": [], **{measure: ([], [], []) for measure in MEASURES}}
    for n in sorted({n for fall in falls for n in fall.evaluations if n >= first}):
        known = [errors for fall in falls if (errors := fall.at(n)) is not None]
        curve["n"].append(_rounded(n))
        curve["seeds"].append(len(known))
        for measure, values in zip(MEASURES, zip(*known, strict=True), strict=True):
            mean = math.exp(math.fsum(map(math.log, values)) / len(values))
            for column, value in zip(curve[measure], (mean, min(values), max(values)), strict=True):
                column.append(_rounded(value))
    return curve


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _width(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return max(known) - min(known) if known else 0.0


def _rounded(value: float | None, width: float = math.inf) -> float | int | None:
    """Return a number with 6 digits, counted from the range's first one where that is finer."""
    if value is None or not math.isfinite(value):
        return None
    digits = _DIGITS
    if 0 < width < abs(value):
        digits += math.ceil(math.log10(abs(value)) - math.log10(width))
    short = float(f"{float(value):.{min(digits, 17)}g}")
    return int(short) if short.is_integer() and abs(short) < 10**_DIGITS else short


def _written(spec: Record) -> str:
    return json.dumps(
        {k: v for k, v in spec.items() if k not in ("versions", "commit", "checksum")}
    )


def _embedded(data: Json) -> str:
    """Return JSON in which no character can end, or start, a tag, a comment or an entity."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII, so no U+2028 either
    return text.translate(_UNSAFE)


def _template(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
