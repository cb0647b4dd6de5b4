"""How errors fell in runs, read from their run files."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from math import inf, log
from pathlib import Path
from typing import Literal, TypeAlias, final

import numpy as np

from adaptsample.ledger import LedgerError, Recorded, read

Measure: TypeAlias = Literal["mae", "rmse", "max"]

SMALLEST_ERROR = 1e-16
"""What an error of 0 is drawn as: below rounding nothing can be told apart on a log axis."""


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
        path: of the run file, if it was read from one.

    Raises:
        ValueError: no errors, or not as many as evaluations.
    """

    oracle: str
    rival: str
    seed: int
    evaluations: tuple[float, ...]
    errors: tuple[float, ...]
    dimension: int = 1
    start: str = ""
    path: Path | None = None

    def __post_init__(self) -> None:
        if not self.errors or len(self.errors) != len(self.evaluations):
            raise ValueError(
                f"{self.oracle}, {self.rival}, seed {self.seed}: "
                f"{len(self.errors)} errors for {len(self.evaluations)} numbers of evaluations"
            )

    def at(self, n: float) -> float:
        """Return the error of the last model that n evaluations paid for, infinite if none."""
        i = bisect_right(self.evaluations, n)
        return self.errors[i - 1] if i else inf

    def evaluations_to(self, level: float) -> float:
        """Return the evaluations at which the error first is a level, infinite if it never is.

        Between two models the error falls log-linearly.
        """
        if self.errors[0] <= level:
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
    folders: Iterable[Path], *, measure: Measure = "mae", floor: float = 1e-15
) -> tuple[list[Curve], list[str]]:
    """Return the curves of all finished runs below some folders, and what was left out and why.

    Oracle and rival are called what their folders are: ``<oracle>/<rival>/seed-000.jsonl``.

    Args:
        folders: anyone's; each run file below them is read once.
        measure: which error.
        floor: errors below it are rounding, and are taken for it.
    """
    curves, left_out = [], []
    found = {path.resolve(): path for folder in folders for path in folder.rglob("seed-*.jsonl")}
    for path in sorted(found.values()):
        try:
            curve, reason = _curve(read(path), measure, floor)
        except LedgerError as error:
            curve, reason = None, str(error)
        if curve is None:
            left_out.append(f"{path}: {reason}")
        else:
            curves.append(curve)
    return curves, left_out


def _curve(recorded: Recorded, measure: Measure, floor: float) -> tuple[Curve | None, str]:
    """Return the curve, or why there is none."""
    if not recorded.spec or recorded.damaged:
        return None, f"damaged in lines {', '.join(map(str, recorded.damaged))}"
    if recorded.end is None:
        return None, "unfinished"
    measured = [r for r in recorded.rounds if r["errors"]]
    if not measured:
        return None, "exact values are not known, so there are no errors"
    path = recorded.path
    return (
        Curve(
            oracle=path.parent.parent.name,
            rival=path.parent.name,
            seed=recorded.spec["seed"],
            evaluations=tuple(float(r["n_evaluations"]) for r in measured),
            errors=tuple(max(float(r["errors"][measure]), floor) for r in measured),
            dimension=len(recorded.spec["domain"]),
            start=_start(recorded),
            path=path,
        ),
        "",
    )


def _start(recorded: Recorded) -> str:
    points = sorted(record["x"] for record in recorded.evaluations if record["round"] == 0)
    return blake2b(repr(points).encode(), digest_size=8).hexdigest()
