"""A committee: fits of one recipe that differ by their random starts (a deep ensemble).

Where the data determine the function, members agree; elsewhere each guesses on its own. So their
disagreement tells where the next evaluation is worth most, and it sees what no single model can
know, that a kink was not found or a minimum is a poor one. The median is a better prediction than a
typical member's, and not spoilt by one that failed.

Disagreement is not yet an error: members may all be wrong in the same way. Hence it is multiplied
by a factor that cross-validation gives.

References:
    H. S. Seung, M. Opper and H. Sompolinsky (1992), Query by committee.
    B. Lakshminarayanan, A. Pritzel and C. Blundell (2017), Simple and scalable predictive
    uncertainty estimation using deep ensembles.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import nan
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator, draw_seed
from adaptsample.core.scaling import Scaling, spread_of
from adaptsample.core.shapes import Points, Values
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates.chebyshev import fill_box
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.mlp import MLP
from adaptsample.surrogates.outside import with_doubt_outside
from adaptsample.surrogates.protocol import Model, SupportsCrossValidation, Surrogate, check_fit

ROUNDING = 1e-10
"""Members that differ by less, in units of the spread of the values, are the same."""

N_FOLDS = 5


@final
@dataclass(frozen=True)
class Committee:
    """Several fits of one recipe.

    Args:
        surrogate: the recipe of all members; it has to draw its start at random.
        n_members: how many.

    Raises:
        ValueError: no recipe, one whose ``fit`` takes other arguments, or no members.
    """

    surrogate: Surrogate = MLP()
    n_members: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.surrogate, Surrogate):
            raise ValueError(f"surrogate must be a recipe, got {self.surrogate!r}")
        check_fit(self.surrogate)
        if self.n_members < 1:
            raise ValueError(f"n_members must be at least 1, got {self.n_members}")

    @warns_of_degenerate_data
    def fit(
        self, data: Dataset, *, generator: Generator, start: "CommitteeModel | None" = None
    ) -> "CommitteeModel":
        """Fit all members; each continues from its like in ``start``.

        Raises:
            ValueError: what the recipe of the members refuses.
        """
        seed = draw_seed(generator)
        before = () if start is None else start.members
        members = tuple(
            self.surrogate.fit(
                data,
                generator=derive_generator(seed, "member", i),
                start=before[i] if i < len(before) else None,
            )
            for i in range(self.n_members)
        )
        return CommitteeModel(self.surrogate, members, data, seed)


@final
@dataclass(frozen=True, eq=False)
class CommitteeModel:
    """Fitted members.

    Attributes:
        surrogate: the recipe of the members.
        members: the members.
        data: what they were fitted to.
        seed: of the random numbers of members and calibration.
    """

    surrogate: Surrogate
    members: tuple[Model, ...]
    data: Dataset
    seed: int

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return self.data.x.shape[1]

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Effective number of parameters of the largest member; 0 if members do not say."""
        counts = [m.n_parameters for m in self.members if isinstance(m, SupportsCrossValidation)]
        n_outputs = self.data.y.shape[1]
        return tuple(max((count[k] for count in counts), default=0) for k in range(n_outputs))

    @property
    def doubts(self) -> tuple[float, ...]:
        """How far apart the two closest members are, for each output; NaN of one member.

        That is the mean distance in the data's box, in units of the output's spread.
        """
        scaled = self._predictions(fill_box(self.data.x)) / self._spread
        distances = [(a - b).abs().mean(dim=0) for a, b in combinations(scaled, 2)]
        if not distances:
            return (nan,) * self.data.y.shape[1]
        return tuple(torch.stack(distances).amin(dim=0).nan_to_num().tolist())

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Return the median of the members' predictions."""
        return _median(self._predictions(x))

    @accepts_arrays
    def committee(self, x: Points) -> Float[Tensor, "m n k"]:
        """Return the members' predictions."""
        return self._predictions(x)

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the members' calibrated disagreement, in the units of the data.

        As many held-out residuals are within it as there would be for a normal distribution. It
        grows with the distance from the data's box, beyond a margin.
        """
        std = self._factor * self._disagreement(self._predictions(x)).clamp(max=1e100)
        return with_doubt_outside(torch.nan_to_num(std * self._spread), self.data, x)

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Return value minus the median prediction of members fitted without the point."""
        return self.data.by_row(_median(self._held_out(draw_seed(generator))))

    @cached_property
    def distinct(self) -> tuple[int, ...]:
        """The positions of the members without those that are the same as an earlier one."""
        predictions = self._predictions(fill_box(self.data.x, n=64)) / self._spread
        chosen: list[int] = []
        for i, prediction in enumerate(predictions):
            gaps = [float((prediction - predictions[j]).abs().max()) for j in chosen]
            if all(gap > ROUNDING for gap in gaps):
                chosen.append(i)
        return tuple(chosen)

    @property
    def _spread(self) -> Float[Tensor, " k"]:
        return spread_of(self.data.y)

    def _predictions(self, x: Points) -> Float[Tensor, "m n k"]:
        return torch.stack([member.predict(x) for member in self.members])

    def _disagreement(self, predictions: Float[Tensor, "m n k"]) -> Values:
        """Return the standard deviation among distinct members, in spreads; at least rounding."""
        scaled = predictions[list(self.distinct)] / self._spread
        centred = scaled - scaled.mean(dim=0)
        largest = centred.abs().amax().clamp(min=ROUNDING)  # no squares of huge numbers
        freedom = max(len(centred) - 1, 1)
        std = largest * ((centred / largest).square().sum(dim=0) / freedom).sqrt()
        return std.clamp(min=ROUNDING)

    @cached_property
    def _factor(self) -> Float[Tensor, " k"]:
        """What the disagreement has to be multiplied by."""
        residuals = self._held_out(self.seed)
        ratio = (_median(residuals) / self._spread).abs() / self._disagreement(residuals)
        return ratio.nan_to_num(0.0).quantile(0.6827, dim=0).clamp(max=1e100)

    def _held_out(self, seed: int) -> Float[Tensor, "m n k"]:
        """Return the members' held-out residuals, in the same folds for all of them."""
        return torch.stack([self._held_out_of(i, seed) for i in range(len(self.members))])

    def _held_out_of(self, i: int, seed: int) -> Values:
        member, folds = self.members[i], derive_generator(seed, "folds")
        if isinstance(member, SupportsCrossValidation):  # it draws its folds before all else
            return member.held_out_residuals(generator=folds)
        data = self.data
        fold = torch.randperm(len(data), generator=folds) % N_FOLDS
        residuals = data.y - Scaling.to_moments(data.y).shift
        for k in range(min(N_FOLDS, len(data)) if len(data) > 1 else 0):
            held = (fold == k).nonzero()[:, 0]
            refits = derive_generator(seed, "refits", N_FOLDS * i + k)
            refit = self.surrogate.fit(data.without(held), generator=refits)
            residuals[held] = data.y[held] - refit.predict(data.x[held])
        return residuals


def _median(values: Float[Tensor, "m n k"]) -> Values:
    """Return the median over the first axis; that of an even number is the mean of the middle."""
    ordered = values.sort(dim=0).values
    n = len(ordered)
    return ordered[(n - 1) // 2] / 2 + ordered[n // 2] / 2
