"""The loss over two parameters, and the path of gradient descent on it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.training import GradientDescent
from adaptsample.training.losses import Samples


@final
@dataclass(frozen=True, eq=False)
class LossSurface:
    """The loss on a grid of two parameters.

    Attributes:
        first: values of the first parameter.
        second: values of the second parameter.
        loss: the loss at each pair; rows belong to ``first``. For matplotlib, which counts the
            other way: ``axes.contour(first, second, loss.T)``.
    """

    first: Float[Tensor, " n"]
    second: Float[Tensor, " m"]
    loss: Float[Tensor, "n m"]

    def share_below(self, threshold: float) -> float:
        """Return the share of the grid at which the loss is below a threshold."""
        return float((self.loss < threshold).double().mean())


def loss_surface(
    loss: Callable[[Float[Tensor, "m 2"]], Float[Tensor, " m"]],
    first: tuple[float, float],
    second: tuple[float, float],
    *,
    n: int = 101,
) -> LossSurface:
    """Evaluate a loss on a regular grid of n x n pairs of parameters, ends included.

    Args:
        loss: the losses of m pairs of parameters.
        first: range of the first parameter.
        second: range of the second parameter.
        n: values of each, at least 2.

    Raises:
        ValueError: fewer than 2 values, or losses of another shape.
    """
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    axes = [torch.linspace(*ends, n, dtype=torch.float64) for ends in (first, second)]
    values = loss(torch.cartesian_prod(*axes))
    if values.shape != (n * n,):
        raise ValueError(f"the losses of {n * n} pairs must be ({n * n},), got {values.shape}")
    return LossSurface(axes[0], axes[1], values.reshape(n, n))


def descent_path(
    training: GradientDescent,
    theta: Float[Tensor, " P"],
    widths: list[int],
    activation: str,
    samples: Samples,
    *,
    generator: Generator,
) -> Float[Tensor, "steps_plus_1 P"]:
    """Return the parameters before the first of ``training.steps`` steps, and after each.

    Args:
        training: full batches at a constant rate.
        theta: where it starts.
        widths: the network's widths (d, h_1, ..., h_m, k); (1, 1) is a * x + b, theta = (a, b).
        activation: of the hidden layers; unused without any.
        samples: what to fit.
        generator: the only source of randomness, of dropout.

    Raises:
        ValueError: mini-batches, held-out points or a rate that falls: one step at a time they mean
            something else.
    """
    if training.decay != 1 or training.batch_size is not None or training.validation_fraction:
        raise ValueError(
            "the path is that of full batches at a constant rate: give decay=1, batch_size=None "
            f"and validation_fraction=0; got {training}"
        )
    step = replace(training, steps=1, continued_steps=1)
    path, state = [theta], None
    for _ in range(training.steps):
        (trained,) = step.train(
            path[-1], widths, activation, samples, generator=generator, state=state
        )
        path.append(trained.theta)
        state = trained.state
    return torch.stack(path)
