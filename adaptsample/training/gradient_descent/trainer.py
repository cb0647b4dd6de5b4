"""Gradient descent on the parameters of a network, the whole loop one TorchScript program.

The program runs in chunks of some tenths of a second, so that Ctrl-C is heard in between. Adam and
SGD are those of ``torch.optim``, applied to the flat parameter vector. The learning rate falls
during a fit, from ``learning_rate`` to ``learning_rate * decay``: large steps find the valley,
small ones its floor. At a constant rate Adam never gets there: its steps do not shrink.

References:
    D. P. Kingma and J. Ba (2015), Adam: a method for stochastic optimization.
    A. Defazio et al. (2023), Optimal linear decay learning rate schedules and further refinements.
    N. Srivastava et al. (2014), Dropout.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.errors import DivergenceWarning
from adaptsample.training.losses import Samples, loss_and_gradient, mean_squared_error, workspace
from adaptsample.training.network import activations_of, initial_parameters, split
from adaptsample.training.torchscript import script

_CHUNK_SECONDS = 0.2
_LAST_PART = 0.2


@final
@dataclass(frozen=True, eq=False)
class OptimizerState:
    """What an optimiser remembers, so that a later fit can continue as if there had been one.

    Attributes:
        optimizer: whose memory it is.
        moments: Adam's two moments, or SGD's velocity in the first row.
        steps: steps taken so far, over all fits.
    """

    optimizer: str
    moments: Float[Tensor, "2 P"]
    steps: int


@final
@dataclass(frozen=True, eq=False)
class Training:
    """The result of training.

    Attributes:
        theta: the parameters.
        state: to continue from.
        train_loss: loss of each step's batch, before the step.
        validation_loss: mean squared error of the held-out values after each epoch.
    """

    theta: Float[Tensor, " P"]
    state: OptimizerState
    train_loss: Float[Tensor, " steps"]
    validation_loss: Float[Tensor, " epochs"]


@final
@dataclass(frozen=True)
class GradientDescent:
    """Adam or SGD, full batch or mini-batches, with the usual remedies against overfitting.

    Args:
        optimizer: "adam" or "sgd".
        learning_rate: step size at the start of a fit.
        decay: the learning rate at the end of a fit, as a share of the first; 1 keeps it constant.
            In between it is linear in the number of steps.
        momentum: of SGD; Adam has its own and wants 0 here.
        steps: steps of a fit that starts afresh.
        continued_steps: steps of a fit that continues an earlier one. It takes over the optimiser's
            state, and its learning rate is that of the last fifth of a fit that starts afresh:
            enough to learn what is new, too little to forget the rest.
        batch_size: points per step; None for all of them.
        shuffle: mini-batches in a new random order each epoch, instead of the order of the data.
        weight_decay: coefficient of theta itself, added to the gradient (as in ``torch.optim``).
        dropout: probability with which a hidden unit is silenced in a step.
        gradient_weight: weight of the gradient's mean squared error in the loss, where the data has
            gradients.
        validation_fraction: share of the points that is held out to compute ``validation_loss``.
        patience: stop after this many epochs without a new lowest validation loss, and return the
            parameters that had the lowest; None runs all steps and returns the last.
        compiled: run as TorchScript. False runs the same code in Python, for debugging.

    Raises:
        ValueError: a hyper-parameter outside of its range; the message names both.
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 0.01
    decay: float = 0.01
    momentum: float = 0.0
    steps: int = 5000
    continued_steps: int = 1000
    batch_size: int | None = None
    shuffle: bool = True
    weight_decay: float = 0.0
    dropout: float = 0.0
    gradient_weight: float = 1.0
    validation_fraction: float = 0.0
    patience: int | None = None
    compiled: bool = True

    def __post_init__(self) -> None:
        ranges = {
            "optimizer": (self.optimizer in ("adam", "sgd"), "'adam' or 'sgd'"),
            "learning_rate": (0 < self.learning_rate < math.inf, "a positive number"),
            "decay": (0 < self.decay <= 1, "within (0, 1]"),
            "momentum": (0 <= self.momentum < 1, "within [0, 1)"),
            "steps": (_is_count(self.steps, 0), "a whole number of at least 0"),
            "continued_steps": (_is_count(self.continued_steps, 0), "a whole number of at least 0"),
            "batch_size": (
                self.batch_size is None or _is_count(self.batch_size, 1),
                "a whole number of at least 1, or None",
            ),
            "weight_decay": (0 <= self.weight_decay < math.inf, "a number of at least 0"),
            "dropout": (0 <= self.dropout < 1, "within [0, 1)"),
            "gradient_weight": (0 <= self.gradient_weight < math.inf, "a number of at least 0"),
            "validation_fraction": (0 <= self.validation_fraction < 1, "within [0, 1)"),
            "patience": (
                self.patience is None or _is_count(self.patience, 1),
                "a whole number of at least 1, or None",
            ),
        }
        for name, (holds, expected) in ranges.items():
            if not holds:
                raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")
        if self.optimizer == "adam" and self.momentum:
            raise ValueError(
                f"momentum is for 'sgd'; with 'adam' it must be 0, got {self.momentum}"
            )
        if self.patience is not None and not self.validation_fraction:
            raise ValueError("patience watches the validation loss: give a validation_fraction")

    def train(
        self,
        theta: Float[Tensor, " P"] | None,
        widths: list[int],
        activation: str | Sequence[str],
        samples: Samples,
        *,
        generator: Generator,
        state: OptimizerState | None = None,
    ) -> Training:
        """Minimise the loss from theta on; theta itself is left as it is.

        Args:
            theta: parameters to start from, or None to draw them.
            widths: the network's widths (d, h_1, ..., h_m, k).
            activation: of all hidden layers, or one for each.
            samples: what to fit, at least one point; the slopes' weights are 1, or relative.
            generator: the only source of randomness, on the CPU.
            state: of the fit that is continued, or None to start afresh.

        Raises:
            ValueError: an unknown activation, or another optimiser's state.

        Warns:
            DivergenceWarning: the loss became infinite or NaN.
        """
        activations = activations_of(activation, len(widths) - 2)
        if theta is None:
            theta = initial_parameters(widths, generator=generator).to(samples.x)
        n_steps = self.steps if state is None else self.continued_steps
        span = 1.0 if state is None else _LAST_PART
        if state is None:
            state = OptimizerState(self.optimizer, theta.new_zeros(2, len(theta)), 0)
        if not isinstance(state, OptimizerState) or state.optimizer != self.optimizer:
            raise ValueError(
                f"{self.optimizer!r} cannot continue from "
                f"{getattr(state, 'optimizer', 'another method')!r}"
            )
        samples, held_out = self._hold_out(samples, generator)
        samples = self._weigh(samples)
        settings = self._settings(n_steps, span, state.steps)
        moments = state.moments.to(theta, copy=True)
        vectors = Vectors(theta.clone(), theta.clone(), theta.clone(), moments)
        progress = Progress(0, math.inf, 0, n_steps == 0)
        losses: list[float] = []
        validation_losses: list[float] = []
        program = script(descend) if self.compiled else descend
        while not progress.over:
            progress, more_losses, more_validation_losses = program(
                vectors,
                progress,
                settings,
                widths=widths,
                activations=activations,
                samples=samples,
                held_out=held_out,
                n_epochs=_epochs_per_chunk(samples, len(theta), settings),
                generator=generator,
            )
            losses += more_losses
            validation_losses += more_validation_losses

        diverged = bool(losses) and not math.isfinite(losses[-1])
        if diverged:
            losses.pop()
        theta = vectors.theta if self.patience is None or diverged else vectors.best
        if not (diverged or math.isfinite(loss_at(theta, widths, activations, samples))):
            diverged, theta = True, vectors.safe  # the very last step went too far
        if diverged:
            vectors.moments.zero_()
            warnings.warn(
                f"training diverged after {len(losses)} of {n_steps} steps and keeps the "
                f"parameters from before; scale the data, or lower learning_rate, which is "
                f"{self.learning_rate}",
                DivergenceWarning,
                stacklevel=2,
            )
        return Training(
            theta,
            OptimizerState(
                self.optimizer, vectors.moments, 0 if diverged else state.steps + progress.step
            ),
            torch.tensor(losses, dtype=torch.float64),
            torch.tensor(validation_losses, dtype=torch.float64),
        )

    def _hold_out(self, samples: Samples, generator: Generator) -> tuple[Samples, Samples]:
        """Divide samples at random into those to train on, at least one, and those held out."""
        n = len(samples.x)
        n_held_out = min(round(self.validation_fraction * n), n - 1)
        order = torch.arange(n)
        if n_held_out > 0:
            order = torch.randperm(n, generator=generator)
        return take(samples, order[n_held_out:].sort().values), take(samples, order[:n_held_out])

    def _weigh(self, samples: Samples) -> Samples:
        """Make the weights those of a mean over the observed slopes, times ``gradient_weight``."""
        n_observed = int(samples.weights.count_nonzero())
        if n_observed == 0 or self.gradient_weight == 0:
            none = samples.slopes[:0]
            return Samples(samples.x, samples.y, none, none)
        factor = self.gradient_weight * samples.weights.numel() / n_observed
        return Samples(samples.x, samples.y, samples.slopes, samples.weights * factor)

    def _settings(self, n_steps: int, span: float, earlier_steps: int) -> "Settings":
        return Settings(
            n_steps,
            earlier_steps,
            self.optimizer == "adam",
            self.learning_rate * (self.decay + span * (1 - self.decay)),
            self.learning_rate * self.decay,
            self.momentum,
            self.batch_size or 0,
            self.shuffle,
            self.weight_decay,
            self.dropout,
            self.patience or 0,
        )


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


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _epochs_per_chunk(samples: Samples, n_parameters: int, settings: Settings) -> int:
    n = len(samples.x)
    batch = min(settings.batch_size or n, n)
    seconds = 1e-4 + 3e-10 * batch * n_parameters * (1 + len(samples.slopes))  # of a step, about
    return max(1, int(_CHUNK_SECONDS / seconds / math.ceil(n / batch)))
