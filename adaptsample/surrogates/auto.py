"""The automatic choice: many surrogates and output transforms, judged by cross-validation.

No family is best for all functions. Each member of the portfolio is drafted, cheap ones first, with
the output as it is and transformed (log, reciprocal, square root), and judged by the error of its
held-out predictions in the units of the output. The best few get a second, longer fit; those near
the best form a committee, whose disagreement shows where the choice is still open.

Two safeguards keep flexible members from winning by chance: an error counts for more if there are
few points per parameter, and a *bold* member (several creases) must beat the others by a factor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import thread_time
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample._types import Points, Values
from adaptsample.data import Dataset
from adaptsample.surrogates._contest import Contest, Member, Outcome, Score, spread_of
from adaptsample.surrogates._conversion import accepts_arrays
from adaptsample.surrogates._crease_forms import Kind
from adaptsample.surrogates._transforms import TransformName
from adaptsample.surrogates.crease import Crease
from adaptsample.surrogates.gaussian_process import GaussianProcess
from adaptsample.surrogates.polynomial import Polynomial

TRANSFORMS: tuple[TransformName, ...] = ("identity", "log", "reciprocal", "sqrt")


BOLD_KINDS: tuple[Kind, ...] = ("abs2", "max", "product")


def _member(kind: Kind, *, after: str = "") -> Member:
    draft, deep = Crease(kind, n_climbs=0, seconds=5.0), Crease(kind, n_starts=0, seconds=10.0)
    return Member(f"crease_{kind}", draft, deep, after=after, is_bold=kind in BOLD_KINDS)


MEMBERS = (
    Member("polynomial", Polynomial(), is_smooth=True),
    Member("gaussian_process", GaussianProcess(), is_smooth=True),
    _member("abs"),
    *(_member(kind, after="crease_abs") for kind in BOLD_KINDS),
)


@final
@dataclass(frozen=True)
class Auto:
    """Chooses among surrogates and output transforms by cross-validation.

    Args:
        members: the portfolio, cheap members first.
        transforms: the output transforms to try, where the values allow.
        seconds: CPU time after which no candidate is begun; wall time would make the choice depend
            on what else the machine does.

    Raises:
        ValueError: all members are bold, or the identity is not among the transforms.
    """

    members: tuple[Member, ...] = MEMBERS
    transforms: tuple[TransformName, ...] = TRANSFORMS
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if all(member.is_bold for member in self.members):
            raise ValueError(f"members need one that is not bold, got {self.members}")
        if "identity" not in self.transforms:
            raise ValueError(
                f"transforms need 'identity', which alone is always legal, got {self.transforms}"
            )

    def fit(
        self, data: Dataset, *, generator: Generator, start: "AutoModel | None" = None
    ) -> "AutoModel":
        """Choose for each output on its own; ``start``'s choice is refitted first."""
        begin, n_outputs = thread_time(), data.y.shape[1]
        outcomes = []
        for k in range(n_outputs):
            deadline = begin + self.seconds * (k + 1) / n_outputs
            one = Dataset(data.x, data.y[:, k : k + 1])
            contest = Contest(self.members, self.transforms, one, deadline, generator)
            outcomes.append(contest.run(None if start is None else start.outcomes[k].winner))
        return AutoModel(data, tuple(outcomes))


@final
@dataclass(frozen=True, eq=False)
class AutoModel:
    """The winner for each output, and the candidates near it."""

    data: Dataset
    outcomes: tuple[Outcome, ...]

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return self.data.x.shape[1]

    @property
    def scores(self) -> tuple[tuple[Score, ...], ...]:
        """How every candidate did, for each output, in the order in which they were tried."""
        return tuple(outcome.scores for outcome in self.outcomes)

    @property
    def choice(self) -> Mapping[str, Any]:
        """The winner's score and all candidates', for each output, for the record."""
        return {
            "chosen": [vars(outcome.winner.score) for outcome in self.outcomes],
            "tried": [[vars(score) for score in outcome.scores] for outcome in self.outcomes],
        }

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Predict by each output's winner."""
        return torch.stack([outcome.winner.predict(x) for outcome in self.outcomes], dim=1)

    @accepts_arrays
    def committee(self, x: Points) -> Float[Tensor, "m n k"]:
        """Predict by all candidates near the best; where there are fewer, the winner repeats."""
        n_members = max(len(outcome.committee) for outcome in self.outcomes)
        columns = []
        for outcome in self.outcomes:
            padding = (outcome.winner,) * (n_members - len(outcome.committee))
            predictions = [candidate.predict(x) for candidate in outcome.committee + padding]
            columns.append(torch.stack(predictions))
        return torch.stack(columns, dim=2)

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the winner's standard deviation and the committee's spread.

        The root of the sum of their squares, in units of each output's spread.
        """
        columns = []
        for k, outcome in enumerate(self.outcomes):
            spread = spread_of(self.data.y[:, k : k + 1])
            predictions = torch.stack([c.predict(x) / spread for c in outcome.committee])
            disagreement = predictions.std(dim=0, correction=0)
            columns.append(torch.hypot(outcome.winner.std(x) / spread, disagreement))
        return torch.stack(columns, dim=1)
