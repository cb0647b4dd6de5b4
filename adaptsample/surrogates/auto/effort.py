"""How much a search may cost, and what it leaves out to cost less.

All of it is counted in fits and operations, never by a clock. The cheap members are the same for
all; what is spared are fits that could hardly win.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import Final, Literal, TypeAlias, final

from adaptsample.surrogates.auto.portfolio import Member
from adaptsample.surrogates.auto.thresholds import MANY_POINTS
from adaptsample.surrogates.protocol import Surrogate

EffortName: TypeAlias = Literal["quick", "standard", "thorough"]
EFFORTS: Final[tuple[EffortName, ...]] = ("quick", "standard", "thorough")


@final
@dataclass(frozen=True)
class Effort:
    """The limits of a search.

    Attributes:
        level: its place among the efforts; members that need more are left out.
        margin: a candidate so many times worse than the best is not gone on with; infinite to go on
            with everything.
        good: members that cost much are not tried where others err less than this.
        n_transforms: output transforms that a member is drafted with at most, besides the identity;
            those that did best so far.
    """

    level: int
    margin: float
    good: float
    n_transforms: int

    @classmethod
    def named(cls, name: EffortName) -> "Effort":
        """Return the effort of a name."""
        return _EFFORTS[name]

    def on(self, n: int, dimension: int) -> "Effort":
        """Return the effort of a whole search on so many points.

        Where they are many the best of the members may be far behind at first: one that needs many
        points gains most from its longer fit. So none is left out for that, from the standard
        effort on.
        """
        is_patient = self.level > 0 and n >= MANY_POINTS * dimension
        return replace(self, margin=inf, good=_EFFORTS["thorough"].good) if is_patient else self

    @property
    def is_thorough(self) -> bool:
        """Whether all is fitted at length."""
        return self.level == _EFFORTS["thorough"].level

    @property
    def is_patient(self) -> bool:
        """Whether nothing is left out because it seems far behind."""
        return self.margin == inf

    def draft(self, member: Member, *, is_between: bool = False) -> Surrogate:
        """Return the draft of a member, in a search of the whole portfolio or between two."""
        if self.is_thorough:
            return member.draft
        return (member.glance if is_between else None) or member.quick or member.draft


_EFFORTS: Final[dict[EffortName, Effort]] = {
    "quick": Effort(level=0, margin=2.0, good=1e-2, n_transforms=1),
    "standard": Effort(level=1, margin=3.0, good=1e-4, n_transforms=2),
    "thorough": Effort(level=2, margin=inf, good=1e-5, n_transforms=4),
}
