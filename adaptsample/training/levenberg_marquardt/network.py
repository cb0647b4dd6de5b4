"""Residuals of a network and their Jacobian in its parameters, written out for least squares.

The rows are (weight * (network - target)) of the values and, where gradients were observed, of the
derivative in each coordinate direction: arrays (r, n, k) with r = 1, or r = 1 + d, flattened.
The Jacobian of all of them comes from one backward recursion. It starts at the output with the
weighted unit vectors as adjoints g of the values and h of the tangents, the directional derivatives
u = t W of z and t = u s'(z) of a, and needs no graph and no loop over points:

    row of W_l = a_(l-1) g^T + t_(l-1) h^T,     row of b_l = g,
    g <- (g W_l^T) s'(z) + (h W_l^T) u s''(z),  h <- (h W_l^T) s'(z).

A batch of B networks is computed at once, which for small ones takes hardly longer than one alone.
Arrays are kept with the units of a layer before the points: there are many more points than units,
and operations on long rows are several times faster.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from adaptsample.training.levenberg_marquardt.normal import Jacobian, dense
from adaptsample.training.losses import Samples
from adaptsample.training.network import activate, curvature, split, times_slope


class Problem(NamedTuple):
    """A regression problem, or B of them that differ in their weights alone.

    Attributes:
        x: points (n, d).
        targets: (r, n, k), the values and, if r = 1 + d, the derivatives in each direction.
        weights: (B, r, n, k), or with B = 1 for networks that share them, factors of the residuals;
            0 where nothing was observed.
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
    return Problem(
        samples.x, targets.contiguous(), weights[None].contiguous(), widths, activations, 0.0
    )


class Propagation(NamedTuple):
    """What a forward pass leaves behind.

    Attributes:
        residual: the weighted residuals (B, r * n * k).
        weights: of the layers (B, n_in, n_out).
        z: before each activation (B, h, n).
        inputs: of each layer (B, h, n).
        u, tangents: their derivatives with respect to x (B, h, d, n); none where only values are
            compared.
    """

    residual: Tensor
    weights: list[Tensor]
    z: list[Tensor]
    inputs: list[Tensor]
    u: list[Tensor]
    tangents: list[Tensor]


def evaluate(theta: Tensor, problem: Problem) -> Propagation:
    """Carry values, and tangents where derivatives are compared, through networks theta (B, P)."""
    layers = split(theta, problem.widths)
    informed = problem.targets.size(0) > 1
    z: list[Tensor] = []
    inputs = [problem.x.t().contiguous().expand(theta.size(0), -1, -1)]
    u: list[Tensor] = []
    tangents: list[Tensor] = []
    for i, activation in enumerate(problem.activations):
        z.append(affine(layers.weights[i], layers.biases[i], inputs[i]))
        inputs.append(torch.empty_like(z[i]))
        activate(activation, z[i], inputs[i + 1], problem.smoothing, units=1)
        if informed:
            u.append(push(layers.weights[i], tangents, problem.x))
            tangents.append(torch.empty(u[i].size(), dtype=theta.dtype))
            times_slope(
                activation, u[i], z[i].unsqueeze(2), inputs[i + 1].unsqueeze(2), tangents[i]
            )
    outputs = affine(layers.weights[-1], layers.biases[-1], inputs[-1]).unsqueeze(2)
    if informed:
        outputs = torch.cat([outputs, push(layers.weights[-1], tangents, problem.x)], dim=2)
    residual = (outputs.permute(0, 2, 3, 1) - problem.targets) * problem.weights
    return Propagation(residual.flatten(1), layers.weights, z, inputs, u, tangents)


def affine(weight: Tensor, bias: Tensor, a: Tensor) -> Tensor:
    """Return z (B, out, n) of a layer from a (B, in, n)."""
    return torch.baddbmm(bias.unsqueeze(2), weight.transpose(1, 2), a)


def push(weight: Tensor, tangents: list[Tensor], x: Tensor) -> Tensor:
    """Return the derivatives (B, out, d, n) of z in each direction; those of the first are W."""
    transposed = weight.transpose(1, 2)
    if len(tangents) == 0:
        return transposed.unsqueeze(3).expand(-1, -1, -1, x.size(0))
    pushed = torch.bmm(transposed, tangents[-1].flatten(2))
    return pushed.view(weight.size(0), -1, x.size(1), x.size(0))


def differentiate(theta: Tensor, problem: Problem, at: Propagation) -> Jacobian:
    """Return the Jacobians (B, r * n * k, P) of the weighted residuals."""
    n_batch, k = theta.size(0), problem.targets.size(2)
    if problem.targets.size(0) > 1:
        nothing: list[Tensor] = []
        return Jacobian(informed_matrix(theta, problem, at), nothing, nothing)
    units = torch.diag_embed(problem.weights[:, 0]).permute(0, 3, 1, 2)  # (B, k, n, k)
    g = units.flatten(2).expand(n_batch, -1, -1)
    inputs, slopes = [repeated(at.inputs[-1], k)], [g]
    for i in range(len(at.z) - 1, -1, -1):
        g = torch.bmm(at.weights[i + 1], g)
        times_slope(problem.activations[i], g, repeated(at.z[i], k), inputs[0], g)
        inputs.insert(0, repeated(at.inputs[i], k))
        slopes.insert(0, g)
    matrix = dense(inputs, slopes)
    if matrix.numel() * matrix.size(1) < 10**6:  # so little that the structure saves nothing
        inputs, slopes = inputs[:0], slopes[:0]
    return Jacobian(matrix, inputs, slopes)


def repeated(a: Tensor, k: int) -> Tensor:
    """Repeat each point (B, h, n) for each of k outputs."""
    return a if k == 1 else a.repeat_interleave(k, 2)


def informed_matrix(theta: Tensor, problem: Problem, at: Propagation) -> Tensor:
    """Return J where derivatives are compared as well; its rows are sums of two outer products."""
    n_batch = theta.size(0)
    n_rows, n, k = problem.targets.size(0), problem.targets.size(1), problem.targets.size(2)
    jacobian = torch.empty([n_batch, theta.size(1), n_rows, n, k], dtype=theta.dtype)
    units = torch.diag_embed(problem.weights).permute(0, 4, 1, 2, 3)
    g = units.expand(n_batch, -1, -1, -1, -1).clone()
    h = g[:, :, 1:].clone()
    g[:, :, 1:] = 0.0
    end = theta.size(1)
    for i in range(len(at.weights) - 1, -1, -1):
        weight = at.weights[i]
        n_in, n_out = weight.size(1), weight.size(2)
        jacobian[:, end - n_out : end] = g
        end -= n_out
        block = jacobian[:, end - n_in * n_out : end].view(n_batch, n_in, n_out, n_rows, n, k)
        end -= n_in * n_out
        torch.mul(at.inputs[i].view(-1, n_in, 1, 1, n, 1), g.unsqueeze(1), out=block)
        if i == 0:
            for j in range(n_in):  # t_0 is the unit vector e_j
                block[:, j, :, 1 + j] += h[:, :, j]
        else:
            tangent = at.tangents[i - 1].view(-1, n_in, 1, n_rows - 1, n, 1)
            block[:, :, :, 1:].addcmul_(tangent, h.unsqueeze(1))
            activation = problem.activations[i - 1]
            z, a = at.z[i - 1].view(-1, n_in, 1, n, 1), at.inputs[i].view(-1, n_in, 1, n, 1)
            g = torch.bmm(weight, g.flatten(2)).view(-1, n_in, n_rows, n, k)
            times_slope(activation, g, z, a, g)
            h = torch.bmm(weight, h.flatten(2)).view(-1, n_in, n_rows - 1, n, k)
            bend = curvature(activation, at.z[i - 1], at.inputs[i], problem.smoothing, units=1)
            g[:, :, 1:].addcmul_(h, (at.u[i - 1] * bend.unsqueeze(2)).unsqueeze(4))
            times_slope(activation, h, z, a, h)
    return jacobian.flatten(2).transpose(1, 2)


def linearise(theta: Tensor, problem: Problem) -> tuple[Tensor, Tensor]:
    """Return the weighted residuals (B, r * n * k) and their Jacobians (B, r * n * k, P)."""
    at = evaluate(theta, problem)
    return at.residual, differentiate(theta, problem, at).matrix
