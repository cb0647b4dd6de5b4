"""The loss of a network on samples, with its derivative in the parameters, written out.

loss = mean (y_network - y)^2 + gradient_weight * mean (y'_network - y')^2

The second mean runs over the derivatives that were observed; without any, the first term is all.
Both terms are differentiated by one backward pass: adjoints g of the values, adjoints h of the
tangents u, t of `network`. The curvature s'' enters because s'(z) depends on the parameters too:

    adjoint of t_l = h,   adjoint of u_l = h * s'(z_l),
    adjoint of a_l = g,   adjoint of z_l = g * s'(z_l) + sum_j h_j * u_(l,j) * s''(z_l).

References:
    W. M. Czarnecki et al. (2017), Sobolev training for neural networks: the gradient-informed loss.
    A. Griewank and A. Walther (2008), Evaluating derivatives: adjoints of tangents.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from adaptsample.training.network import Layers, activate, curvature, forward, times_slope


class Samples(NamedTuple):
    """Points with what was observed there, in the dtype and on the device of the parameters.

    Attributes:
        x: points (n, d).
        y: values (n, k).
        slopes: derivatives (d, n, k), 0 where not observed; (0, n, k) to train on values alone.
        observed: 1 where a derivative was observed and 0 where not, in the shape of ``slopes``.
    """

    x: Tensor
    y: Tensor
    slopes: Tensor
    observed: Tensor


def mean_squared_error(layers: Layers, activation: str, samples: Samples) -> float:
    """Return the mean squared error of the values."""
    residual = forward(layers, activation, samples.x) - samples.y
    return float((residual * residual).mean())


def loss_and_gradient(
    layers: Layers,
    gradient: Layers,
    activation: str,
    samples: Samples,
    gradient_weight: float,
    masks: list[Tensor],
) -> float:
    """Return the loss and write its derivative in the parameters into ``gradient``.

    Args:
        layers: the network.
        gradient: where the derivative goes, in the shapes of ``layers``.
        activation: name of the activation.
        samples: at least one point.
        gradient_weight: weight of the derivatives' mean squared error.
        masks: factors (n, h_l) on the activations of each hidden layer (dropout), or none at all.
    """
    informed = samples.slopes.size(0) > 0
    last = len(layers.weights) - 1

    z: list[Tensor] = []
    a: list[Tensor] = []
    u: list[Tensor] = []
    inputs = [samples.x]
    tangents: list[Tensor] = []
    for i in range(last):
        z.append(torch.addmm(layers.biases[i], inputs[i], layers.weights[i]))
        a.append(activate(activation, z[i]))
        inputs.append(a[i] * masks[i] if len(masks) > 0 else a[i])
        if informed:
            u.append(push(layers.weights[i], tangents))
            t = times_slope(activation, u[i], z[i], a[i])
            tangents.append(t * masks[i] if len(masks) > 0 else t)

    residual = torch.addmm(layers.biases[last], inputs[last], layers.weights[last]) - samples.y
    loss = (residual * residual).mean()
    g = residual * (2 / residual.numel())
    h = samples.slopes
    if informed:
        scale = gradient_weight / samples.observed.sum().clamp(min=1)
        error = (push(layers.weights[last], tangents) - samples.slopes) * samples.observed
        loss = loss + scale * (error * error).sum()
        h = error * (2 * scale)

    for i in range(last, -1, -1):
        torch.mm(inputs[i].t(), g, out=gradient.weights[i])
        torch.sum(g, [0], out=gradient.biases[i])
        if informed:
            if i == 0:
                gradient.weights[i].add_(h.sum(1))
            else:
                gradient.weights[i].addmm_(tangents[i - 1].flatten(0, 1).t(), h.flatten(0, 1))
        if i > 0:
            g = torch.mm(g, layers.weights[i].t())
            if len(masks) > 0:
                g = g * masks[i - 1]
            g = times_slope(activation, g, z[i - 1], a[i - 1])
            if informed:
                h = torch.matmul(h, layers.weights[i].t())
                if len(masks) > 0:
                    h = h * masks[i - 1]
                bend = (h * u[i - 1]).sum(0)
                g.addcmul_(bend, curvature(activation, z[i - 1], a[i - 1]))
                h = times_slope(activation, h, z[i - 1], a[i - 1])
    return float(loss)


def push(weight: Tensor, tangents: list[Tensor]) -> Tensor:
    """Return the derivatives (d, n, out) of z in each direction; the first layer's are W itself."""
    if len(tangents) == 0:
        return weight.unsqueeze(1)
    return torch.matmul(tangents[-1], weight)
