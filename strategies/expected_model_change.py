"""Expected model change: ask what would move the model's parameters most."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample import State
from adaptsample.acquisition import Dispersed, FeatureMap, FullGradient, PoolStrategy, Selection
from adaptsample.core import Points
from adaptsample.surrogates import SupportsStd


@final
@dataclass(frozen=True)
class ExpectedModelChange(PoolStrategy[SupportsStd]):
    """Scores by the expected length of the gradient of a new point's squared error.

    That is E|y - prediction| times the length of the features (Cai, Zhang and Zhou, Maximizing
    expected model change for active learning in regression, ICDM 2013), and E|y - prediction| is
    proportional to the standard deviation.

    Args:
        features: the derivatives of the prediction with respect to the parameters.
    """

    selection: Selection = Dispersed(power=0.5)
    features: FeatureMap = FullGradient()

    def score(self, x: Points, state: State[SupportsStd]) -> Float[Tensor, " n"]:
        """Return standard deviation, in spreads, times length."""
        length = self.features(x, state).square().sum(dim=1).sqrt()
        return (state.model.std(x) / state.spread).sum(dim=-1) * length
