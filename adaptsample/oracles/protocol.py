"""What an oracle is: a domain and a call that is paid for."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.domain import Box
from adaptsample.core.shapes import Points, Values


@runtime_checkable
class Oracle(Protocol):
    """The function being approximated, expensive to call."""

    @property
    def domain(self) -> Box:
        """The points that may be asked."""

    @property
    def n_outputs(self) -> int:
        """Number of outputs, k."""

    def __call__(self, x: Points) -> Values:
        """Evaluate at n points; each of them is one paid evaluation."""


@runtime_checkable
class Differentiable(Oracle, Protocol):
    """An oracle that also knows its gradient."""

    def gradient(self, x: Points) -> Float[Tensor, "n k d"]:
        """Return d y_k / d x_d at n points."""


@runtime_checkable
class Joint(Differentiable, Protocol):
    """An oracle that gives value and gradient in one call, which is paid once."""

    def value_and_gradient(self, x: Points) -> tuple[Values, Float[Tensor, "n k d"]]:
        """Return both at n points."""


@runtime_checkable
class Finite(Oracle, Protocol):
    """An oracle that can be asked at the points of a finite pool and nowhere else."""

    @property
    def pool(self) -> Points:
        """All points that may be asked (m, d), each of them once."""


@runtime_checkable
class Stochastic(Oracle, Protocol):
    """An oracle whose repeated evaluations at one point differ."""

    def sample(self, x: Points, *, generator: Generator) -> Values:
        """Evaluate with the noise that this generator gives."""


@runtime_checkable
class SupportsExact(Oracle, Protocol):
    """An oracle that may know a version of itself whose calls cost nothing and carry no noise."""

    @property
    def exact(self) -> Oracle | None:
        """The free and exact version, against which errors are measured; None if there is none."""
