"""A limit on the CPU time of a fit.

Wall time would make a result depend on what else the machine does, CPU time hardly does. Asking for
it is a system call, so it is asked for only once the wall clock, which is always ahead, is over.
"""

from dataclasses import dataclass
from time import monotonic, thread_time
from typing import Self, final


@final
@dataclass(frozen=True)
class Deadline:
    """A moment in the CPU time of the thread that made it."""

    wall: float
    cpu: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the moment that many seconds from now."""
        return cls(monotonic() + seconds, thread_time() + seconds)

    @property
    def is_over(self) -> bool:
        """Whether the moment has passed."""
        return monotonic() > self.wall and thread_time() > self.cpu
