"""Networks that can tell how well they predict."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, nan
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator
from adaptsample.core.scaling import Scaling
from adaptsample.core.shapes import Points, Values
from adaptsample.surrogates.chebyshev import fill_box
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.mlp.model import NetworkModel
from adaptsample.surrogates.mlp.network import Network, scaled_samples
from adaptsample.surrogates.outside import with_doubt_outside
from adaptsample.training.protocol import SupportsFolds, SupportsPosterior

_PERTURBATIONS = (0.01, 0.001)  # of parameters, relative
_GOOD_LOSS = 1e-12  # a refit with this mean squared error has not gone astray


@final
@dataclass(frozen=True, eq=False)
class CalibratedMLPModel(NetworkModel[SupportsPosterior]):
    """A fitted network that knows how well it predicts.

    Its standard deviation is that of the linearised fit (MacKay 1992), times a factor: as many
    held-out residuals are within it as there would be for a normal distribution. The factor costs
    refits, and is computed when it is first asked for.

    Attributes:
        network: the network, with its scalings.
        finalists: those that came to the end of training, the best, which is the network itself,
            first: their parameters, loss curves, and what is needed to continue.
        trainer: how it was fitted.
        data: what to.
        relative: whether errors of slopes are measured against their mean square.
        seed: of the random numbers of the calibration.
    """

    trainer: SupportsFolds
    data: Dataset
    relative: bool
    seed: int

    @accepts_arrays
    def parameter_gradient(self, x: Points) -> Float[Tensor, "n k p"]:
        """Return the derivatives of the scaled outputs with respect to the parameters.

        Parameters are in units of their prior's standard deviation, so that those that the evidence
        holds near zero, as the weights of a variable that does not matter, count for little.
        """
        return self.network.parameter_gradient(x) * self.training.prior_std

    @accepts_arrays
    def committee(self, x: Points) -> Float[Tensor, "m n k"]:
        """Return the predictions of all finalists, the model's own first."""
        networks = (self.network.with_theta(finalist.theta) for finalist in self.finalists)
        return torch.stack([network.predict(x) for network in networks])

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the predictive standard deviation, in the units of the data.

        It grows with the distance from the data's box, beyond a margin.
        """
        std = self._factor * _linearised_std(self.network, self.training, x)
        std = torch.nan_to_num(std * Scaling.to_moments(self.data.y).unit)
        return with_doubt_outside(std, self.data, x)

    @property
    def noise_std(self) -> Float[Tensor, " k"]:
        """Standard deviation of the noise that training found, in the units of the data.

        In scaled units it is the same for all outputs; 0 if training looked for none.
        """
        return self.data.noise_std(self.training.noise_std * self.network.outputs.unit)

    @property
    def doubts(self) -> tuple[float, ...]:
        """How far the nearest fit from another start is, for each output; NaN if there is none.

        That is the mean distance in the data's box, in units of the output's spread. A network
        may have creases between the points, where no residual tells; others have them elsewhere.
        """
        if len(self.finalists) == 1:
            return (nan,) * self.data.y.shape[1]
        own, *others = self.committee(fill_box(self.data.x))
        spread = Scaling.to_moments(self.data.y).unit
        distances = [((other - own) / spread).abs().mean(dim=0) for other in others]
        return tuple(torch.stack(distances).amin(dim=0).tolist())

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Effective number of parameters, for each output: how many its data determine."""
        shares = self.training.leverages.view(-1, *self.data.y.shape).sum(dim=(0, 1))
        return tuple(max(1, ceil(share)) for share in shares.tolist())

    @property
    def loo_residuals(self) -> Values:
        """Value minus prediction without the point, had the network little to go (n, k).

        From the linearised fit, in the units of the data; an optimistic estimate that costs
        nothing. Without a prior the linearised fit of many parameters tells nothing, and these are
        the residuals of the fit.
        """
        if self.training.noise_std == 0:
            return self.data.by_row(self.data.y - self.predict(self.data.x))
        residuals = self.training.loo_residuals.view(-1, *self.data.y.shape)[0]
        return self.data.by_row(-residuals * self.network.outputs.unit)

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Return value minus the prediction of a fit without the point, in five folds.

        The refits continue from here, with perturbed parameters. Unperturbed, they would stay at
        what the whole data taught, where the rest does not determine the network.
        """
        return self.data.by_row(self._cross_validate(generator)[0])

    @cached_property
    def _factor(self) -> Float[Tensor, " k"]:
        """What the linearised standard deviation has to be multiplied by."""
        residuals, std = self._cross_validate(derive_generator(self.seed, "calibration"))
        spread = Scaling.to_moments(self.data.y).unit
        ratio = (residuals / spread).abs() / std.clamp(min=1e-300)
        return ratio.nan_to_num(0.0, 1e300).quantile(0.6827, dim=0).clamp(max=1e100)

    def _cross_validate(self, generator: Generator) -> tuple[Values, Values]:
        """Return held-out residuals, and the linearised standard deviation at the same points."""
        data, network = self.data, self.network
        fold = torch.randperm(len(data), generator=generator) % 5
        residuals = data.y - Scaling.to_moments(data.y).shift
        std = torch.ones_like(data.y)
        n_folds = min(5, len(data)) if len(data) > 1 else 0
        held_out = fold == torch.arange(n_folds)[:, None]
        for held, training in zip(held_out, self._refits(held_out, generator), strict=True):
            refit = network.with_theta(training.theta)
            residuals[held] = data.y[held] - refit.predict(data.x[held])
            std[held] = _linearised_std(refit, training, data.x[held])
        return residuals, std

    def _refits(
        self, held_out: Bool[Tensor, "folds n"], generator: Generator
    ) -> list[SupportsPosterior]:
        """Train on all folds but one, from parameters perturbed less where more leads astray."""
        network, losses = self.network, self.training.train_loss
        samples = scaled_samples(self.data, network.inputs, network.outputs, relative=self.relative)
        expected = max(100 * float(losses[-1]) if len(losses) else 0.0, _GOOD_LOSS)
        refits: dict[int, SupportsPosterior] = {}
        astray = list(range(len(held_out)))
        for size in _PERTURBATIONS:
            if not astray:
                break
            shape = (len(astray), len(network.theta))
            noise = torch.randn(shape, dtype=torch.float64, generator=generator)
            trainings = self.trainer.refit(
                network.theta * (1 + size * noise),
                list(network.widths),
                network.activation,
                samples,
                held_out=held_out[astray],
                state=self.training.state,
            )
            refits.update(zip(astray, trainings, strict=True))
            astray = [i for i in astray if _last_loss(refits[i]) > expected]
        return [refits[i] for i in range(len(held_out))]


def _last_loss(training: SupportsPosterior) -> float:
    return float(training.train_loss[-1]) if len(training.train_loss) else 0.0


def _linearised_std(network: Network, training: SupportsPosterior, x: Points) -> Values:
    std: Values = training.std(network.parameter_gradient(x))
    return std.clamp(max=1e100)
