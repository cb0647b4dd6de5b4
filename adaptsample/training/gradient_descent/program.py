"""Gradient descent as one TorchScript program, the loop over epochs and batches included.

Adam and SGD are those of ``torch.optim``, applied to the flat parameter vector.

References:
    D. P. Kingma and J. Ba (2015), Adam: a method for stochastic optimization.
    N. Srivastava et al. (2014), Dropout.
"""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from adaptsample.training.losses import Samples, loss_and_gradient, mean_squared_error, workspace
from adaptsample.training.network import split


class Settings(NamedTuple):
    """What the program reads: the recipe, with 0 for None, made out for one fit."""

    n_steps: int
    earlier_steps: int
    adam: bool
    first_rate: float
    last_rate: float
    momentum: float
    batch_size: int
    shuffle: bool
    weight_decay: float
    dropout: float
    patience: int


class Vectors(NamedTuple):
    """What the program changes in place.

    Attributes:
        theta: the parameters (P,).
        safe: the last parameters known to have a finite loss (P,).
        best: the parameters with the lowest validation loss (P,).
        moments: the optimiser's memory (2, P).
    """

    theta: Tensor
    safe: Tensor
    best: Tensor
    moments: Tensor


class Progress(NamedTuple):
    """How far the program got.

    Attributes:
        step: steps taken in this fit.
        lowest: lowest validation loss so far.
        stale: epochs since then.
        over: whether the fit is finished.
    """

    step: int
    lowest: float
    stale: int
    over: bool


def descend(
    vectors: Vectors,
    progress: Progress,
    settings: Settings,
    *,
    widths: list[int],
    activations: list[str],
    samples: Samples,
    held_out: Samples,
    n_epochs: int,
    generator: Generator,
) -> tuple[Progress, list[float], list[float]]:
    """Run up to ``n_epochs`` epochs; return the losses of the steps, and of validation.

    A last loss that is not finite means divergence: theta is then what it was one step before.
    """
    theta = vectors.theta
    gradient = torch.zeros_like(theta)
    layers, gradient_layers = split(theta, widths), split(gradient, widths)
    step, lowest, stale = progress.step, progress.lowest, progress.stale
    losses: list[float] = []
    validation_losses: list[float] = []

    n = samples.x.size(0)
    batch_size = min(settings.batch_size, n) if settings.batch_size > 0 else n
    batch = rows(samples, 0, batch_size)
    work = workspace(batch, widths, settings.dropout > 0)
    for _ in range(n_epochs):
        if settings.shuffle and batch_size < n:
            samples = take(samples, torch.randperm(n, generator=generator))
        for first in range(0, n, batch_size):
            if step == settings.n_steps:
                break
            if batch_size < n:
                n_before = batch.x.size(0)
                batch = rows(samples, first, min(first + batch_size, n))
                if batch.x.size(0) != n_before:
                    work = workspace(batch, widths, settings.dropout > 0)
            masks = dropout_masks(batch.x, widths, settings.dropout, generator)
            loss = loss_and_gradient(
                layers, activations, batch, masks=masks, gradient=gradient_layers, work=work
            )
            losses.append(loss)
            if not math.isfinite(loss):
                theta.copy_(vectors.safe)
                return Progress(step, lowest, stale, True), losses, validation_losses
            vectors.safe.copy_(theta)
            optimizer_step(theta, gradient, vectors.moments, settings, step)
            step += 1
        if held_out.x.size(0) > 0:
            loss = mean_squared_error(layers, activations, held_out)
            validation_losses.append(loss)
            stale += 1
            if loss < lowest:
                lowest, stale = loss, 0
                vectors.best.copy_(theta)
            if settings.patience > 0 and stale >= settings.patience:
                return Progress(step, lowest, stale, True), losses, validation_losses
        if step == settings.n_steps:
            break
    return Progress(step, lowest, stale, step == settings.n_steps), losses, validation_losses


def optimizer_step(
    theta: Tensor, gradient: Tensor, moments: Tensor, settings: Settings, step: int
) -> None:
    """Take one step, counted from 0, of this fit; the gradient may be changed as well."""
    if settings.weight_decay > 0:
        gradient.add_(theta, alpha=settings.weight_decay)
    rate = scheduled_rate(settings, step)
    if settings.adam:
        adam_step(theta, gradient, moments, settings.earlier_steps + step + 1, rate)
    else:
        sgd_step(theta, gradient, moments[0], settings.momentum, rate)


def scheduled_rate(settings: Settings, step: int) -> float:
    """Return the learning rate of a step, counted from 0."""
    share = step / settings.n_steps
    return settings.first_rate + share * (settings.last_rate - settings.first_rate)


def adam_step(theta: Tensor, gradient: Tensor, moments: Tensor, t: int, rate: float) -> None:
    """Take the t-th step of Adam, t from 1, with torch's coefficients 0.9, 0.999 and 1e-8."""
    mean, square = moments[0], moments[1]
    mean.lerp_(gradient, 1 - 0.9)
    square.mul_(0.999).addcmul_(gradient, gradient, value=1 - 0.999)
    scale = square.sqrt().div_(math.sqrt(1 - 0.999**t)).add_(1e-8)
    theta.addcdiv_(mean, scale, value=-rate / (1 - 0.9**t))


def sgd_step(
    theta: Tensor, gradient: Tensor, velocity: Tensor, momentum: float, rate: float
) -> None:
    """Take a step of gradient descent with (heavy-ball) momentum."""
    velocity.mul_(momentum).add_(gradient)
    theta.add_(velocity, alpha=-rate)


def dropout_masks(
    x: Tensor, widths: list[int], dropout: float, generator: Generator
) -> list[Tensor]:
    """Return factors (n, h_l) of mean 1 for the hidden layers, 0 with probability ``dropout``."""
    masks: list[Tensor] = []
    if dropout > 0:
        for width in widths[1:-1]:
            u = torch.rand([x.size(0), width], dtype=torch.float64, generator=generator)
            masks.append((u >= dropout).to(x) / (1 - dropout))
    return masks


def take(samples: Samples, order: Tensor) -> Samples:
    """Return the samples at these positions."""
    i = order.to(samples.x.device)
    return Samples(samples.x[i], samples.y[i], samples.slopes[:, i], samples.weights[:, i])


def rows(samples: Samples, first: int, end: int) -> Samples:
    """Return consecutive samples, as views."""
    return Samples(
        samples.x[first:end],
        samples.y[first:end],
        samples.slopes[:, first:end],
        samples.weights[:, first:end],
    )


def loss_at(theta: Tensor, widths: list[int], activations: list[str], samples: Samples) -> float:
    """Return the mean squared error of the values."""
    return mean_squared_error(split(theta, widths), activations, samples)
