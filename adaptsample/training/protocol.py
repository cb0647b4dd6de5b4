"""What it takes to train a network, whatever the method."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.training.losses import Samples


class Trained(Protocol):
    """The result of training. Immutable."""

    @property
    def theta(self) -> Float[Tensor, " P"]:
        """The parameters, in the dtype and on the device of the samples."""

    @property
    def state(self) -> Any:
        """What the same trainer needs to continue."""

    @property
    def train_loss(self) -> Float[Tensor, " iterations"]:
        """The loss as training went on."""


@runtime_checkable
class Trainer(Protocol):
    """A method of training: a frozen dataclass of hyper-parameters, no state."""

    def train(
        self,
        theta: Float[Tensor, " P"] | None,
        widths: list[int],
        activation: str | Sequence[str],
        samples: Samples,
        *,
        generator: Generator,
        state: Any = None,
    ) -> Trained:
        """Minimise the loss from theta on; theta itself is left as it is.

        Args:
            theta: parameters to start from, or None to draw them.
            widths: the network's widths (d, h_1, ..., h_m, k).
            activation: of all hidden layers, or one for each.
            samples: what to fit, at least one point.
            generator: the only source of randomness, on the CPU.
            state: of the fit that is continued from theta, or None to start afresh.

        Raises:
            ValueError: an unknown activation, or what this method cannot train or continue.
        """
