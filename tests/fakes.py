"""Models whose answers are formulas, so that what is made of them can be foretold."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor

from adaptsample import Box, Dataset

N_MEMBERS = 5


@final
@dataclass(frozen=True, eq=False)
class FormulaModel:
    """Offers everything that a strategy may require; its units scale with the box and the outputs.

    Args:
        domain: whose unit cube the formulas are of.
        data: what it is as if fitted to: the members agree there, and nothing is uncertain.
        unit: of each output.
        size: of all that varies; 0 makes it a constant that knows and doubts nothing.
        phase: models with another predict differently.
        torn: whether features are not numbers in a part of the box.
    """

    domain: Box
    data: Dataset
    unit: float | Tensor = 1.0
    size: float = 1.0
    phase: float = 0.0
    torn: bool = False

    @property
    def learns_gradients(self) -> bool:
        return True

    def predict(self, x: Tensor) -> Tensor:
        u, (frequency, shift) = self.domain.to_unit(x)[:, None], self._waves
        waves = torch.sin(frequency * u + shift) + u.square() / 2
        return self.unit * (1 + self.size * waves.sum(dim=-1))

    def gradient(self, x: Tensor) -> Tensor:
        u, (frequency, shift) = self.domain.to_unit(x)[:, None], self._waves
        slopes = frequency * torch.cos(frequency * u + shift) + u
        slopes = slopes * self.size / (self.domain.upper - self.domain.lower)
        return torch.as_tensor(self.unit).view(-1, 1) * slopes

    def std(self, x: Tensor) -> Tensor:
        frequency = 4 + 3 * torch.arange(self._n_outputs)[:, None]
        height = 1.5 + torch.sin(frequency * self.domain.to_unit(x)[:, None]).mean(dim=2)
        return self.unit * self.size * self._gap(x)[:, None] * height

    def committee(self, x: Tensor) -> Tensor:
        outputs, gap = torch.arange(self._n_outputs), self._gap(x)[:, None]
        angle = (3 + outputs) * self.domain.to_unit(x).sum(dim=1, keepdim=True)
        members = [torch.cos((1 + m) * angle + m) * gap for m in range(N_MEMBERS)]
        return self.predict(x) + self.unit * self.size * torch.stack(members)

    def features(self, x: Tensor) -> Tensor:
        u = self.domain.to_unit(x)
        waves = [torch.sin(2 * u), torch.cos(5 * u), torch.sin(7 * u + 1)]
        rows = torch.cat([torch.ones_like(u[:, :1]), u, u * u.roll(1, dims=1), *waves], dim=1)
        if self.torn:
            rows = torch.where(u[:, :1] > 0.6, torch.nan, rows)
        return rows * self.size * torch.as_tensor(self.unit).view(-1)[0]

    def parameter_gradient(self, x: Tensor) -> Tensor:
        rows = self.features(x)
        return torch.stack([(1 + k) * rows.roll(k, dims=1) for k in range(self._n_outputs)], dim=1)

    def held_out_residuals(self, *, generator: Generator) -> Tensor:
        del generator
        angle = 9 * self.domain.to_unit(self.data.x).sum(dim=1, keepdim=True)
        return self.unit * self.size * torch.sin(angle + torch.arange(self._n_outputs))

    @property
    def _n_outputs(self) -> int:
        return self.data.y.shape[1]

    @property
    def _waves(self) -> tuple[Tensor, Tensor]:
        """Frequencies and phases, for each output and coordinate."""
        outputs = torch.arange(self._n_outputs, dtype=torch.float64)[:, None]
        return 3 + outputs, self.phase + outputs + torch.arange(self.domain.dimension)

    def _gap(self, x: Tensor) -> Tensor:
        """Distance to the nearest of the data, in the unit cube, without cancellation."""
        unit = self.domain.to_unit
        return (unit(x)[:, None] - unit(self.data.x)).square().sum(dim=2).sqrt().amin(dim=1)


@final
@dataclass(frozen=True)
class ThresholdModel:
    """Steps from 0 to 1 at each of several places, all as likely: a committee about one jump.

    Args:
        thresholds: where, in one variable.
    """

    thresholds: tuple[float, ...]

    def predict(self, x: Tensor) -> Tensor:
        return self.committee(x).mean(dim=0)

    def committee(self, x: Tensor) -> Tensor:
        places = torch.tensor(self.thresholds, dtype=torch.float64)
        return (x > places).T[:, :, None].double()
