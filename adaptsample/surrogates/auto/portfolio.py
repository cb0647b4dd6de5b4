"""What the portfolio of the automatic surrogate is made of."""

from dataclasses import dataclass
from typing import final

from adaptsample.surrogates.protocol import Surrogate


@final
@dataclass(frozen=True)
class Member:
    """A family in the portfolio.

    Attributes:
        name: what scores call it.
        draft: a quick fit.
        final: a longer fit that continues from a draft among the best.
        after: the member whose draft this one's draft starts from.
        n_transforms: how many transforms it is drafted with, those that did best so far; None for
            the identity alone.
        max_dimension: with more variables it is left out: it would have too many parameters.
        has_prior: whether a prior keeps its parameters in check, so that many of them do no harm.
        is_bold: whether it is flexible enough to win by chance. Tried last, with the transforms
            that did best.
    """

    name: str
    draft: Surrogate
    final: Surrogate | None = None
    after: str = ""
    n_transforms: int | None = 4
    max_dimension: int | None = None
    has_prior: bool = False
    is_bold: bool = False
