"""Neural networks, fitted by nonlinear least squares or by gradient descent."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import draw_seed
from adaptsample.core.scaling import Scaling
from adaptsample.core.shapes import Points, Values
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.mlp.calibrated import CalibratedMLPModel
from adaptsample.surrogates.mlp.network import Network, scaled_samples
from adaptsample.training.levenberg_marquardt.trainer import LevenbergMarquardt
from adaptsample.training.losses import Samples
from adaptsample.training.network import activations_of
from adaptsample.training.protocol import Trained, Trainer


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
        start: "MLPModel | CalibratedMLPModel | None" = None,
    ) -> "MLPModel | CalibratedMLPModel":
        """Fit a network.

        Args:
            data: the training set, at least one point.
            generator: the only source of randomness.
            start: an earlier model, if ``warm_start``; of the same shape, and for gradient descent
                of the same training.

        Returns:
            A calibrated model if it was trained by least squares.

        Raises:
            ValueError: no data, a start of another shape or training, a device that is not there,
                or a dtype or device that the training cannot use.
        """
        if len(data) == 0:
            raise ValueError("an MLP needs at least one point to be fitted to")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is 'cuda', but torch finds no CUDA device here; use 'cpu'")
        widths = (data.x.shape[1], *self.hidden, data.y.shape[1])
        before = start if self.warm_start else None
        if before is not None:
            self._check_shape(before.network, widths)
        if isinstance(self.training, LevenbergMarquardt):
            return self._fit_least_squares(self.training, widths, data, before, generator)
        if before is None:
            inputs, outputs = self._scalings(data)
        else:
            inputs, outputs = before.network.inputs, before.network.outputs
        training = self.training.train(
            None if before is None else before.network.theta.to(self.device, self._torch_dtype),
            list(widths),
            self.activation,
            self._samples(data, inputs, outputs),
            generator=generator,
            state=None if before is None else before.training.state,
        )
        return MLPModel(Network(widths, self.activation, inputs, outputs, training.theta), training)

    def _fit_least_squares(
        self,
        training: LevenbergMarquardt,
        widths: tuple[int, ...],
        data: Dataset,
        before: "MLPModel | CalibratedMLPModel | None",
        generator: Generator,
    ) -> CalibratedMLPModel:
        """Let an earlier network compete with new ones.

        One that is only continued is caught in what it made of fewer points: in a loop, errors end
        10 times higher, and a network that once took everything for noise learns no more.
        """
        inputs, outputs = self._scalings(data)
        theta = None if before is None else before.network.in_units(inputs, outputs).theta
        trainings = training.committee(
            theta if theta is not None and theta.isfinite().all() else None,
            list(widths),
            self.activation,
            self._samples(data, inputs, outputs),
            generator=generator,
        )
        network = Network(widths, self.activation, inputs, outputs, trainings[0].theta)
        return CalibratedMLPModel(
            network, trainings, training, data, self.scale, draw_seed(generator)
        )

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


@final
@dataclass(frozen=True, eq=False)
class MLPModel:
    """A fitted network.

    Attributes:
        network: the network, with its scalings.
        training: the parameters, the loss curves, and what is needed to continue.
    """

    network: Network
    training: Trained

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return self.network.widths[0]

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Predict at n points, in the units of the data."""
        return self.network.predict(x)

    @accepts_arrays
    def gradient(self, x: Points) -> Float[Tensor, "n k d"]:
        """Return d y_k / d x_d at n points, in the units of the data."""
        return self.network.gradient(x)

    @accepts_arrays
    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the activations of the last hidden layer, in which the prediction is linear."""
        return self.network.features(x)

    @accepts_arrays
    def parameter_gradient(self, x: Points) -> Float[Tensor, "n k p"]:
        """Return the derivatives of the scaled outputs with respect to the parameters."""
        return self.network.parameter_gradient(x)

    @property
    def learns_gradients(self) -> bool:
        """True."""
        return True
