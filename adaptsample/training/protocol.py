"""What it takes to train a network, whatever the method."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Generator, Tensor

from adaptsample.training.losses import Samples


class Finalist(Protocol):
    """A network that came to the end of training. Immutable."""

    @property
    def theta(self) -> Float[Tensor, " P"]:
        """The parameters, in the dtype and on the device of the samples."""

    @property
    def state(self) -> Any:
        """What the same trainer needs to continue; None if the parameters are all."""

    @property
    def train_loss(self) -> Float[Tensor, " iterations"]:
        """The loss as training went on."""


@runtime_checkable
class SupportsPosterior(Finalist, Protocol):
    """A finalist that knows how far the data determine it, as a normal distribution of theta.

    Values are those of the samples: scaled, if these are.
    """

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise in the values; 0 if none was looked for."""

    @property
    def prior_std(self) -> Float[Tensor, " P"]:
        """Standard deviation of each parameter before the data, in units of the noise's."""

    @property
    def leverages(self) -> Float[Tensor, " m"]:
        """How much say each row has in its own prediction, from 0 to 1.

        The rows are (r, n, k) flattened: the values and, if any were observed, the slopes.
        """

    @property
    def loo_residuals(self) -> Float[Tensor, " m"]:
        """Residuals of the rows, as they would be without their row if theta had little to go.

        Network minus target; an estimate that costs no refit, and an optimistic one.
        """

    def std(self, jacobian: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """Return the standard deviation of functions of theta that have these derivatives.

        It is relative where no noise was looked for.
        """


@runtime_checkable
class Trainer(Protocol):
    """A method of training: a frozen dataclass of hyper-parameters, no state."""

    @property
    def continues(self) -> bool:
        """Whether a new fit goes on from an earlier one, its state and its units included.

        Otherwise an earlier network competes with new ones, in the units of the new data.
        """

    def train(
        self,
        theta: Float[Tensor, " P"] | None,
        widths: list[int],
        activation: str | Sequence[str],
        samples: Samples,
        *,
        generator: Generator,
        state: Any = None,
    ) -> tuple[Finalist, ...]:
        """Minimise the loss; return one or several finalists, the best first.

        Args:
            theta: parameters to start from, which are left as they are, or None to draw them. Where
                there are several starts, the others are drawn.
            widths: the network's widths (d, h_1, ..., h_m, k).
            activation: of all hidden layers, or one for each.
            samples: what to fit, at least one point; the slopes' weights are 1, or relative.
            generator: the only source of randomness, on the CPU.
            state: of the fit that is continued from theta, or None to start afresh.

        Raises:
            ValueError: an unknown activation, or what this method cannot train or continue.
        """


@runtime_checkable
class SupportsFolds(Trainer, Protocol):
    """A trainer that can continue a fit without some of the points, for several choices at once."""

    def refit(
        self,
        theta: Float[Tensor, "B P"],
        widths: list[int],
        activation: str | Sequence[str],
        samples: Samples,
        *,
        held_out: Bool[Tensor, "B n"],
        state: Any,
    ) -> tuple[SupportsPosterior, ...]:
        """Continue from each row of theta without the points that are held out there.

        Args:
            theta: what to start from.
            widths: as of `train`, as are activation and samples.
            activation: of the hidden layers.
            samples: all points.
            held_out: those that do not count.
            state: of the fit that is continued.

        Raises:
            ValueError: what this method cannot train or continue.
        """
