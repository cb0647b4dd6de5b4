"""Gaussian processes: smooth functions of a few hundred evaluations, with honest uncertainty.

Each output gets a polynomial trend and a Gaussian process around it, whose length-scales and noise
maximise the restricted likelihood under a wide prior; so does the choice of kernel. The standard
deviation is scaled until the leave-one-out residuals are calibrated. The cost grows as n^3.
"""

from dataclasses import dataclass
from typing import final, get_args

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.shapes import Points, Values
from adaptsample.surrogates._degenerate import warns_of_degenerate_data
from adaptsample.surrogates.chebyshev import InputScale, OutputScale, multi_indices
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.gaussian_process.kriging import Kriged
from adaptsample.surrogates.gaussian_process.likelihood import (
    NO_NOISE,
    NOISE,
    Design,
    KernelName,
    Kriging,
)
from adaptsample.surrogates.gaussian_process.search import likeliest
from adaptsample.surrogates.outside import with_doubt_outside

_POINTS_PER_TERM = 5  # fewer, and the trend does harm
_NOISY, _NOISY_TREND = 0.01, 1  # noise in spreads from which on a steeper trend does harm


@final
@dataclass(frozen=True)
class GaussianProcess:
    """Universal kriging with one length-scale per variable and estimated noise.

    Args:
        kernels: correlation functions to try, from rough to smooth "matern32", "matern52", "rbf";
            the likeliest is kept. The roughest is easily taken for noise, and the other way round.
        trend: highest degree of the polynomial trend; lower where the data are too few, and at most
            1 where they are noisy.
        n_starts: climbs of the likelihood for each kernel and level of noise.
        noisy: whether noise is looked for. False passes through all values: a few values of a rough
            function are else easily taken for noise.

    Raises:
        ValueError: an unknown kernel, a negative degree, or no start.
    """

    kernels: tuple[KernelName, ...] = ("matern52", "rbf")
    trend: int = 2
    n_starts: int = 1
    noisy: bool = True

    def __post_init__(self) -> None:
        known = get_args(KernelName)
        if isinstance(self.kernels, str) or not set(self.kernels) <= set(known) or not self.kernels:
            raise ValueError(f"kernels is a tuple out of {known}, got {self.kernels!r}")
        if self.trend < 0 or self.n_starts < 1:
            raise ValueError(
                "trend must be at least 0 (a constant) and n_starts at least 1, "
                f"got {self.trend} and {self.n_starts}"
            )

    @warns_of_degenerate_data
    def fit(
        self,
        data: Dataset,
        *,
        generator: Generator,
        start: "GaussianProcessModel | None" = None,
    ) -> "GaussianProcessModel":
        """Fit each output on its own; the hyper-parameters of ``start`` join the starts."""
        del generator  # nothing is random
        inputs, outputs = InputScale.of(data.x), OutputScale.of(data.y)
        u, z = inputs(data.x), outputs.forward(data.y)
        processes = []
        for k in range(z.shape[1]):
            theta = None if start is None else start.processes[k].theta
            process = self._likeliest(u, z[:, k], self.trend, theta)
            if process.noise_std > _NOISY and self.trend > _NOISY_TREND:
                process = self._likeliest(u, z[:, k], _NOISY_TREND, process.theta)
            processes.append(process)
        return GaussianProcessModel(inputs, outputs, data, tuple(processes))

    def _likeliest(
        self, u: Points, z: Float[Tensor, " n"], trend: int, theta: Float[Tensor, " d+1"] | None
    ) -> Kriged:
        """Return the fit of the likeliest kernel."""
        design = Design(u, _trend_indices(trend, *u.shape))
        noise = NOISE if self.noisy else NO_NOISE
        krigings = [Kriging(design, z, kernel, noise) for kernel in self.kernels]
        return likeliest(krigings, self.n_starts, None if theta is None else theta.numpy())


@final
@dataclass(frozen=True, eq=False)
class GaussianProcessModel:
    """A Gaussian process for each output."""

    inputs: InputScale
    outputs: OutputScale
    data: Dataset
    processes: tuple[Kriged, ...]

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return len(self.inputs.centre)

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Number of hyper-parameters and trend coefficients, for each output."""
        return tuple(len(p.theta) + p.data.design.basis.rank for p in self.processes)

    @property
    def noise_std(self) -> Float[Tensor, " k"]:
        """Standard deviation of each output's noise, in the units of the data; NaN if not noisy."""
        stds = torch.tensor([p.noise_std for p in self.processes], dtype=torch.float64)
        return self.data.noise_std(stds * self.outputs.spread)

    @property
    def loo_residuals(self) -> Values:
        """Value minus leave-one-out prediction at the training points, hyper-parameters fixed."""
        residuals = torch.stack([p.loo for p in self.processes], dim=1)
        return self.data.by_row(residuals * self.outputs.spread)

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Value minus the prediction of a fit without the point, hyper-parameters fixed."""
        del generator  # known from the fit
        return self.loo_residuals

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Return the posterior mean; constant beyond a quarter of the data's box on each side."""
        u = self.inputs(x)
        return self.outputs.inverse(torch.stack([p.predict(u) for p in self.processes], dim=1))

    @accepts_arrays
    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return features whose products are nearly the prior covariances, and the trend's terms.

        The covariances are exact between the training points and points that fill their box
        (Williams and Seeger 2001, Using the Nyström method to speed up kernel machines).
        """
        u = self.inputs(x)
        return torch.cat([p.features(u) for p in self.processes], dim=1)

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the posterior standard deviation, noise left out, in the units of the data.

        It is scaled so that 68 % of the leave-one-out residuals would lie within one such
        deviation, had the hyper-parameters not been fitted to the same points. It grows with the
        distance from the data's box, beyond a margin.
        """
        u = self.inputs(x)
        std = self.outputs.inverse_std(torch.stack([p.std(u) for p in self.processes], dim=1))
        return with_doubt_outside(std, self.data, x)


def _trend_indices(trend: int, n: int, dimension: int) -> Int64[Tensor, "p d"]:
    """Return the multi-indices of the highest degree that n points can bear."""
    limit = max(1, n // _POINTS_PER_TERM)
    degrees = range(trend, -1, -1)
    bases = (multi_indices("total", (degree,) * dimension, limit) for degree in degrees)
    return next(indices for indices in bases if indices is not None)
