"""Neural networks fitted by gradient descent."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample._types import Points, Values
from adaptsample.data import Dataset
from adaptsample.surrogates._conversion import accepts_arrays
from adaptsample.surrogates._scaling import Scaling
from adaptsample.training.gradient_descent import GradientDescent, Training
from adaptsample.training.losses import Samples
from adaptsample.training.network import (
    ACTIVATIONS,
    Layers,
    forward,
    hidden,
    initial_parameters,
    input_gradient,
    split,
)


@final
@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron. Trains on values, and on gradients where the data has them.

    The defaults are meant for some tens to some thousands of points of a deterministic function.

    Args:
        hidden: widths of the hidden layers; () makes a linear model.
        activation: "tanh", "relu", "silu" or "gelu".
        training: how the parameters are found.
        dtype: "float32" or "float64", of the training; predictions are float64 always.
        scale: work in units in which the training points fill [-1, 1]^d and the values have mean 0
            and standard deviation 1, and gradients a mean square of 1. Losses are in these units.
        warm_start: continue from the model given as ``start``, its scaling included; False starts
            each fit afresh.
        device: "cpu" or "cuda".

    Raises:
        ValueError: a hyper-parameter outside of its range; the message names both.
    """

    hidden: tuple[int, ...] = (32, 32, 32, 32)
    activation: Literal["tanh", "relu", "silu", "gelu"] = "silu"
    training: GradientDescent = GradientDescent()
    dtype: Literal["float32", "float64"] = "float64"
    scale: bool = True
    warm_start: bool = True
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if not isinstance(self.hidden, tuple) or not all(
            isinstance(width, int) and width >= 1 for width in self.hidden
        ):
            raise ValueError(
                f"hidden must be a tuple of widths of at least 1, as (30, 30); got {self.hidden!r}"
            )
        choices = {
            "activation": ACTIVATIONS,
            "dtype": ("float32", "float64"),
            "device": ("cpu", "cuda"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}"
                )

    def fit(
        self, data: Dataset, *, generator: Generator, start: "MLPModel | None" = None
    ) -> "MLPModel":
        """Fit a network.

        Args:
            data: the training set, at least one point.
            generator: the only source of randomness.
            start: a model to continue from, if ``warm_start``; of the same shape.

        Raises:
            ValueError: no data, a start of another shape, or a device that is not there.
        """
        if len(data) == 0:
            raise ValueError("an MLP needs at least one point to be fitted to")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is 'cuda', but torch finds no CUDA device here; use 'cpu'")
        widths = (data.x.shape[1], *self.hidden, data.y.shape[1])
        dtype = torch.float32 if self.dtype == "float32" else torch.float64
        if start is None or not self.warm_start:
            inputs = Scaling.to_box(data.x) if self.scale else Scaling.identity(widths[0])
            outputs = Scaling.to_moments(data.y) if self.scale else Scaling.identity(widths[-1])
            theta = initial_parameters(list(widths), generator=generator)
            state = None
        elif (start.widths, start.activation) == (widths, self.activation):
            inputs, outputs, theta = start.inputs, start.outputs, start.training.theta
            state = start.training.state
        else:
            raise ValueError(
                f"cannot continue: the start is a {start.activation} network of widths "
                f"{start.widths}, this one is {self.activation} of widths {widths}"
            )
        theta = theta.to(self.device, dtype)
        training = self.training.train(
            theta,
            list(widths),
            self.activation,
            _samples(data, inputs, outputs, relative=self.scale, like=theta),
            generator=generator,
            state=state,
        )
        return MLPModel(widths, self.activation, inputs, outputs, training)


@final
@dataclass(frozen=True, eq=False)
class MLPModel:
    """A fitted network.

    Attributes:
        widths: (d, h_1, ..., h_m, k).
        activation: name of the activation.
        inputs: scaling of the points.
        outputs: scaling of the values.
        training: the parameters, the loss curves, and what is needed to continue.
    """

    widths: tuple[int, ...]
    activation: str
    inputs: Scaling
    outputs: Scaling
    training: Training

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return self.widths[0]

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Predict at n points, in the units of the data."""
        return self.outputs.inverse(forward(self._layers(), self.activation, self._scaled(x)).cpu())

    @accepts_arrays
    def gradient(self, x: Points) -> Float[Tensor, "n k d"]:
        """Return d y_k / d x_d at n points, in the units of the data."""
        slopes = input_gradient(self._layers(), self.activation, self._scaled(x)).cpu()
        return slopes * self.outputs.unit[:, None] / self.inputs.unit

    @accepts_arrays
    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the activations of the last hidden layer, in which the prediction is linear."""
        return hidden(self._layers(), self.activation, self._scaled(x)).cpu()

    def _layers(self) -> Layers:
        return split(self.training.theta.double(), list(self.widths))

    def _scaled(self, x: Points) -> Points:
        """Scale points, no farther out than where a network's sums would overflow."""
        return self.inputs.forward(x).clamp(-1e100, 1e100).to(self.training.theta.device)


def _samples(
    data: Dataset, inputs: Scaling, outputs: Scaling, *, relative: bool, like: Tensor
) -> Samples:
    """Return scaled data in the dtype and on the device of ``like``.

    Slopes that are not finite count as not observed. ``relative`` measures the errors of each
    output's slopes against their mean square, as those of its values are against their variance.
    """
    x, y = inputs.forward(data.x), outputs.forward(data.y)
    slopes = torch.empty(0, *x.shape, dtype=x.dtype)
    if data.gradient is not None:
        slopes = (data.gradient / outputs.unit[:, None] * inputs.unit).transpose(0, 1)
    observed = torch.isfinite(slopes)
    slopes = torch.where(observed, slopes, 0.0)
    weights = observed.to(x.dtype)
    if relative:
        count = weights.sum(dim=(1, 2), keepdim=True)
        mean_square = slopes.square().sum(dim=(1, 2), keepdim=True) / count
        varies = mean_square > 1e-12  # a staircase has no slopes to measure against
        weights = torch.where(varies, weights / mean_square, weights)
    return Samples(x.to(like), y.to(like), slopes.to(like), weights.to(like))
