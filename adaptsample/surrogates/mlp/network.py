"""A network in the units of the data: scaled points go in, scaled values come out."""

from dataclasses import dataclass, replace
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.scaling import Scaling
from adaptsample.core.shapes import Points, Values
from adaptsample.training.levenberg_marquardt import parameter_jacobian
from adaptsample.training.losses import Samples
from adaptsample.training.network import (
    Layers,
    activations_of,
    forward,
    hidden,
    input_gradient,
    split,
)


@final
@dataclass(frozen=True, eq=False)
class Network:
    """A network with its parameters and scalings.

    Attributes:
        widths: (d, h_1, ..., h_m, k).
        activation: of all hidden layers, or one for each.
        inputs: scaling of the points.
        outputs: scaling of the values.
        theta: the parameters, in any dtype and on any device.
    """

    widths: tuple[int, ...]
    activation: str | tuple[str, ...]
    inputs: Scaling
    outputs: Scaling
    theta: Float[Tensor, " P"]

    def with_theta(self, theta: Float[Tensor, " P"]) -> Self:
        """Return the network with other parameters."""
        return replace(self, theta=theta)

    def in_units(self, inputs: Scaling, outputs: Scaling) -> Self:
        """Return the same function as a network with other scalings, in float64."""
        theta = self.theta.double().clone()
        layers = split(theta, list(self.widths))
        shift = (inputs.shift - self.inputs.shift) / self.inputs.unit
        layers.biases[0].add_(shift @ layers.weights[0])
        layers.weights[0].mul_((inputs.unit / self.inputs.unit)[:, None])
        layers.weights[-1].mul_(self.outputs.unit / outputs.unit)
        bias = self.outputs.shift - outputs.shift + layers.biases[-1] * self.outputs.unit
        layers.biases[-1].copy_(bias / outputs.unit)
        return replace(self, inputs=inputs, outputs=outputs, theta=theta)

    def predict(self, x: Points) -> Values:
        """Predict at n points, in the units of the data."""
        scaled = forward(self._layers(), self.activations, self.scaled(x))
        return self.outputs.inverse(scaled.cpu())

    def gradient(self, x: Points) -> Float[Tensor, "n k d"]:
        """Return d y_k / d x_d at n points, in the units of the data."""
        slopes = input_gradient(self._layers(), self.activations, self.scaled(x)).cpu()
        return slopes * self.outputs.unit[:, None] / self.inputs.unit

    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the activations of the last hidden layer, in which the prediction is linear."""
        return hidden(self._layers(), self.activations, self.scaled(x)).cpu()

    def parameter_gradient(self, x: Points) -> Float[Tensor, "n k p"]:
        """Return the derivatives of the scaled outputs with respect to the parameters."""
        theta = self.theta.double().cpu()
        inputs = self.scaled(x).double().cpu()
        return parameter_jacobian(theta, list(self.widths), self.activations, inputs)

    @property
    def activations(self) -> list[str]:
        """The activation of each hidden layer."""
        return activations_of(self.activation, len(self.widths) - 2)

    def scaled(self, x: Points) -> Points:
        """Scale points, no farther out than where a network's sums would overflow."""
        return self.inputs.forward(x).clamp(-1e100, 1e100).to(self.theta.device)

    def _layers(self) -> Layers:
        return split(self.theta.double(), list(self.widths))


def scaled_samples(data: Dataset, inputs: Scaling, outputs: Scaling, *, relative: bool) -> Samples:
    """Return scaled data, as training takes it.

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
    return Samples(x, y, slopes, weights)
