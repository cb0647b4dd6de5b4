"""A fitted member of the portfolio, and how it did."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates.auto.portfolio import Member
from adaptsample.surrogates.auto.thresholds import (
    BOLD_FACTOR,
    COMMITTEE_FACTOR,
    FREE_FACTOR,
    NOISY,
    SOLVED,
)
from adaptsample.surrogates.auto.transforms import Transform, TransformName
from adaptsample.surrogates.protocol import (
    Model,
    SupportsCommittee,
    SupportsFeatures,
    SupportsNoise,
    SupportsParameterGradient,
    SupportsStd,
    capable,
)

_SLOPE_STEP = 1e-4  # in spreads of the transformed output


@final
@dataclass(frozen=True)
class Score:
    """How a candidate did.

    Attributes:
        name: the member.
        transform: the output transform.
        error: cross-validated mean absolute error, in units of the output's spread, with the
            penalty for few points per parameter; at least the distance to another fit.
        n_parameters: effective number of parameters; 0 if the model does not say.
    """

    name: str
    transform: TransformName
    error: float
    n_parameters: int


@final
@dataclass(frozen=True)
class LeftOut:
    """What a search did without.

    Attributes:
        name: the member.
        transform: the output transform; empty for all of them.
        reason: why.
    """

    name: str
    transform: TransformName | Literal[""]
    reason: str


@final
@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted member of one output."""

    member: Member
    transform: Transform
    model: Model
    spread: float  # of the transformed output
    residuals: Float[Tensor, " n"]  # held-out, in units of the output's spread, as large as feared
    score: Score
    is_found_again: bool  # by another fit, whose distance its error accounts for
    is_refitted: bool  # held-out residuals are of fits that did not know the points at all

    @property
    def key(self) -> tuple[str, Transform]:
        """Member and transform."""
        return self.member.name, self.transform

    @property
    def rank(self) -> float:
        """The error by which candidates compare."""
        return self.score.error * self.handicap

    @property
    def handicap(self) -> float:
        """How much dearer its errors are than they look."""
        if self.member.is_bold:
            return BOLD_FACTOR
        return 1.0 if self.member.has_prior or self.is_refitted else FREE_FACTOR

    @property
    def is_solved(self) -> bool:
        """Whether nothing better need be looked for."""
        return self.score.error < SOLVED

    def predict(self, x: Points) -> Float[Tensor, " n"]:
        """Predict in the units of the output."""
        return self.transform.inverse(self.model.predict(x))[:, 0]

    @property
    def noise_std(self) -> Float[Tensor, ""] | None:
        """Standard deviation of the noise in the units of the output, if the model tells."""
        if not isinstance(self.model, SupportsNoise) or self.transform.name != "identity":
            return None
        noise = self.model.noise_std[0]
        return None if noise.isnan() else noise

    def sees(self, best: "Candidate") -> bool:
        """Whether the best candidate's errors are about the noise that this one tells.

        Only one that is about as good itself can know.
        """
        is_near = self.rank <= COMMITTEE_FACTOR * best.rank
        if self.noise_std is None or not is_near or not self.member.has_prior:
            return False
        share = self.noise_std / self.spread / best.residuals.square().mean().sqrt()
        return bool(NOISY < share < 1 / NOISY)

    def hypotheses(self, x: Points) -> Float[Tensor, "m n"]:
        """Predict by all that the model takes for possible: its committee, or itself."""
        if isinstance(self.model, SupportsCommittee):
            return self.transform.inverse(self.model.committee(x))[:, :, 0]
        return self.predict(x)[None]

    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the derivatives of the prediction with respect to the parameters, or terms."""
        if isinstance(self.model, SupportsParameterGradient):
            rows = self.model.parameter_gradient(x)[:, 0]
        else:
            rows = capable(self.model, SupportsFeatures).features(x)
        z, step = self.model.predict(x), _SLOPE_STEP * self.spread
        rise = self.transform.inverse(z + step) - self.transform.inverse(z - step)
        return rows * rise.nan_to_num() / (2 * step)

    def std(self, x: Points) -> Float[Tensor, " n"]:
        """Return the model's standard deviation in the units of the output; 0 if it has none."""
        if not isinstance(self.model, SupportsStd):
            return torch.zeros(len(x), dtype=x.dtype)
        z, half = self.model.predict(x), self.model.std(x)
        high, low = self.transform.inverse(z + half), self.transform.inverse(z - half)
        return torch.nan_to_num((high / 2 - low / 2).abs()[:, 0])
