"""Measurement noise around any oracle.

Both the point and the value are measured with a bias and a spread: with e_x ~ N(mean, std) in every
coordinate and e_y ~ N(mean, std) in every output, a true point p is recorded as x = p + e_x and the
value there as y = f(p) + e_y. An oracle is asked for the point that will be recorded, so it is
evaluated at p = x - e_x. The error thus is independent of x and not of p (Berkson, "Are there two
regressions?", 1950): the right kind where x is what the instrument was set to. Where p would leave
the domain it is moved to the nearest point of it, so f is asked only where it is defined.
"""

from dataclasses import KW_ONLY, dataclass
from math import isfinite
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points, Values
from adaptsample.oracles.protocol import Oracle, SupportsExact


@final
@dataclass(frozen=True)
class NoisyOracle:
    """An oracle observed with Gaussian noise.

    A plain call is a function: the noise at a point follows from ``seed`` and the point's
    coordinates alone, so the same point gets the same answer in any order and batch.
    ``sample`` draws afresh.

    Args:
        oracle: the oracle behind the noise.
        x_noise: mean and standard deviation of the noise on each coordinate, in the domain's units.
        y_noise: mean and standard deviation of the noise on each output, in the output's units.
        seed: decides the noise of a plain call.

    Raises:
        ValueError: a mean or a standard deviation that is not finite, or a negative one of these.
    """

    oracle: Oracle
    _: KW_ONLY
    x_noise: tuple[float, float] = (0.0, 0.0)
    y_noise: tuple[float, float] = (0.0, 0.0)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (mean, std) in {"x_noise": self.x_noise, "y_noise": self.y_noise}.items():
            if not (isfinite(mean) and isfinite(std) and std >= 0):
                raise ValueError(
                    f"{name} is ({mean}, {std}): give a finite mean and a finite "
                    "standard deviation of at least 0"
                )

    @property
    def domain(self) -> Box:
        """The points that may be asked."""
        return self.oracle.domain

    @property
    def n_outputs(self) -> int:
        """Number of outputs, k."""
        return self.oracle.n_outputs

    @property
    def exact(self) -> Oracle | None:
        """What the oracle behind the noise calls exact."""
        return self.oracle.exact if isinstance(self.oracle, SupportsExact) else None

    def __call__(self, x: Points) -> Values:
        """Evaluate at n points; the same point always gets the same noise."""
        normals = torch.empty(len(x), self._n_errors, dtype=torch.float64)
        for row, point in zip(normals, x, strict=True):
            coordinates = "/".join(float(c).hex() for c in point + 0.0)  # -0.0 is the point 0.0
            row.normal_(generator=derive_generator(self.seed, f"noise/{coordinates}"))
        return self._observe(x, normals)

    def sample(self, x: Points, *, generator: Generator) -> Values:
        """Evaluate with the noise that this generator gives."""
        normals = torch.randn(len(x), self._n_errors, dtype=torch.float64, generator=generator)
        return self._observe(x, normals)

    @property
    def _n_errors(self) -> int:
        return self.domain.dimension + self.n_outputs

    def _observe(self, x: Points, normals: Float[Tensor, "n d_plus_k"]) -> Values:
        x_mean, x_std = self.x_noise
        y_mean, y_std = self.y_noise
        x_error = x_mean + x_std * normals[:, : self.domain.dimension]
        y_error = y_mean + y_std * normals[:, self.domain.dimension :]
        reached = torch.clamp(x - x_error, min=self.domain.lower, max=self.domain.upper)
        return self.oracle(reached) + y_error
