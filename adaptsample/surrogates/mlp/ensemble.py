"""Networks that stop early, and predict together.

Where the data are few for what the function does, least squares go on to fit what is not there;
after some twenty steps a network has the rough course of it. Several such networks from different
starts err differently between the points, and their mean errs less than they do.

`Committee` does the same with any recipe, one fit after the other and calibrated by refits. Here
all networks are one batch, and what they know of each point when it is left out costs nothing.

References:
    L. Prechelt (1998), Early stopping, but when?
    B. Lakshminarayanan, A. Pritzel and C. Blundell (2017), Simple and scalable predictive
    uncertainty estimation using deep ensembles.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.scaling import Scaling
from adaptsample.core.shapes import Points, Values
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.mlp.calibrated import CalibratedMLPModel
from adaptsample.surrogates.mlp.surrogate import MLP
from adaptsample.surrogates.outside import with_doubt_outside
from adaptsample.training import LevenbergMarquardt

_ROUNDING = 1e-10  # in units of the values' spread


@final
@dataclass(frozen=True)
class EarlyStopped:
    """The mean of several networks that stop early.

    Args:
        hidden: widths of the hidden layers.
        n_members: how many networks.
        n_steps: steps of Levenberg-Marquardt of each.

    Raises:
        ValueError: fewer than two networks; the message has the number.
    """

    hidden: tuple[int, ...] = (10, 10, 10)
    n_members: int = 4
    n_steps: int = 20

    def __post_init__(self) -> None:
        if self.n_members < 2:
            raise ValueError(f"n_members must be at least 2, got {self.n_members}")

    @warns_of_degenerate_data
    def fit(
        self, data: Dataset, *, generator: Generator, start: "EarlyStoppedModel | None" = None
    ) -> "EarlyStoppedModel":
        """Fit all networks, in one batch; afresh, for to continue is not to stop early.

        Raises:
            ValueError: no data.
        """
        del start
        training = LevenbergMarquardt(
            starts=self.n_members,
            finalists=self.n_members,
            start_iterations=self.n_steps,
            iterations=0,
            evidence="ard",
        )
        fitted = MLP(self.hidden, training=training).fit(data, generator=generator)
        fitted = cast(CalibratedMLPModel, fitted)  # as least squares with a prior are
        networks = ((fitted.network.with_theta(one.theta), one) for one in fitted.finalists)
        members = (replace(fitted, network=own, finalists=(one,)) for own, one in networks)
        return EarlyStoppedModel(data, tuple(members))


@final
@dataclass(frozen=True, eq=False)
class EarlyStoppedModel:
    """Fitted networks.

    Attributes:
        data: what they were fitted to.
        members: the networks.
    """

    data: Dataset
    members: tuple[CalibratedMLPModel, ...]

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return self.data.x.shape[1]

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Effective number of parameters of the largest member, for each output."""
        return tuple(map(max, *(member.n_parameters for member in self.members)))

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Return the mean of the networks' predictions."""
        return self._predictions(x).mean(dim=0)

    @accepts_arrays
    def committee(self, x: Points) -> Float[Tensor, "m n k"]:
        """Return the networks' predictions."""
        return self._predictions(x)

    @property
    def learns_gradients(self) -> bool:
        """True."""
        return True

    @accepts_arrays
    def gradient(self, x: Points) -> Float[Tensor, "n k d"]:
        """Return d y_k / d x_d at n points, in the units of the data."""
        return torch.stack([member.gradient(x) for member in self.members]).mean(dim=0)

    @accepts_arrays
    def parameter_gradient(self, x: Points) -> Float[Tensor, "n k p"]:
        """Return the derivatives of the mean with respect to the parameters of all networks.

        As `CalibratedMLPModel` has them, in scaled outputs and units of the priors.
        """
        parts = [member.parameter_gradient(x) for member in self.members]
        return torch.cat(parts, dim=2) / len(parts)

    @property
    def loo_residuals(self) -> Values:
        """Value minus prediction without the point, by the mean of the linearised fits."""
        residuals = torch.stack([member.loo_residuals for member in self.members]).mean(dim=0)
        return self.data.by_row(residuals)

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Return the leave-one-out residuals, which are what refits give, and cost nothing.

        A network that stops early has not come to know single points.
        """
        del generator
        return self.loo_residuals

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the networks' disagreement, in the units of the data.

        Times a factor: as many leave-one-out residuals are within it as there would be for a normal
        distribution. It grows with the distance from the data's box, beyond a margin.
        """
        std = self._factor * self._apart(self._predictions(x)) * self._unit
        return with_doubt_outside(std, self.data, x)

    @cached_property
    def _factor(self) -> Float[Tensor, " k"]:
        """What the disagreement has to be multiplied by."""
        residuals = torch.stack([member.loo_residuals for member in self.members])
        ratio = (residuals / self._unit).mean(dim=0).abs() / self._apart(residuals)
        return ratio.quantile(0.6827, dim=0)

    def _apart(self, values: Float[Tensor, "m n k"]) -> Values:
        """Return the standard deviation among networks, in units of the values' spread."""
        return (values / self._unit).std(dim=0) + _ROUNDING

    @property
    def _unit(self) -> Float[Tensor, " k"]:
        return Scaling.to_moments(self.data.y).unit

    def _predictions(self, x: Points) -> Float[Tensor, "m n k"]:
        return torch.stack([member.predict(x) for member in self.members])
