"""A model whose answers are formulas, so that what is made of them can be predicted, and states."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Generator, Tensor

from adaptsample.acquisition.state import State
from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator

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
        """True."""
        return True

    def predict(self, x: Tensor) -> Tensor:
        """Return waves on a slope (n, k)."""
        u, (frequency, shift) = self.domain.to_unit(x)[:, None], self._waves
        waves = torch.sin(frequency * u + shift) + u.square() / 2
        return self.unit * (1 + self.size * waves.sum(dim=-1))

    def gradient(self, x: Tensor) -> Tensor:
        """Return the slopes of the prediction (n, k, d)."""
        u, (frequency, shift) = self.domain.to_unit(x)[:, None], self._waves
        slopes = frequency * torch.cos(frequency * u + shift) + u
        slopes = slopes * self.size / (self.domain.upper - self.domain.lower)
        return torch.as_tensor(self.unit).view(-1, 1) * slopes

    def std(self, x: Tensor) -> Tensor:
        """Return the distance to the data times waves (n, k)."""
        frequency = 4 + 3 * torch.arange(self._n_outputs)[:, None]
        height = 1.5 + torch.sin(frequency * self.domain.to_unit(x)[:, None]).mean(dim=2)
        return self.unit * self.size * self._gap(x)[:, None] * height

    def committee(self, x: Tensor) -> Tensor:
        """Return members that differ more, the farther the data are (m, n, k)."""
        outputs, gap = torch.arange(self._n_outputs), self._gap(x)[:, None]
        angle = (3 + outputs) * self.domain.to_unit(x).sum(dim=1, keepdim=True)
        members = [torch.cos((1 + m) * angle + m) * gap for m in range(N_MEMBERS)]
        return self.predict(x) + self.unit * self.size * torch.stack(members)

    def features(self, x: Tensor) -> Tensor:
        """Return the point, products and waves of its coordinates (n, f)."""
        u = self.domain.to_unit(x)
        waves = [torch.sin(2 * u), torch.cos(5 * u), torch.sin(7 * u + 1)]
        rows = torch.cat([torch.ones_like(u[:, :1]), u, u * u.roll(1, dims=1), *waves], dim=1)
        if self.torn:
            rows = torch.where(u[:, :1] > 0.6, torch.nan, rows)
        return rows * self.size * torch.as_tensor(self.unit).view(-1)[0]

    def parameter_gradient(self, x: Tensor) -> Tensor:
        """Return the features, in another order for each output (n, k, p)."""
        rows = self.features(x)
        return torch.stack([(1 + k) * rows.roll(k, dims=1) for k in range(self._n_outputs)], dim=1)

    def held_out_residuals(self, *, generator: Generator) -> Tensor:
        """Return waves at the data (n, k)."""
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


def make_box(d: int, units: tuple[float, ...] = ()) -> Box:
    """Return a box of d variables that differ in place and width, in these units."""
    units = units or (1.0,) * d
    return Box({f"x{i}": (units[i] * (-1.0 - i), units[i] * (2.0 + 3 * i)) for i in range(d)})


def make_state(
    d: int = 2,
    *,
    k: int = 1,
    n: int = 12,
    units: tuple[float, ...] = (),
    output: float | Tensor = 1.0,
    size: float = 1.0,
    order: Tensor | None = None,
    n_pool: int = 0,
    torn: bool = False,
) -> State[Any]:
    """Return a state in the midst of a run: data, points awaited, failures, two models.

    Args:
        d: variables.
        k: outputs.
        n: points in the data.
        units: of the variables.
        output: unit of the outputs.
        size: see `FormulaModel`, which the values are of, too.
        order: of the data; what is awaited is turned round with it.
        n_pool: what is left of a finite pool; 0: any point may be asked.
        torn: see `FormulaModel`.
    """
    box = make_box(d, units)
    x = box.sobol(n + 5 + n_pool, generator=derive_generator(0, "initial"))
    known, pending, failed, pool = torch.split(x, [n, 3, 2, n_pool])
    if order is not None:
        known, pending = known[order], pending.flip(0)
    truth = FormulaModel(box, Dataset(known, known[:, :1].expand(-1, k)), output, size, phase=0.1)
    data = Dataset(known, truth.predict(known))
    return State(
        domain=box,
        data=data,
        model=FormulaModel(box, data, output, size, torn=torn),
        previous=FormulaModel(box, data, output, size, phase=-0.2),
        pending=pending,
        round=3,
        failed=failed,
        seed=0,
        pool=pool if n_pool else None,
    )
