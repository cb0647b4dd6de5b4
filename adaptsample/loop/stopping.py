"""When a run may stop early: its models have foretold enough fresh values.

An error on the points of the fit flatters a model, and a cross-validated error was itself minimised
when the model was chosen. What no choice has seen are the values that come next: each is foretold
before it is paid for. They belong to the run anyway, so confirmation needs no budget of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import final

LEAST, SHARE = 5, 0.1
"""At least so many values must have been foretold in a row, and at least this share of all."""


@final
@dataclass(frozen=True)
class Foretold:
    """A value beside what was predicted of it.

    Attributes:
        error: the largest absolute error of its outputs.
        tells: whether it is more than a value that most points have: where a function is flat, to
            foretell the same again is no proof.
    """

    error: float
    tells: bool


@final
class Confirmation:
    """Counts values foretold in a row to within a tolerance, in the units of the output.

    With m of them an error larger than the tolerance on a share p of the places that the strategy
    asks goes unnoticed with probability (1 - p)^m. Values that tell nothing do not count; foretold
    wrongly, they do.

    Raises:
        ValueError: a tolerance that is not a positive number.
    """

    def __init__(self, tolerance: float) -> None:
        if not (isfinite(tolerance) and tolerance > 0):
            raise ValueError(f"tolerance must be a positive number, got {tolerance}")
        self.tolerance = tolerance
        self._streak = 0

    def observe(self, fresh: Sequence[Foretold]) -> None:
        """Take what was predicted before the values were known."""
        for value in fresh:
            is_right = value.error <= self.tolerance
            self._streak = self._streak + value.tells if is_right else 0

    def is_met(self, n_points: int) -> bool:
        """Tell whether a run of so many points may stop."""
        return self._streak >= max(LEAST, ceil(SHARE * n_points))
