"""Gradient descent on the parameters of a network, the whole loop one TorchScript program.

The program runs in chunks of some tenths of a second, so that Ctrl-C is heard in between. Adam and
SGD are those of ``torch.optim``, applied to the flat parameter vector. The learning rate falls over
the steps of a fit from ``learning_rate`` to ``learning_rate * decay``: large steps find the valley,
small ones its floor, which a constant rate never reaches (Adam's steps do not shrink by themselves).

References:
    D. P. Kingma and J. Ba (2015), Adam: a method for stochastic optimization.
    I. Loshchilov and F. Hutter (2017), SGDR: the cosine schedule.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.training.losses import Samples, loss_and_gradient, mean_squared_error, workspace
from adaptsample.training.network import split
from adaptsample.training.torchscript import script

_CHUNK = 1e10
"""Floating-point operations between two looks at the keyboard, about."""


class DivergenceWarning(RuntimeWarning):
    """Training met a loss that is not finite and returned the parameters before it."""


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
        train_loss: loss of the batch of each step, before the step.
        validation_loss: mean squared error of the held-out values after each epoch.
    """

    theta: Float[Tensor, " P"]
    state: OptimizerState
    train_loss: Float[Tensor, " steps"]
    validation_loss: Float[Tensor, " epochs"]


class Settings(NamedTuple):
    """The part of the recipe that the compiled program reads; see `GradientDescent`."""

    adam: bool
    learning_rate: float
    decay: float
    momentum: float
    batch_size: int
    shuffle: bool
    weight_decay: float
    dropout: float
    patience: int
    steps: int


@final
@dataclass(frozen=True)
class GradientDescent:
    """Adam or SGD, full batch or mini-batches, with the usual remedies against overfitting.

    Args:
        optimizer: "adam" or "sgd".
        learning_rate: step size at the start of a fit.
        decay: the learning rate at the end of a fit, as a share of the first; 1 keeps it constant.
            In between it follows half a period of a cosine.
        momentum: of SGD; Adam has its own and wants 0 here.
        steps: steps of a fit that starts afresh.
        continued_steps: steps of a fit that continues an earlier one, whose optimiser state it
            takes over.
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
        if self.optimizer not in ("adam", "sgd"):
            raise ValueError(f"optimizer must be 'adam' or 'sgd', got {self.optimizer!r}")
        ranges = {
            "learning_rate": (0 < self.learning_rate < math.inf, "a positive number"),
            "decay": (0 < self.decay <= 1, "within (0, 1]"),
            "momentum": (0 <= self.momentum < 1, "within [0, 1)"),
            "steps": (self.steps >= 0, "at least 0"),
            "continued_steps": (self.continued_steps >= 0, "at least 0"),
            "batch_size": (self.batch_size is None or self.batch_size >= 1, "at least 1, or None"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "a number of at least 0"),
            "dropout": (0 <= self.dropout < 1, "within [0, 1)"),
            "gradient_weight": (0 <= self.gradient_weight < math.inf, "a number of at least 0"),
            "validation_fraction": (0 <= self.validation_fraction < 1, "within [0, 1)"),
            "patience": (self.patience is None or self.patience >= 1, "at least 1, or None"),
        }
        for name, (holds, expected) in ranges.items():
            if not holds:
                raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")
        if self.optimizer == "adam" and self.momentum:
            raise ValueError(f"momentum is for 'sgd'; with 'adam' it must be 0, got {self.momentum}")
        if self.patience is not None and not self.validation_fraction:
            raise ValueError("patience watches the validation loss: give a validation_fraction")

    def train(
        self,
        theta: Float[Tensor, " P"],
        widths: list[int],
        activation: str,
        samples: Samples,
        *,
        generator: Generator,
        state: OptimizerState | None = None,
    ) -> Training:
        """Minimise the loss from theta on; theta itself is left as it is.

        Args:
            theta: parameters to start from.
            widths: the network's widths (d, h_1, ..., h_m, k).
            activation: the network's activation.
            samples: what to fit, at least one point, with weights 1 where a slope was observed.
            generator: the only source of randomness, on the CPU.
            state: of the fit that is continued, or None to start afresh.

        Warns:
            DivergenceWarning: the loss became infinite or NaN.
        """
        if state is None:
            state = OptimizerState(self.optimizer, theta.new_zeros(2, len(theta)), 0)
            settings = self._settings(self.steps)
        elif state.optimizer == self.optimizer:
            settings = self._settings(self.continued_steps)
        else:
            raise ValueError(f"{self.optimizer!r} cannot continue from {state.optimizer!r}")
        samples, held_out = self._hold_out(samples, generator)
        samples = self._weigh(samples)
        theta, moments = theta.clone(), state.moments.clone()
        safe, best = theta.clone(), theta.clone()
        n_epochs = _epochs_per_chunk(samples, len(theta), settings)

        program = script(descend) if self.compiled else descend
        losses: list[float] = []
        validation: list[float] = []
        ended = settings.steps == 0
        while not ended:
            more_losses, more_validation, ended = program(
                theta,
                moments,
                safe,
                best,
                widths,
                activation,
                samples,
                held_out,
                settings,
                state.steps,
                len(losses),
                validation,
                n_epochs,
                generator,
            )
            losses += more_losses
            validation += more_validation

        diverged = bool(losses) and not math.isfinite(losses[-1])
        if diverged:
            losses.pop()
        elif self.patience is not None and validation:
            theta = best
        final_loss = mean_squared_error(split(theta, widths), activation, samples)
        if not (diverged or math.isfinite(final_loss)):  # the last step went too far
            diverged, theta = True, safe
        if diverged:
            moments.zero_()
            warnings.warn(
                f"training diverged after {len(losses)} of {settings.steps} steps, the parameters "
                f"before are kept; scale the data, or lower learning_rate ({self.learning_rate})",
                DivergenceWarning,
                stacklevel=2,
            )
        steps = 0 if diverged else state.steps + len(losses)
        return Training(
            theta,
            OptimizerState(self.optimizer, moments, steps),
            torch.tensor(losses, dtype=torch.float64),
            torch.tensor(validation, dtype=torch.float64),
        )

    def _settings(self, steps: int) -> Settings:
        return Settings(
            self.optimizer == "adam",
            self.learning_rate,
            self.decay,
            self.momentum,
            self.batch_size or 0,
            self.shuffle,
            self.weight_decay,
            self.dropout,
            self.patience or 0,
            steps,
        )

    def _hold_out(self, samples: Samples, generator: Generator) -> tuple[Samples, Samples]:
        """Divide samples at random into those to train on, at least one, and those held out."""
        n = len(samples.x)
        n_held_out = min(round(self.validation_fraction * n), n - 1)
        if n_held_out == 0:
            return samples, take(samples, torch.arange(0))
        order = torch.randperm(n, generator=generator)
        kept = order[n_held_out:].sort().values
        return take(samples, kept), take(samples, order[:n_held_out])

    def _weigh(self, samples: Samples) -> Samples:
        """Turn the marks of observed slopes into weights, whose mean is ``gradient_weight``."""
        n_observed = samples.weights.sum()
        if self.gradient_weight == 0 or n_observed == 0:
            none = samples.slopes[:0]
            return Samples(samples.x, samples.y, none, none)
        share = n_observed / samples.weights.numel()
        weights = samples.weights * (self.gradient_weight / share)
        return Samples(samples.x, samples.y, samples.slopes, weights)


def _epochs_per_chunk(samples: Samples, n_parameters: int, settings: Settings) -> int:
    n, s = len(samples.x), len(samples.slopes)
    batch = min(settings.batch_size or n, n)
    seconds = 1e-4 + 3e-10 * batch * n_parameters * (1 + s)  # of a step, roughly
    return max(1, int(_CHUNK_SECONDS / seconds / math.ceil(n / batch)))


def take(samples: Samples, rows: Tensor) -> Samples:
    """Return some of the samples."""
    rows = rows.to(samples.x.device)
    return Samples(
        samples.x[rows], samples.y[rows], samples.slopes[:, rows], samples.weights[:, rows]
    )


def descend(
    theta: Tensor,
    moments: Tensor,
    safe: Tensor,
    best: Tensor,
    widths: list[int],
    activation: str,
    samples: Samples,
    held_out: Samples,
    settings: Settings,
    earlier_steps: int,
    step: int,
    validation: list[float],
    n_epochs: int,
    generator: Generator,
) -> tuple[list[float], list[float], bool]:
    """Run some epochs of a fit. Compiled; in place on the first four arguments.

    Args:
        theta: parameters (P,).
        moments: the optimiser's memory (2, P).
        safe: the last parameters (P,) with a finite loss.
        best: the parameters (P,) with the lowest validation loss.
        widths: the network's widths.
        activation: the network's activation.
        samples: what to fit.
        held_out: what the validation loss is computed on, or no points.
        settings: the recipe.
        earlier_steps: steps of earlier fits that the moments know.
        step: steps of this fit before this call.
        validation: validation losses of this fit before this call.
        n_epochs: epochs to run at most.
        generator: the source of permutations and dropout masks.

    Returns:
        The steps' losses, the epochs' validation losses, and whether the fit is over. It is over if
        the last loss is not finite; theta is then ``safe``.
    """
    n = samples.x.size(0)
    batch_size = n if settings.batch_size == 0 else min(settings.batch_size, n)
    layers = split(theta, widths)
    gradient = torch.zeros_like(theta)
    slots = split(gradient, widths)
    masks: list[Tensor] = []
    batch = rows(samples, 0, batch_size)
    work = workspace(batch, widths, settings.dropout > 0)

    losses: list[float] = []
    validation = validation[:]
    n_before = len(validation)
    for _ in range(n_epochs):
        if settings.shuffle and batch_size < n:
            order = torch.randperm(n, generator=generator)
            samples = take(samples, order)
        for first in range(0, n, batch_size):
            if step == settings.steps:
                break
            if batch_size < n:
                batch = rows(samples, first, min(first + batch_size, n))
                if batch.x.size(0) != work.z[0].size(0):
                    work = workspace(batch, widths, settings.dropout > 0)
            if settings.dropout > 0:
                masks = dropout_masks(batch.x, widths, settings.dropout, generator)
            loss = loss_and_gradient(layers, slots, activation, batch, masks, work)
            losses.append(loss)
            if not math.isfinite(loss):
                theta.copy_(safe)
                return losses, validation[n_before:], True
            safe.copy_(theta)
            if settings.weight_decay > 0:
                gradient.add_(theta, alpha=settings.weight_decay)
            rate = learning_rate(settings, step)
            step += 1
            if settings.adam:
                adam_step(theta, gradient, moments, earlier_steps + step, rate)
            else:
                sgd_step(theta, gradient, moments[0], settings.momentum, rate)
        if held_out.x.size(0) > 0:
            loss = mean_squared_error(layers, activation, held_out)
            if len(validation) == 0 or loss < min(validation):
                best.copy_(theta)
            validation.append(loss)
            if settings.patience > 0 and stale_epochs(validation) >= settings.patience:
                return losses, validation[n_before:], True
        if step == settings.steps:
            return losses, validation[n_before:], True
    return losses, validation[n_before:], False
