"""A limit on the work of a search, counted and never timed.

A clock would make results depend on the machine, and on what else it does. What is counted are
modelled multiply-adds: of the factorisations and products that a stage consists of, by their sizes,
and a charge for each call of them, which for small matrices is most of what they cost. A billion
take about a second of one core.
"""

from typing import Final, final

CALL: Final = 1e5
"""What a call costs besides its arithmetic, in multiply-adds."""


@final
class Work:
    """Operations done so far, and how many may be done.

    Args:
        limit: operations after which no stage of a search should begin; infinite for no limit.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.done = 0.0

    def count(self, operations: float, *, calls: float = 1.0) -> None:
        """Add what a stage took: multiply-adds, and calls that took them."""
        self.done += operations + CALL * calls

    @property
    def is_over(self) -> bool:
        """Whether the limit is reached."""
        return self.done >= self.limit
