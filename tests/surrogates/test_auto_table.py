"""What the automatic surrogate chooses on fixed data sets, and how far off it then is.

Near-equal members may rightly change places, so each data set has all the winners that are right.
Errors are mean absolute errors at fresh points against exact values, in spreads of these; the table
has the larger of two fits with other random numbers where these matter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.surrogates.auto import Auto

MARGIN = 1.5
"""An error may be so many times as large as in the table."""

EXACT = 1e-9
"""Errors below this are all the same."""

KERNELS = "gaussian_process identity, rough_gaussian_process identity"
SMOOTH = f"polynomial identity, network identity, wide_network identity, {KERNELS}"
BOLD_NETWORKS = "network_abs identity, network_abs3 identity, network_mixed identity"


@dataclass(frozen=True)
class Case:
    """A function of several variables in [0, 1], and what is chosen for it.

    Attributes:
        dimension: number of variables.
        n: number of points.
        function: from a column for each variable to the values.
        winners: members and transforms that are right.
        error: of the prediction; 0 if it is exact.
        noise: standard deviation of the noise in the data.
    """

    dimension: int
    n: int
    function: Callable[..., Tensor]
    winners: str
    error: float = 0.0
    noise: float = 0.0


QUICK = {
    # exact for one of the cheap members, which ends the search
    "line in 3-D": Case(3, 12, lambda x, y, z: 1 + 2 * x - y + 3 * z, "polynomial identity"),
    "cubic in 2-D": Case(2, 20, lambda x, y: x**3 - 2 * x * y + y**2, "polynomial identity"),
    "three of 8 variables": Case(
        8, 60, lambda *x: x[0] * x[3] + (x[6] - 0.4) ** 2, "polynomial identity"
    ),
    "pole beside the domain": Case(
        1, 12, lambda x: 1 / (x + 0.05), "polynomial identity, polynomial reciprocal"
    ),
    "reciprocal of a quadratic": Case(
        2, 20, lambda x, y: 1 / (1 + x + y**2), "polynomial reciprocal"
    ),
    "exponential": Case(2, 16, lambda x, y: torch.exp(3 * x - 2 * y), "polynomial log"),
    "negative exponential": Case(2, 16, lambda x, y: -torch.exp(2 * x + y**2), "polynomial log"),
    "bell": Case(2, 24, lambda x, y: torch.exp(-8 * (x - 0.5) ** 2 - 4 * y**2), "polynomial log"),
    "square of a cubic": Case(
        2, 20, lambda x, y: (1 + x + x**2 * y - 0.5 * y**3) ** 2, "polynomial sqrt"
    ),
    "rational in 1-D": Case(
        1, 14, lambda x: (0.5 - x) / (1 + 25 * (x - 0.4) ** 2), "polynomial identity"
    ),
    "tent": Case(1, 12, lambda x: (x - 1 / 3).abs(), "polynomial identity, crease_abs identity"),
    "plateaus": Case(1, 24, lambda x: (3 * x - 1).clamp(0, 1), "polynomial identity"),
    "crease along a line": Case(
        2, 20, lambda x, y: (x - 0.4 * y - 0.3).abs(), "crease_abs identity"
    ),
    "crease along a circle": Case(
        2, 40, lambda x, y: x + (x**2 + y**2 - 0.6).abs(), "crease_abs identity"
    ),
    "peak with a crease": Case(
        2, 60, lambda x, y: 1 / ((0.5 - x**4 - y**4).abs() + 0.1), "crease_abs reciprocal"
    ),
    "product with a crease": Case(
        2,
        45,
        lambda x, y: (1 + x * y) * (x + y - 0.8).abs(),
        "crease_abs identity, crease_product identity",
    ),
    "huge values": Case(2, 24, lambda x, y: 1e12 / (1 + 2 * x + y) ** 2, "polynomial reciprocal"),
    "jump in 1-D": Case(
        1,
        16,
        lambda x: (x > 0.37).double() + x**2,
        "polynomial identity, jump identity",
        3.2e-2,
    ),
}
SLOW = {
    "two creases": Case(
        2,
        45,
        lambda x, y: (x - 0.3 * y - 0.2).abs() + (y + 0.2 * x - 0.6).abs(),
        "crease_abs2 identity",
    ),
    "largest of three planes": Case(
        2,
        45,
        lambda x, y: torch.maximum(torch.maximum(x - 0.2, y - 0.4 * x), 0.4 - y),
        "crease_max identity",
    ),
    "root": Case(
        2,
        20,
        lambda x, y: torch.sqrt(0.02 + x + y),
        f"network_abs identity, {SMOOTH}, network sqrt, gaussian_process sqrt",
        1.0e-3,
    ),
    "logarithm": Case(
        2,
        24,
        lambda x, y: torch.log(0.1 + x) * (1 + y),
        f"network_mixed identity, {SMOOTH}, {BOLD_NETWORKS}",
        2.6e-3,
    ),
    "product of sines": Case(
        2, 30, lambda x, y: torch.sin(3 * x) * torch.cos(2 * y), SMOOTH, 2.7e-4
    ),
    "waves in 1-D": Case(1, 20, lambda x: torch.sin(20 * x), SMOOTH, 8.2e-5),
    "chirp": Case(1, 25, lambda x: torch.sin(12 * x**2), f"jump identity, {SMOOTH}", 1.2e-5),
    "steep slope": Case(2, 40, lambda x, y: torch.tanh(8 * (x - y)), "network identity", 7.1e-8),
    "additive waves in 5-D": Case(
        5, 60, lambda *x: sum(torch.sin((k + 1) * x[k]) for k in range(5)), SMOOTH, 5.0e-4
    ),
    "ridge in 8-D": Case(
        8,
        80,
        lambda *x: torch.tanh(sum((-1) ** k * (k + 1) / 8 * x[k] for k in range(8))),
        "network identity",
        5.0e-7,
    ),
    "nearly constant": Case(
        2,
        24,
        lambda x, y: 1e6 + 1e-3 * torch.sin(3 * x + y),
        f"{SMOOTH}, network log, network sqrt, network reciprocal, gaussian_process log",
        1.1e-4,
    ),
    "tiny values": Case(2, 24, lambda x, y: 1e-12 * torch.sin(3 * x) * (1 + y), SMOOTH, 3.9e-5),
    "jump along a circle": Case(
        2,
        60,
        lambda x, y: (x**2 + y**2 > 0.6).double() + 0.5 * x,
        "crease_abs2 identity, jump identity",
        7.9e-2,
    ),
    "noisy line": Case(1, 30, lambda x: 2 * x, SMOOTH, 1.4e-1, noise=0.2),
    "noisy sine in 2-D": Case(2, 40, lambda x, y: torch.sin(4 * x) + y, SMOOTH, 9.7e-2, noise=0.15),
}


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_the_choice_is_right_and_the_error_as_small_as_it_was(name: str):
    case = {**QUICK, **SLOW}[name]
    box = Box({f"x{k}": (0, 1) for k in range(case.dimension)})
    x = box.sobol(case.n, generator=derive_generator(0, "initial"))
    fresh = box.sobol(512, generator=derive_generator(1, "initial"))
    values, exact = (case.function(*points.T)[:, None] for points in (x, fresh))
    noise = torch.randn(case.n, 1, dtype=x.dtype, generator=derive_generator(0, "noise"))
    data = Dataset(x, values + case.noise * noise)
    model = Auto().fit(data, generator=derive_generator(0, "fit"))
    winner = model.outcomes[0].winner.score
    assert f"{winner.name} {winner.transform}" in case.winners.split(", ")
    error = (model.predict(fresh) - exact).abs().mean() / exact.std(correction=0)
    assert float(error) <= max(EXACT, MARGIN * case.error)
