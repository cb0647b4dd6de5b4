"""Multilayer perceptrons as plain functions of one flat parameter vector.

A network of widths (d, h_1, ..., h_m, k) has the parameters theta = (W_1, b_1, ..., b_(m+1)), each
W of shape (in, out), flattened one after the other: optimisers then act on a single vector. With
an activation s for each hidden layer, applied element by element, and a_0 = x, the network is

    z_l = a_(l-1) W_l + b_l,   a_l = s_l(z_l)   for l = 1 ... m,   output = a_m W_(m+1) + b_(m+1).

Besides the usual activations there are two that make creases: ``abs``, sqrt(z^2 + smoothing^2),
which is |z| where there is no smoothing, and ``crease``, the same on the first unit of a layer and
the identity on the rest. A network g(|phi(x)|) has the layer ``abs`` of one unit in its middle.

Derivatives are written out rather than left to automatic differentiation, which is what makes
training fast. Every function here is within TorchScript, and runs the same without compilation.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

import torch
from torch import Generator, Tensor

CREASES = ("abs", "crease")
ACTIVATIONS = ("tanh", "relu", "silu", "gelu", *CREASES)


class Layers(NamedTuple):
    """Weights (..., in, out) and biases (..., out) of all layers."""

    weights: list[Tensor]
    biases: list[Tensor]


def activations_of(activation: str | Sequence[str], n_hidden: int) -> list[str]:
    """Return the activation of each hidden layer, given those or one for all.

    Raises:
        ValueError: an unknown activation, or another number of them.
    """
    given = [activation] if isinstance(activation, str) else list(activation)
    names = given * n_hidden if isinstance(activation, str) else given
    if len(names) != n_hidden or not set(given) <= set(ACTIVATIONS):
        raise ValueError(
            f"activation must be one of {', '.join(ACTIVATIONS)}, or one of these for each of the "
            f"{n_hidden} hidden layers; got {activation!r}"
        )
    return names


def count_parameters(widths: list[int]) -> int:
    """Return the length of theta, P."""
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(widths))


def initial_parameters(widths: list[int], *, generator: Generator) -> Tensor:
    """Draw theta (P,), float64: weights and biases uniform within 1 / sqrt(in), torch's default."""
    theta = 2 * torch.rand(count_parameters(widths), dtype=torch.float64, generator=generator) - 1
    layers = split(theta, widths)
    for weight, bias in zip(layers.weights, layers.biases, strict=True):
        weight.div_(sqrt(len(weight)))
        bias.div_(sqrt(len(weight)))
    return theta


def split(theta: Tensor, widths: list[int]) -> Layers:
    """Return the layers as views into theta (..., P): writing to either changes both."""
    sizes: list[int] = []
    for i in range(len(widths) - 1):
        sizes += [widths[i] * widths[i + 1], widths[i + 1]]
    parts = torch.split_with_sizes(theta, sizes, dim=-1)
    before = list(theta.size())[:-1]
    weights: list[Tensor] = []
    for i in range(len(widths) - 1):
        weights.append(parts[2 * i].view(before + [widths[i], widths[i + 1]]))  # noqa: RUF005
    return Layers(weights, list(parts[1::2]))


def activate(
    activation: str, z: Tensor, out: Tensor, smoothing: float = 0.0, units: int = -1
) -> None:
    """Write s(z) into ``out``, which may be z; the units of the layer lie along that dimension."""
    if activation == "tanh":
        # tanh itself takes up to four times as long, and a whole number is converted each time
        torch.mul(z, 2.0, out=out).sigmoid_().mul_(2.0).sub_(1.0)
    elif activation == "relu":
        torch.clamp(z, min=0.0, out=out)
    elif activation == "silu":
        torch.ops.aten.silu(z, out=out)
    elif activation == "gelu":
        torch.ops.aten.gelu(z, out=out)
    else:
        n_bent = 1 if activation == "crease" else z.size(units)
        out.copy_(z)
        bent = out.narrow(units, 0, n_bent)
        bent.copy_(torch.sqrt(bent * bent + smoothing * smoothing))


def times_slope(activation: str, g: Tensor, z: Tensor, a: Tensor, out: Tensor) -> None:
    """Write g * s'(z), where a = s(z), into ``out``, which may be g; one fused operation."""
    if activation == "tanh":
        torch.ops.aten.tanh_backward(g, a, grad_input=out)
    elif activation == "relu":
        torch.ops.aten.threshold_backward(g, a, 0, grad_input=out)
    elif activation == "silu":
        torch.ops.aten.silu_backward(g, z, grad_input=out)
    elif activation == "gelu":
        torch.ops.aten.gelu_backward(g, z, grad_input=out)
    elif activation == "abs":
        torch.mul(g, z / a.clamp(min=1e-300), out=out)
    else:  # z = a where the unit is the identity, also where both are 0
        slope = torch.where(z == a, torch.ones_like(z), z / a.clamp(min=1e-300))
        torch.mul(g, slope, out=out)


def curvature(
    activation: str, z: Tensor, a: Tensor, smoothing: float = 0.0, units: int = -1
) -> Tensor:
    """Return s''(z), where a = s(z); the units of the layer lie along that dimension."""
    if activation == "tanh":
        return (a * a - 1) * a * 2
    if activation == "relu":
        return torch.zeros_like(z)
    if activation in ("abs", "crease"):
        bend = smoothing * smoothing / (a * a * a).clamp(min=1e-300)
        if activation == "crease":
            bend.narrow(units, 1, bend.size(units) - 1).zero_()
        return bend
    if activation == "silu":
        sigmoid = torch.sigmoid(z)
        return sigmoid * (1 - sigmoid) * (2 + z * (1 - 2 * sigmoid))
    density = torch.exp(-0.5 * z * z) * 0.3989422804014327  # 1 / sqrt(2 pi)
    return density * (2 - z * z)


def hidden(layers: Layers, activations: list[str], x: Tensor) -> Tensor:
    """Return the activations (n, h_m) of the last hidden layer; x itself if there is none."""
    a = x
    for i in range(len(layers.weights) - 1):
        a = torch.addmm(layers.biases[i], a, layers.weights[i])
        activate(activations[i], a, a)
    return a


def forward(layers: Layers, activations: list[str], x: Tensor) -> Tensor:
    """Return the outputs (n, k) at x (n, d)."""
    a = hidden(layers, activations, x)
    return torch.addmm(layers.biases[-1], a, layers.weights[-1])


def input_gradient(layers: Layers, activations: list[str], x: Tensor) -> Tensor:
    """Return the outputs' derivatives (n, k, d) with respect to x, for all points at once.

    By the backward recursion p_m = W_(m+1)^T, p_(l-1) = (p_l * s'(z_l)) W_l^T, which ends in p_0.
    """
    z: list[Tensor] = []
    a = [x]
    for i in range(len(layers.weights) - 1):
        z.append(torch.addmm(layers.biases[i], a[i], layers.weights[i]))
        a.append(torch.empty_like(z[i]))
        activate(activations[i], z[i], a[i + 1])
    p = layers.weights[-1].t().repeat(x.size(0), 1, 1)
    for i in range(len(z) - 1, -1, -1):
        times_slope(activations[i], p, z[i].unsqueeze(1), a[i + 1].unsqueeze(1), p)
        p = torch.matmul(p, layers.weights[i].t())
    return p
