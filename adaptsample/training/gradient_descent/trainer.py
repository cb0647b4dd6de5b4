"""Gradient descent on the parameters of a network: the recipe.

The program that it is made out for runs in chunks of some tenths of a second, so that Ctrl-C is
heard in between. The learning rate falls during a fit, from ``learning_rate`` to
``learning_rate * decay``: large steps find the valley, small ones its floor. At a constant rate
Adam never gets there: its steps do not shrink.

References:
    A. Defazio et al. (2023), Optimal linear decay learning rate schedules and further refinements.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.errors import DivergenceWarning
from adaptsample.training.gradient_descent.program import (
    Progress,
    Settings,
    Vectors,
    descend,
    loss_at,
    take,
)
from adaptsample.training.losses import Samples
from adaptsample.training.network import activations_of, initial_parameters
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

    continues: ClassVar[bool] = True

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
    ) -> tuple[Training]:
        """Take the steps; there is one finalist. The rest is as `Trainer` has it.

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
        n_taken = 0 if diverged else state.steps + progress.step
        training = Training(
            theta,
            OptimizerState(self.optimizer, vectors.moments, n_taken),
            torch.tensor(losses, dtype=torch.float64),
            torch.tensor(validation_losses, dtype=torch.float64),
        )
        return (training,)

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

    def _settings(self, n_steps: int, span: float, earlier_steps: int) -> Settings:
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


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _epochs_per_chunk(samples: Samples, n_parameters: int, settings: Settings) -> int:
    n = len(samples.x)
    batch = min(settings.batch_size or n, n)
    seconds = 1e-4 + 3e-10 * batch * n_parameters * (1 + len(samples.slopes))  # of a step, about
    return max(1, int(_CHUNK_SECONDS / seconds / math.ceil(n / batch)))
