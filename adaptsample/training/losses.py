"""The loss of a network on samples, with its derivative in the parameters, written out.

    loss = mean of (output - y)^2  +  mean of weight * (gradient - slope)^2

The second term makes it *gradient-informed* (Sobolev training, Czarnecki et al. 2017). The gradient
of output c with respect to x comes from the backward recursion of `network.input_gradient`,

    q_l = p_l * s'(z_l),   p_(l-1) = q_l W_l^T,   from q_(m+1) = e_c down to p_0 = gradient,

and the derivative of the second term from following that recursion the other way, with the term's
derivative r_0 in p_0 as its start. These are also the equations of a directional derivative, the
direction being r_0 at each point (Pearlmutter 1994):

    t_l = r_(l-1) W_l,   r_l = t_l * s'(z_l).

Ordinary backpropagation, g_l being the loss's derivative in z_l, closes both at once:

    g_l = (g_(l+1) W_(l+1)^T) * s'(z_l) + t_l * p_l * s''(z_l),
    d loss / d W_l = a_(l-1)^T g_l + r_(l-1)^T q_l,   d loss / d b_l = sum of g_l over points.

So values cost 3 matrix products a layer, and gradients 3 more for each output, in any dimension d.
The two products for W_l are one, of the stacked rows (a, r) and (g, q).
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
        slopes: derivatives (k, n, d), anything where not observed; (0, n, d) for values alone.
        weights: weights (k, n, d) of the squared errors of ``slopes``, 0 where not observed.
    """

    x: Tensor
    y: Tensor
    slopes: Tensor
    weights: Tensor


class Workspace(NamedTuple):
    """Memory for the intermediate results, named as in the module's equations and used every step.

    With freshly allocated tensors a step over thousands of points spends half of its time in page
    faults. Lists have an entry for each l = 0 ... m + 1; s is the number of outputs with slopes.

    Attributes:
        z: (n, h_l).
        a: (n, h_l).
        left: rows (a, r), ((1 + s) n, h_l).
        right: rows (g, q), ((1 + s) n, h_l).
        p: (s n, h_l).
        t: (s n, h_l).
    """

    z: list[Tensor]
    a: list[Tensor]
    left: list[Tensor]
    right: list[Tensor]
    p: list[Tensor]
    t: list[Tensor]


def workspace(samples: Samples, widths: list[int], dropping: bool) -> Workspace:
    """Return a workspace for batches in the shapes of ``samples``."""
    n, s = samples.y.size(0), samples.slopes.size(0)
    z: list[Tensor] = []
    a: list[Tensor] = []
    left: list[Tensor] = []
    right: list[Tensor] = []
    p: list[Tensor] = []
    t: list[Tensor] = []
    for i in range(len(widths)):
        z.append(samples.x.new_empty([n, widths[i]]))
        left.append(samples.x.new_empty([(1 + s) * n, widths[i]]))
        right.append(samples.x.new_empty([(1 + s) * n, widths[i]]))
        p.append(samples.x.new_empty([s * n, widths[i]]))
        t.append(samples.x.new_empty([s * n, widths[i]]))
        # With dropout, the activation and what the next layer sees of it are two things.
        a.append(samples.x.new_empty([n, widths[i]]) if dropping else left[i][:n])
    if s > 0:
        unit = torch.eye(s, dtype=samples.x.dtype, device=samples.x.device)
        right[-1][n:].copy_(unit.repeat_interleave(n, 0))
    return Workspace(z, a, left, right, p, t)


def mean_squared_error(layers: Layers, activations: list[str], samples: Samples) -> float:
    """Return the mean squared error of the values."""
    residual = (forward(layers, activations, samples.x) - samples.y).view(-1)
    return float(torch.dot(residual, residual) / residual.numel())


def loss_and_gradient(
    layers: Layers,
    activations: list[str],
    samples: Samples,
    *,
    masks: list[Tensor],
    gradient: Layers,
    work: Workspace,
) -> float:
    """Return the loss, and write its derivative in the parameters into ``gradient``.

    Args:
        layers: the network.
        activations: of each hidden layer.
        samples: at least one point.
        masks: factors (n, h_l) on the activations of each hidden layer (dropout), or none at all.
        gradient: where the derivative goes, in the shapes of ``layers``.
        work: a workspace in the shapes of ``samples``; its contents do not matter.
    """
    n, s = samples.y.size(0), samples.slopes.size(0)
    top = len(layers.weights)
    dropping = len(masks) > 0

    work.left[0][:n].copy_(samples.x)
    for i in range(1, top):
        values = work.left[i - 1][:n]
        torch.addmm(layers.biases[i - 1], values, layers.weights[i - 1], out=work.z[i])
        activate(activations[i - 1], work.z[i], work.a[i])
        if dropping:
            torch.mul(work.a[i], masks[i - 1], out=work.left[i][:n])
    error = torch.addmm(layers.biases[-1], work.left[top - 1][:n], layers.weights[-1]) - samples.y
    loss = torch.dot(error.view(-1), error.view(-1)) / error.numel()
    torch.mul(error, 2.0 / error.numel(), out=work.right[top][:n])
    if s > 0:
        loss = loss + _slope_loss(layers, activations, samples, masks, work)

    for i in range(top, 0, -1):
        g = work.right[i][:n]
        torch.mm(work.left[i - 1].t(), work.right[i], out=gradient.weights[i - 1])
        torch.sum(g, [0], out=gradient.biases[i - 1])
        if i > 1:
            z, a = work.z[i - 1], work.a[i - 1]
            below = work.right[i - 1][:n]
            torch.mm(g, layers.weights[i - 1].t(), out=below)
            if dropping:
                below.mul_(masks[i - 2])
            times_slope(activations[i - 2], below, z, a, below)
            if s > 0:
                bend = work.t[i - 1].mul_(work.p[i - 1]).view(s, n, -1)
                below.addcmul_(bend.sum(0), curvature(activations[i - 2], z, a))
    return float(loss)


def _slope_loss(
    layers: Layers, activations: list[str], samples: Samples, masks: list[Tensor], work: Workspace
) -> Tensor:
    """Run the recursions for q, p and t, r over the workspace; return the loss of the slopes."""
    n, s = samples.y.size(0), samples.slopes.size(0)
    top = len(layers.weights)
    dropping = len(masks) > 0
    for i in range(top - 1, -1, -1):
        torch.mm(work.right[i + 1][n:], layers.weights[i].t(), out=work.p[i])
        if i > 0:
            p, q = work.p[i].view(s, n, -1), work.right[i][n:].view(s, n, -1)
            if dropping:
                p.mul_(masks[i - 1])
            times_slope(activations[i - 1], p, work.z[i], work.a[i], q)
    error = work.p[0].view(s, n, -1).sub_(samples.slopes)
    r = work.left[0][n:].view(s, n, -1)
    torch.mul(error, samples.weights, out=r)
    loss = torch.dot(error.view(-1), r.view(-1)) / error.numel()
    r.mul_(2.0 / error.numel())
    for i in range(1, top):
        torch.mm(work.left[i - 1][n:], layers.weights[i - 1], out=work.t[i])
        t, r = work.t[i].view(s, n, -1), work.left[i][n:].view(s, n, -1)
        times_slope(activations[i - 1], t, work.z[i], work.a[i], r)
        if dropping:
            r.mul_(masks[i - 1])
    return loss
