"""The automatic choice: many surrogates and output transforms, judged by cross-validation.

No family is best for all functions. Each member of the portfolio is drafted, cheap ones first, with
the output as it is and transformed (log, reciprocal, square root), and judged by the error of its
held-out predictions in the units of the output. The best few get a second, longer fit; those near
the best form a committee, which predicts with the weights that have the least held-out error, and
whose disagreement shows where the choice is still open.

Two safeguards keep flexible members from winning by chance: an error counts for more if there are
few points per parameter, and a *bold* member (several creases) must stand a trial: found
afresh from a part of the data it must predict the rest better than the others do. A jump and
those that seem as good as it are compared in that way as well.

In a loop the models near the best are refitted, and the whole portfolio is searched again only
when the data has grown enough or the refits disappoint.

What a search costs is a setting, counted in fits and operations. With less than a thorough effort
drafts are shorter, and what is far behind is not gone on with; what was left out is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator, draw_seed
from adaptsample.core.scaling import spread_of
from adaptsample.core.shapes import Points, Values
from adaptsample.core.threads import in_parallel, one_thread
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates.auto.candidate import Score
from adaptsample.surrogates.auto.effort import EFFORTS, Effort, EffortName
from adaptsample.surrogates.auto.ensemble import Outcome
from adaptsample.surrogates.auto.portfolio import MEMBERS, Member
from adaptsample.surrogates.auto.search import Search
from adaptsample.surrogates.auto.transforms import TRANSFORMS, TransformName
from adaptsample.surrogates.conversion import accepts_arrays


@final
@dataclass(frozen=True)
class Auto:
    """Chooses among surrogates and output transforms by cross-validation.

    Args:
        members: the portfolio, cheap members first.
        transforms: the output transforms to try, where the values allow.
        effort: "quick" where an evaluation takes no longer than a fit, polynomials and Gaussian
            processes above all; "standard"; "thorough" where it takes minutes: nothing is left out.

    Raises:
        ValueError: all members are bold or take more effort, the identity is not among the
            transforms, or an unknown effort.
    """

    members: tuple[Member, ...] = MEMBERS
    transforms: tuple[TransformName, ...] = TRANSFORMS
    effort: EffortName = "standard"

    def __post_init__(self) -> None:
        if "identity" not in self.transforms:
            raise ValueError(
                f"transforms need 'identity', which alone is always legal, got {self.transforms}"
            )
        if self.effort not in EFFORTS:
            raise ValueError(f"effort must be one of {EFFORTS}, got {self.effort!r}")
        level = Effort.named(self.effort).level
        if all(member.is_bold or member.level > level for member in self.members):
            raise ValueError(
                f"members need one that is not bold and takes no more than the effort "
                f"{self.effort!r}, got {self.members}"
            )

    @warns_of_degenerate_data
    def fit(
        self, data: Dataset, *, generator: Generator, start: "AutoModel | None" = None
    ) -> "AutoModel":
        """Choose for each output on its own; what ``start`` found is refitted first."""
        seed = draw_seed(generator)
        foretold = None if start is None else _foretold(start, data)

        def outcome(k: int) -> Outcome:
            search = Search(
                self.members,
                self.transforms,
                Dataset(data.x, data.y[:, k : k + 1]),
                effort=Effort.named(self.effort),
                seed=draw_seed(derive_generator(seed, "output", k)),
            )
            if start is None or foretold is None:
                return search.run(None)
            return search.run(start.outcomes[k], foretold[:, k])

        with one_thread():
            outcomes = in_parallel([partial(outcome, k) for k in range(data.y.shape[1])])
        return AutoModel(data, tuple(outcomes))


def _foretold(model: "AutoModel", data: Dataset) -> Values:
    """Return what a model predicts at the points that it did not know; NaN at the others."""
    known = {row.numpy().tobytes() for row in model.data.x}
    is_known = torch.tensor([row.numpy().tobytes() in known for row in data.x])
    return torch.where(is_known[:, None], nan, model.predict(data.x))


@final
@dataclass(frozen=True, eq=False)
class AutoModel:
    """The best candidate for each output, and those near it, weighted."""

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
        """What the committee is and how all candidates did, for each output.

        Also what the last search left out, and how many points there were when it was of the whole
        portfolio.
        """
        return {
            "chosen": [
                [
                    {**vars(candidate.score), "weight": weight}
                    for candidate, weight in zip(
                        outcome.committee, outcome.weights.tolist(), strict=True
                    )
                ]
                for outcome in self.outcomes
            ],
            "tried": [[vars(score) for score in outcome.scores] for outcome in self.outcomes],
            "n_searched": [outcome.n_searched for outcome in self.outcomes],
            "left_out": [[vars(one) for one in outcome.left_out] for outcome in self.outcomes],
        }

    @property
    def noise_std(self) -> Float[Tensor, " k"]:
        """Standard deviation of the noise as the committee sees it; NaN where no member does."""
        return self.data.noise_std(torch.stack([outcome.noise_std for outcome in self.outcomes]))

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Predict by the weighted mean of each output's committee."""
        return torch.stack([outcome.predict(x) for outcome in self.outcomes], dim=1)

    @accepts_arrays
    def committee(self, x: Points) -> Float[Tensor, "m n k"]:
        """Predict by all candidates near the best, and by all that these take for possible.

        Where there are fewer for one output than for another, the first repeats.
        """
        columns = [outcome.hypotheses(x) for outcome in self.outcomes]
        n_members = max(len(column) for column in columns)
        padded = [
            torch.cat([column, column[:1].expand(n_members - len(column), -1)])
            for column in columns
        ]
        return torch.stack(padded, dim=2)

    @accepts_arrays
    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return each output's derivatives with respect to the winner's parameters, or terms.

        They are in units of the output's spread.
        """
        parts = zip(self.outcomes, self._spread, strict=True)
        return torch.cat([outcome.winner.features(x) / spread for outcome, spread in parts], dim=1)

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Value minus the winner's prediction without the point, as large as is to be feared."""
        del generator  # known from the search
        residuals = [outcome.winner.residuals for outcome in self.outcomes]
        return self.data.by_row(torch.stack(residuals, dim=1) * self._spread)

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the root mean square of the members' own deviations and their disagreement.

        That is the standard deviation of the mixture, in the units of the data. It grows with the
        distance from the data's box, as those of the members do.
        """
        columns = []
        for outcome, spread in zip(self.outcomes, self._spread, strict=True):
            predictions = outcome.committee_predictions(x) / spread
            own = torch.stack([candidate.std(x) for candidate in outcome.committee]) / spread
            off = predictions - outcome.weights @ predictions
            columns.append((outcome.weights @ (own.square() + off.square())).sqrt())
        return torch.nan_to_num(torch.stack(columns, dim=1) * self._spread)

    @property
    def _spread(self) -> Float[Tensor, " k"]:
        return spread_of(self.data.y)
