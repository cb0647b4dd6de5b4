"""Multilayer perceptrons as plain functions of one flat parameter vector.

A network of widths (d, h_1, ..., h_m, k) has the parameters theta = (W_1, b_1, ..., W_(m+1), b_(m+1)),
each W of shape (in, out), flattened one after the other: optimisers then act on a single vector.
Forward, with activation s applied element by element, a_0 = x:

    z_l = a_(l-1) W_l + b_l,   a_l = s(z_l),   and z_(m+1) is the output.

Derivatives are written out rather than left to automatic differentiation, which is what makes
training fast: every function here is within TorchScript, and works with or without compilation.
A *gradient-informed* loss compares gradients too. The derivative of the network in each coordinate
direction j is carried forward beside the values, as a tangent that starts as the unit vector e_j:

    u_l = t_(l-1) W_l,         t_l = u_l * s'(z_l),   and u_(m+1) is the derivative of the output.

References:
    W. M. Czarnecki et al. (2017), Sobolev training for neural networks: the gradient-informed loss.
    A. Griewank and A. Walther (2008), Evaluating derivatives: tangents, and adjoints of tangents.
"""

from math import sqrt
from typing import NamedTuple

import torch
from torch import Generator, Tensor

ACTIVATIONS = ("tanh", "relu", "silu", "gelu")


class Layers(NamedTuple):
    """Weights (in, out) and biases (out,) of all layers."""

    weights: list[Tensor]
    biases: list[Tensor]


def count_parameters(widths: list[int]) -> int:
    """Return the length of theta, P."""
    return sum((n_in + 1) * n_out for n_in, n_out in zip(widths, widths[1:], strict=False))


def initial_parameters(
    widths: list[int], *, dtype: torch.dtype, generator: Generator
) -> Tensor:
    """Draw theta (P,): weights and biases uniform within 1 / sqrt(in), torch's default."""
    theta = torch.rand(count_parameters(widths), dtype=torch.float64, generator=generator)
    theta = 2 * theta - 1
    layers = split(theta, widths)
    for weight, bias in zip(layers.weights, layers.biases, strict=True):
        weight /= sqrt(len(weight))
        bias /= sqrt(len(weight))
    return theta.to(dtype)


def split(theta: Tensor, widths: list[int]) -> Layers:
    """Return the layers as views into theta: writing to either changes both."""
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    position = 0
    for i in range(len(widths) - 1):
        n_in, n_out = widths[i], widths[i + 1]
        weights.append(theta[position : position + n_in * n_out].view(n_in, n_out))
        position += n_in * n_out
        biases.append(theta[position : position + n_out])
        position += n_out
    return Layers(weights, biases)


def activate(activation: str, z: Tensor) -> Tensor:
    """Return s(z)."""
    if activation == "tanh":
        return torch.tanh(z)
    if activation == "relu":
        return torch.relu(z)
    if activation == "silu":
        return torch.nn.functional.silu(z)
    return torch.nn.functional.gelu(z)


def times_slope(activation: str, g: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """Return g * s'(z), where a = s(z) and g broadcasts against them; one fused operation."""
    if activation == "tanh":
        product: Tensor = torch.ops.aten.tanh_backward(g, a)
    elif activation == "relu":
        product = torch.ops.aten.threshold_backward(g, a, 0)
    elif activation == "silu":
        product = torch.ops.aten.silu_backward(g, z)
    else:
        product = torch.ops.aten.gelu_backward(g, z)
    return product


def curvature(activation: str, z: Tensor, a: Tensor) -> Tensor:
    """Return s''(z), where a = s(z)."""
    if activation == "tanh":
        return (a * a - 1) * a * 2
    if activation == "relu":
        return torch.zeros_like(z)
    if activation == "silu":
        sigmoid = torch.sigmoid(z)
        return sigmoid * (1 - sigmoid) * (2 + z * (1 - 2 * sigmoid))
    density = torch.exp(-0.5 * z * z) * 0.3989422804014327  # 1 / sqrt(2 pi)
    return density * (2 - z * z)


def hidden(layers: Layers, activation: str, x: Tensor) -> Tensor:
    """Return the activations (n, h_m) of the last hidden layer."""
    a = x
    for i in range(len(layers.weights) - 1):
        a = activate(activation, torch.addmm(layers.biases[i], a, layers.weights[i]))
    return a


def forward(layers: Layers, activation: str, x: Tensor) -> Tensor:
    """Return the outputs (n, k) at x (n, d)."""
    a = hidden(layers, activation, x)
    return torch.addmm(layers.biases[-1], a, layers.weights[-1])


def input_gradient(layers: Layers, activation: str, x: Tensor) -> Tensor:
    """Return the outputs' derivatives (n, k, d) with respect to x, by one backward recursion.

    All points and outputs at once: g_m = W_(m+1)^T, then g_(l-1) = (g_l * s'(z_l)) W_l^T.
    """
    z: list[Tensor] = []
    a = [x]
    for i in range(len(layers.weights) - 1):
        z.append(torch.addmm(layers.biases[i], a[i], layers.weights[i]))
        a.append(activate(activation, z[i]))
    g = layers.weights[-1].t().expand(x.size(0), -1, -1)
    for i in range(len(z) - 1, -1, -1):
        g = times_slope(activation, g, z[i].unsqueeze(1), a[i + 1].unsqueeze(1))
        g = torch.matmul(g, layers.weights[i].t())
    return g
