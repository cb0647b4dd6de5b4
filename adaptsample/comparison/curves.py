"""How errors fell in runs, read from their run files."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from math import inf, isinf, log
from pathlib import Path
from typing import Any, final

import numpy as np

from adaptsample.comparison.measures import Measure
from adaptsample.comparison.repeat import MALFORMED, labels_of
from adaptsample.errors import LedgerError
from adaptsample.record.run_file import Recorded, read

SMALLEST_ERROR = 1e-16
"""What an error of 0 is drawn as: below rounding nothing can be told apart on a log axis."""

_SETTINGS = (
    "surrogate",
    "strategy",
    "batch_size",
    "design",
    "gradient_cost",
    "retries",
    "record_every",
    "asynchronous",
)


@final
@dataclass(frozen=True)
class Curve:
    """The errors of one run, from the initial design to the end.

    Args:
        oracle: what was approximated.
        rival: with what; surrogate and strategy.
        seed: runs with the same seed began with the same points, and are pairs.
        evaluations: evaluations charged so far, ascending, gradients and failures included.
        errors: of the models fitted on exactly these, above 0.
        dimension: variables of the oracle.
        start: stands for the initial design; runs with the same one began with the same points.
        budget: of the run; the last model stands for all of it if it ended earlier of itself.
        is_finished: False if the run stopped, or is not there yet; then there may be no errors.
        scale: the largest absolute value among the first ones; rounding is relative to it.
        task: states what was approximated, as JSON; two texts are two functions.
        settings: states what else decides the run, but for the number of initial points.
        path: of the run file, if it was read from one.

    Raises:
        ValueError: no errors of a finished run, or not as many as evaluations.
    """

    oracle: str
    rival: str
    seed: int
    evaluations: tuple[float, ...]
    errors: tuple[float, ...]
    dimension: int = 1
    start: str = ""
    budget: float = 0.0
    is_finished: bool = True
    scale: float = 0.0
    task: str = ""
    settings: str = ""
    path: Path | None = None

    def __post_init__(self) -> None:
        if (self.is_finished and not self.errors) or len(self.errors) != len(self.evaluations):
            raise ValueError(
                f"{self.oracle}, {self.rival}, seed {self.seed}: "
                f"{len(self.errors)} errors for {len(self.evaluations)} numbers of evaluations"
            )

    @property
    def reach(self) -> float:
        """The evaluations up to which the run can be compared with others."""
        last = self.evaluations[-1] if self.evaluations else 0.0
        return max(last, self.budget) if self.is_finished else last

    def at(self, n: float) -> float:
        """Return the error of the last model that n evaluations paid for, infinite if none."""
        i = bisect_right(self.evaluations, n)
        return self.errors[i - 1] if i else inf

    def evaluations_to(self, level: float) -> float:
        """Return the evaluations at which the error first is a level, infinite if it never is.

        Between two models the error falls log-linearly.
        """
        if self.errors and self.errors[0] <= level:
            return self.evaluations[0]
        for (n0, e0), (n1, e1) in pairwise(zip(self.evaluations, self.errors, strict=True)):
            if e1 <= level:
                return n0 + (n1 - n0) * log(e0 / level) / log(e0 / e1)
        return inf

    def area(self, n: float) -> float:
        """Return the mean of log10 error up to n evaluations, piecewise linear between models."""
        spent = np.array([*(e for e in self.evaluations if e < n), n])
        height = np.interp(spent, self.evaluations, np.log10(self.errors))
        width = spent[-1] - spent[0]
        return float(np.trapezoid(height, spent) / width) if width > 0 else float(height[-1])


def read_curves(
    places: Iterable[Path], *, measure: Measure = "mae"
) -> tuple[list[Curve], list[str]]:
    """Return the curves of all runs in some places, and what was left out and why.

    Oracle and rival are called what their folders are, ``<oracle>/<rival>/seed-000.jsonl``, or what
    these stand for. Runs of different things may be called the same: see `comparable`.

    Args:
        places: run files, or anyone's folders, in which each run file is read once.
        measure: which error.
    """
    curves, left_out = [], []
    found: dict[Path, Path] = {}
    for place in places:
        for path in [place] if place.is_file() else sorted(place.rglob("seed-*.jsonl")):
            found.setdefault(path.resolve(), path)
    for path in found.values():
        try:
            made = _curve(read(path), measure)
        except LedgerError as error:
            made = str(error)
        except MALFORMED as error:
            made = f"holds records that no run makes ({type(error).__name__}: {error})"
        if isinstance(made, Curve):
            curves.append(made)
        else:
            left_out.append(made if str(path) in made else f"{path}: {made}")
    return curves, left_out


def _curve(recorded: Recorded, measure: Measure) -> Curve | str:
    """Return the curve, or why there is none."""
    spec, end = recorded.spec, recorded.end
    if not spec or recorded.damaged:
        return f"damaged in lines {', '.join(map(str, recorded.damaged))}"
    measured = [r for r in recorded.rounds if r["errors"]]
    if recorded.rounds and not measured:
        return "exact values are not known, so there are no errors"
    oracle, rival = labels_of(recorded)
    first = [record for record in recorded.evaluations if record["round"] == 0]
    return Curve(
        oracle=oracle,
        rival=rival,
        seed=spec["seed"],
        evaluations=tuple(float(r["n_evaluations"]) for r in measured),
        errors=tuple(max(float(r["errors"][measure]), SMALLEST_ERROR) for r in measured),
        dimension=len(spec["domain"]),
        start=_digest(sorted(record["x"] for record in first)),
        budget=_finite(end["budget"]) if end else 0.0,
        is_finished=end is not None,
        scale=max((abs(y) for record in first for y in record["y"] or ()), default=0.0),
        task=_task(spec),
        settings=json.dumps({key: spec.get(key) for key in _SETTINGS}, sort_keys=True),
        path=recorded.path,
    )


def _task(spec: Mapping[str, Any]) -> str:
    """Return what was approximated; a program that is told the run's seed is one for all seeds."""
    oracle = spec["oracle"]
    if isinstance(oracle, Mapping) and oracle.get("seed") == spec["seed"]:
        oracle = {key: value for key, value in oracle.items() if key != "seed"}
    # the order of variables matters
    return json.dumps({"oracle": oracle, "domain": list(spec["domain"].items())}, sort_keys=True)


def _finite(budget: float | None) -> float:
    return 0.0 if budget is None or isinf(budget) else float(budget)


def _digest(points: list[list[float]]) -> str:
    return blake2b(repr(points).encode(), digest_size=8).hexdigest()
