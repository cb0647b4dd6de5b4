"""Neural networks, fitted by nonlinear least squares or by gradient descent."""

from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Generator

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import draw_seed
from adaptsample.core.scaling import Scaling
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates.mlp.calibrated import CalibratedMLPModel
from adaptsample.surrogates.mlp.model import MLPModel, NetworkModel
from adaptsample.surrogates.mlp.network import Network, scaled_samples
from adaptsample.training import LevenbergMarquardt, SupportsFolds, SupportsPosterior, Trainer
from adaptsample.training.losses import Samples
from adaptsample.training.network import activations_of


@final
@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron. Trains on values, and on gradients where the data has them.

    The defaults are meant for some tens to some hundreds of points, exact or noisy, of a function
    without kinks. A function with a kink wants a crease in the network, a layer of ``|z|``:
    ``mlp(hidden=(8, 8, 1, 8), activation=('tanh', 'tanh', 'abs', 'tanh'))`` is ``g(|phi(x)|)``. For
    thousands of points there is gradient descent:
    ``mlp(hidden=(64, 64, 64), activation='silu', training=gradient_descent())``.

    Args:
        hidden: widths of the hidden layers; () makes a linear model.
        activation: "tanh", "relu", "silu", "gelu", "abs" or "crease" (the first unit of a layer is
            ``|z|``, the others z), of all hidden layers, or one for each.
        training: how the parameters are found.
        dtype: "float32" or "float64", of the training; predictions are float64 always.
        scale: work in units in which the training points fill [-1, 1]^d and the values have mean 0
            and standard deviation 1, and gradients a mean square of 1. Losses are in these units.
        warm_start: make use of the model given as ``start``. Least squares have it compete with new
            networks; gradient descent continues it, scaling and optimiser included. False starts
            each fit afresh.
        device: "cpu" or "cuda".

    Raises:
        ValueError: a hyper-parameter outside of its range; the message names both.
    """

    hidden: tuple[int, ...] = (12, 12)
    activation: str | tuple[str, ...] = "tanh"
    training: Trainer = LevenbergMarquardt()
    dtype: Literal["float32", "float64"] = "float64"
    scale: bool = True
    warm_start: bool = True
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if not isinstance(self.hidden, tuple) or not all(
            isinstance(width, int) and width >= 1 for width in self.hidden
        ):
            raise ValueError(
                f"hidden must be a tuple of widths of at least 1, as (30, 30); got {self.hidden!r}"
            )
        activations_of(self.activation, len(self.hidden))
        if not isinstance(self.training, Trainer):
            raise ValueError(f"training must be a method of training, got {self.training!r}")
        for name, known in {"dtype": ("float32", "float64"), "device": ("cpu", "cuda")}.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}"
                )

    @warns_of_degenerate_data
    def fit(
        self,
        data: Dataset,
        *,
        generator: Generator,
        start: NetworkModel[Any] | None = None,
    ) -> MLPModel | CalibratedMLPModel:
        """Fit a network.

        Args:
            data: the training set, at least one point.
            generator: the only source of randomness.
            start: an earlier model, if ``warm_start``; of the same shape, and for a training that
                continues it, of the same training.

        Returns:
            A calibrated model if the training knows how far the data determine it.

        Raises:
            ValueError: no data, a start of another shape or training, a device that is not there,
                or a dtype or device that the training cannot use.
        """
        if len(data) == 0:
            raise ValueError("an MLP needs at least one point to be fitted to")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is 'cuda', but torch finds no CUDA device here; use 'cpu'")
        widths = (data.x.shape[1], *self.hidden, data.y.shape[1])
        (inputs, outputs), theta, state = self._scalings(data), None, None
        before = start if self.warm_start else None
        if before is not None:
            self._check_shape(before.network, widths)
        if before is not None and self.training.continues:
            inputs, outputs = before.network.inputs, before.network.outputs
            theta = before.network.theta.to(self.device, self._torch_dtype)
            state = before.training.state
        elif before is not None:
            moved = before.network.in_units(inputs, outputs).theta
            theta = moved if moved.isfinite().all() else None
        finalists = self.training.train(
            theta,
            list(widths),
            self.activation,
            self._samples(data, inputs, outputs),
            generator=generator,
            state=state,
        )
        network = Network(widths, self.activation, inputs, outputs, finalists[0].theta)
        sure = tuple(f for f in finalists if isinstance(f, SupportsPosterior))
        if not sure or not isinstance(self.training, SupportsFolds):
            return MLPModel(network, finalists)
        seed = draw_seed(generator)
        return CalibratedMLPModel(network, sure, self.training, data, self.scale, seed)

    def _scalings(self, data: Dataset) -> tuple[Scaling, Scaling]:
        if self.scale:
            return Scaling.to_box(data.x), Scaling.to_moments(data.y)
        return Scaling.identity(data.x.shape[1]), Scaling.identity(data.y.shape[1])

    def _check_shape(self, network: Network, widths: tuple[int, ...]) -> None:
        if (network.widths, network.activation) != (widths, self.activation):
            raise ValueError(
                f"cannot continue: the start is a {network.activation} network of widths "
                f"{network.widths}, this one is {self.activation} of widths {widths}"
            )

    def _samples(self, data: Dataset, inputs: Scaling, outputs: Scaling) -> Samples:
        samples = scaled_samples(data, inputs, outputs, relative=self.scale)
        return Samples(*(rows.to(self.device, self._torch_dtype) for rows in samples))

    @property
    def _torch_dtype(self) -> torch.dtype:
        return torch.float32 if self.dtype == "float32" else torch.float64
