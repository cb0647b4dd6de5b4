"""Residuals of a network and their Jacobian in its parameters, written out for least squares.

The rows are (weight * (network - target)) of the values and, where gradients were observed, of the
derivative in each coordinate direction: arrays (r, n, k) with r = 1, or r = 1 + d, flattened.
The Jacobian of all of them comes from one backward recursion. It starts at the output with the
weighted unit vectors as adjoints g of the values and h of the tangents, the directional derivatives
u = t W of z and t = u s'(z) of a, and needs no graph and no loop over points:

    row of W_l = a_(l-1) g^T + t_(l-1) h^T,     row of b_l = g,
    g <- (g W_l^T) s'(z) + (h W_l^T) u s''(z),  h <- (h W_l^T) s'(z).

Arrays are kept with the units of a layer first and the points after them: there are many more
points than units, and operations on long rows are several times faster.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from adaptsample.training.levenberg_marquardt.normal import Jacobian
from adaptsample.training.losses import Samples
from adaptsample.training.network import activate, curvature, split, times_slope


class Problem(NamedTuple):
    """A regression problem: what residuals are computed from.

    Attributes:
        x: points (n, d).
        targets: (r, n, k), the values and, if r = 1 + d, the derivatives in each direction.
        weights: (r, n, k), factors of the residuals; 0 where nothing was observed.
        widths: widths of the network's layers, d and k included.
        activations: one for each hidden layer.
        smoothing: width of the rounding of creases, 0 for none.
    """

    x: Tensor
    targets: Tensor
    weights: Tensor
    widths: list[int]
    activations: list[str]
    smoothing: float


def regression(
    widths: list[int], activations: list[str], samples: Samples, gradient_weight: float
) -> Problem:
    """Return the problem that samples pose; slopes count where they were observed."""
    targets, weights = samples.y[None], torch.ones_like(samples.y[None])
    n_observed = int(samples.weights.count_nonzero())
    if n_observed > 0 and gradient_weight > 0:
        factor = gradient_weight * samples.y.numel() / n_observed
        targets = torch.cat([targets, samples.slopes.permute(2, 1, 0)])
        weights = torch.cat([weights, (samples.weights * factor).sqrt().permute(2, 1, 0)])
    return Problem(samples.x, targets.contiguous(), weights.contiguous(), widths, activations, 0.0)


class Propagation(NamedTuple):
    """What a forward pass leaves behind.

    Attributes:
        residual: the weighted residuals (r * n * k,).
        weights: of the layers (n_in, n_out).
        z: before each activation (h, n).
        inputs: of each layer (h, n).
        u, tangents: their derivatives with respect to x (h, d, n); none where only values are
            compared.
    """

    residual: Tensor
    weights: list[Tensor]
    z: list[Tensor]
    inputs: list[Tensor]
    u: list[Tensor]
    tangents: list[Tensor]


def evaluate(theta: Tensor, problem: Problem) -> Propagation:
    """Carry values, and tangents where derivatives are compared, through the network."""
    layers = split(theta, problem.widths)
    informed = problem.targets.size(0) > 1
    z: list[Tensor] = []
    inputs = [problem.x.t().contiguous()]
    u: list[Tensor] = []
    tangents: list[Tensor] = []
    for i, activation in enumerate(problem.activations):
        z.append(torch.addmm(layers.biases[i].unsqueeze(1), layers.weights[i].t(), inputs[i]))
        inputs.append(torch.empty_like(z[i]))
        activate(activation, z[i], inputs[i + 1], problem.smoothing, units=0)
        if informed:
            u.append(push(layers.weights[i], tangents, problem.x))
            tangents.append(torch.empty(u[i].size(), dtype=theta.dtype))
            times_slope(
                activation, u[i], z[i].unsqueeze(1), inputs[i + 1].unsqueeze(1), tangents[i]
            )
    outputs = torch.addmm(layers.biases[-1].unsqueeze(1), layers.weights[-1].t(), inputs[-1])
    outputs = outputs.unsqueeze(1)
    if informed:
        outputs = torch.cat([outputs, push(layers.weights[-1], tangents, problem.x)], dim=1)
    residual = ((outputs.permute(1, 2, 0) - problem.targets) * problem.weights).flatten()
    return Propagation(residual, layers.weights, z, inputs, u, tangents)


def push(weight: Tensor, tangents: list[Tensor], x: Tensor) -> Tensor:
    """Return the derivatives (out, d, n) of z in each direction; the first layer's are W itself."""
    if len(tangents) == 0:
        return weight.t().unsqueeze(2).expand(-1, -1, x.size(0))
    return torch.mm(weight.t(), tangents[-1].flatten(1)).view(-1, x.size(1), x.size(0))


def differentiate(theta: Tensor, problem: Problem, at: Propagation) -> Jacobian:
    """Return the Jacobian of the weighted residuals, (r * n * k, P)."""
    n_rows, n, k = problem.targets.size(0), problem.targets.size(1), problem.targets.size(2)
    informed = n_rows > 1
    jacobian = torch.empty([theta.size(0), n_rows, n, k], dtype=theta.dtype)

    units = torch.diag_embed(problem.weights).permute(3, 0, 1, 2).contiguous()
    g, h = units, units[:, 1:]
    if informed:
        g = units.clone()
        g[:, 1:] = 0.0
    inputs: list[Tensor] = []
    slopes: list[Tensor] = []
    end = theta.size(0)
    for i in range(len(at.weights) - 1, -1, -1):
        weight = at.weights[i]
        n_in, n_out = weight.size(0), weight.size(1)
        jacobian[end - n_out : end] = g
        end -= n_out
        block = jacobian[end - n_in * n_out : end].view(n_in, n_out, n_rows, n, k)
        end -= n_in * n_out
        torch.mul(at.inputs[i].view(n_in, 1, 1, n, 1), g, out=block)
        if not informed:
            inputs.insert(
                0, at.inputs[i].repeat_interleave(k, 1).t() if k > 1 else at.inputs[i].t()
            )
            slopes.insert(0, g.view(n_out, n * k).t())
        elif i == 0:
            for j in range(n_in):  # t_0 is the unit vector e_j
                block[j, :, 1 + j] += h[:, j]
        else:
            tangent = at.tangents[i - 1].view(n_in, 1, n_rows - 1, n, 1)
            block[:, :, 1:].addcmul_(tangent, h)
        if i > 0:
            activation = problem.activations[i - 1]
            z, a = at.z[i - 1].view(n_in, 1, n, 1), at.inputs[i].view(n_in, 1, n, 1)
            g = torch.mm(weight, g.view(n_out, -1)).view(n_in, n_rows, n, k)
            times_slope(activation, g, z, a, g)
            if informed:
                h = torch.mm(weight, h.reshape(n_out, -1)).view(n_in, n_rows - 1, n, k)
                bend = curvature(activation, at.z[i - 1], at.inputs[i], problem.smoothing, units=0)
                g[:, 1:].addcmul_(h, (at.u[i - 1] * bend.unsqueeze(1)).unsqueeze(3))
                times_slope(activation, h, z, a, h)
    return Jacobian(jacobian.view(theta.size(0), n_rows * n * k).t(), inputs, slopes)


def linearise(theta: Tensor, problem: Problem) -> tuple[Tensor, Tensor]:
    """Return the weighted residuals (r * n * k,) and their Jacobian (r * n * k, P)."""
    at = evaluate(theta, problem)
    return at.residual, differentiate(theta, problem, at).matrix
