"""Fitted networks: what all of them can do, and those that can do no more."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar, final

from jaxtyping import Float
from torch import Tensor

from adaptsample.core.shapes import Points, Values
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.mlp.network import Network
from adaptsample.training.protocol import Finalist

F = TypeVar("F", bound=Finalist)


@dataclass(frozen=True, eq=False)
class NetworkModel(ABC, Generic[F]):
    """A fitted network.

    Attributes:
        network: the network, with its scalings.
        finalists: those that came to the end of training, the best, which is the network itself,
            first: their parameters, loss curves, and what is needed to continue.
    """

    network: Network
    finalists: tuple[F, ...]

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return self.network.widths[0]

    @property
    def training(self) -> F:
        """The training of the network itself."""
        return self.finalists[0]

    @property
    def learns_gradients(self) -> bool:
        """True."""
        return True

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

    @abstractmethod
    def parameter_gradient(self, x: Points) -> Float[Tensor, "n k p"]:
        """Return the derivatives of the scaled outputs with respect to the parameters."""


@final
@dataclass(frozen=True, eq=False)
class MLPModel(NetworkModel[Finalist]):
    """A fitted network that does not know how well it predicts."""

    @accepts_arrays
    def parameter_gradient(self, x: Points) -> Float[Tensor, "n k p"]:
        """Return the derivatives of the scaled outputs with respect to the parameters."""
        return self.network.parameter_gradient(x)
