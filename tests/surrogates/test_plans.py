"""On few levels, with repeated points, and away from the data: certain only where right."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator
from adaptsample.errors import DegenerateDataWarning
from adaptsample.surrogates import (
    MLP,
    Auto,
    Committee,
    Crease,
    EarlyStopped,
    GaussianProcess,
    Jump,
    Polynomial,
)
from adaptsample.surrogates.chebyshev import Orthonormal, chebyshev, multi_indices
from adaptsample.surrogates.plans import distinguishable

pytestmark = pytest.mark.filterwarnings("ignore:.*:adaptsample.errors.DegenerateDataWarning")
F64 = torch.float64
ALL = (
    Polynomial(),
    GaussianProcess(),
    Crease(n_starts=10, n_climbs=1),
    Jump(),
    MLP((6,)),
    EarlyStopped(),
    Committee(MLP((4,)), 3),
    Auto(),
)


def fit(recipe: Any, x: Tensor, f: Callable[[Tensor], Tensor]) -> Any:
    return recipe.fit(Dataset(x, f(x)[:, None]), generator=derive_generator(0, "fit"))


def grid(n_levels: int, dimension: int) -> Tensor:
    axis = torch.linspace(-1, 1, n_levels, dtype=F64)
    return torch.cartesian_prod(*[axis] * dimension)


def box_behnken(dimension: int) -> Tensor:
    eye = torch.eye(dimension, dtype=F64)
    rows = [
        a * eye[i] + b * eye[j]
        for i in range(dimension)
        for j in range(i + 1, dimension)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    return torch.stack([*rows, torch.zeros(dimension, dtype=F64)])


def composite(dimension: int) -> Tensor:
    eye, corners = torch.eye(dimension, dtype=F64), grid(2, dimension)
    return torch.cat([corners / 2 ** (dimension / 4), eye, -eye, 0 * eye[:1]])


def sweeps(n: int) -> Tensor:
    line = torch.linspace(-1, 1, n, dtype=F64)[:, None]
    return torch.cat([torch.cat([line, 0 * line], 1), torch.cat([0 * line, line], 1)])


def error(model: Any, f: Callable[[Tensor], Tensor], dimension: int) -> float:
    x = 2 * torch.rand(1000, dimension, dtype=F64, generator=derive_generator(1, "test")) - 1
    return float((model.predict(x)[:, 0] - f(x)).square().mean().sqrt() / f(x).std())


@pytest.mark.parametrize("recipe", [Polynomial(), Auto()])
def test_a_quartic_on_five_levels_is_right_between_them(recipe: Any):
    model = fit(recipe, grid(5, 2), lambda x: (x[:, 1] - x[:, 0] ** 2) ** 2)
    between = torch.tensor([[0.25, 0.75]], dtype=F64)
    assert float(model.predict(between)) == pytest.approx(0.47265625, abs=1e-12)


PLANS: dict[str, tuple[Tensor, Callable[[Tensor], Tensor]]] = {
    "8 x 8": (
        grid(8, 2),
        lambda x: (
            100 * (2 * x[:, 1] - 4 * x[:, 0] ** 2) ** 2
            + (1 - 2 * x[:, 0]) ** 2
            + torch.sin(20 * x[:, 0] * x[:, 1])
        ),
    ),
    "4 x 4": (grid(4, 2), lambda x: x[:, 0] ** 3 * x[:, 1]),
    "4 x 4 x 4": (grid(4, 3), lambda x: torch.sin(2 * x[:, 0] + x[:, 1]) + x[:, 2] ** 2),
    "3 x 3 x 3": (grid(3, 3), lambda x: torch.sin(2 * x[:, 0] + x[:, 1]) + x[:, 2] ** 2),
    "10 x 4": (
        torch.cartesian_prod(torch.linspace(-1, 1, 10, dtype=F64), grid(4, 1)),
        lambda x: torch.sin(6 * x[:, 0]) + x[:, 1] ** 3 * x[:, 0],
    ),
    "10 x 6": (
        torch.cartesian_prod(
            torch.linspace(-1, 1, 10, dtype=F64), torch.linspace(-1, 1, 6, dtype=F64)
        ),
        lambda x: torch.sin(6 * x[:, 0]) + x[:, 1] ** 3 * x[:, 0],
    ),
    "Box-Behnken": (box_behnken(3), lambda x: torch.exp(x[:, 0]) + x[:, 1] * x[:, 2]),
    "composite": (composite(4), lambda x: torch.exp((x[:, 0] + x[:, 3]) / 2) + x[:, 1] * x[:, 2]),
    "sweeps": (sweeps(9), lambda x: torch.sin(3 * x[:, 0]) + x[:, 1] ** 2),
    "one level in another": (
        torch.cat([grid(3, 2), grid(5, 2) / 2]),
        lambda x: torch.sin(3 * x[:, 0]) * torch.cos(2 * x[:, 1]),
    ),
    "a kink": (grid(6, 2), lambda x: (x[:, 0] - 0.3 * x[:, 1]).abs()),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_choice_on_a_plan_is_no_worse_than_the_gaussian_process(name: str):
    x, f = PLANS[name]
    dimension = x.shape[1]
    bar = error(fit(GaussianProcess(), x, f), f, dimension)
    assert error(fit(Auto(), x, f), f, dimension) <= 1.5 * bar


@pytest.mark.parametrize("name", PLANS)
def test_a_fit_to_a_plan_warns_of_what_is_between_the_levels(name: str):
    x, f = PLANS[name]
    with pytest.warns(DegenerateDataWarning, match="levels"):
        fit(GaussianProcess(), x, f)


def test_what_is_between_the_levels_is_not_vouched_for_by_points_on_them():
    f = lambda x: torch.sin(3 * x[:, 0]) * torch.cos(2 * x[:, 1])  # noqa: E731
    model = fit(Polynomial(), torch.cat([grid(3, 2), grid(5, 2) / 2]), f)
    claimed = float(model.held_out_residuals(generator=derive_generator(0, "")).square().mean())
    assert math.sqrt(claimed) > error(model, f, 2) / 3


def test_of_more_terms_than_a_plan_has_points_no_few_are_vouched_for():
    x, f = composite(4), lambda x: x[:, 0] ** 2 * x[:, 1]
    model = fit(Polynomial(), x, f)
    residuals = model.held_out_residuals(generator=derive_generator(0, "held out"))
    assert error(model, f, 4) > 0.1
    assert float(residuals.square().mean().sqrt()) > 0.1 * float(f(x).std())


def test_a_response_surface_is_known_from_two_and_three_levels():
    x = torch.cartesian_prod(grid(2, 1), grid(2, 1), grid(3, 1))
    f = lambda x: 1 + x[:, 0] - x[:, 2] ** 2 + x[:, 0] * x[:, 1]  # noqa: E731
    model = fit(Polynomial(), x, f)
    residuals = model.held_out_residuals(generator=derive_generator(0, "held out"))
    assert error(model, f, 3) < 1e-12
    assert float(residuals.abs().max()) < 1e-12


def test_nor_does_a_crease_that_goes_through_all_points_vouch_for_it():
    x, f = PLANS["4 x 4 x 4"]
    model = fit(Crease(), x, f)
    residuals = model.held_out_residuals(generator=derive_generator(0, "held out"))
    assert float(residuals.square().mean().sqrt()) > error(model, f, 3) / 3


@pytest.mark.parametrize("name", ["8 x 8", "one level in another", "a kink", "10 x 4"])
def test_a_polynomial_on_a_plan_has_no_powers_that_its_levels_do_not_carry(name: str):
    x, f = PLANS[name]
    (expansion,) = fit(Polynomial(), x, f).expansions
    used = expansion.indices[expansion.coefficients != 0]
    assert (used.amax(dim=0) < torch.tensor([len(axis.unique()) for axis in x.T])).all()


@pytest.mark.parametrize("rule", ["total", "hyperbolic"])
def test_terms_come_in_the_order_of_their_degree(rule: Any):
    indices = multi_indices(rule, (5, 4, 5), 500)
    assert indices is not None
    assert (indices.sum(dim=1).diff() >= 0).all()
    assert indices[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("n_levels", [2, 3, 4, 5])
def test_a_variable_carries_a_degree_below_the_number_of_its_levels(n_levels: int):
    indices = distinguishable(grid(n_levels, 2), multi_indices("total", (9, 9), 100))
    assert int(indices.max()) == n_levels - 1
    assert len(indices) == n_levels**2


def test_random_points_tell_all_terms_apart():
    x = 2 * torch.rand(30, 2, dtype=F64, generator=derive_generator(0, "x")) - 1
    indices = multi_indices("hyperbolic", (20, 20), 120)
    assert indices is not None
    assert len(distinguishable(x, indices)) == len(indices)


def test_of_features_that_coincide_the_first_are_kept():
    x = grid(3, 1)[:, None]
    basis = Orthonormal.of(chebyshev(x, torch.arange(6)[:, None]))
    assert basis.rank == 3
    assert (basis.to_coefficients[3:] == 0).all()


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: type(recipe).__name__)
def test_a_point_told_twice_counts_once(recipe: Any):
    x = 2 * torch.rand(14, 2, dtype=F64, generator=derive_generator(0, "x")) - 1
    f = lambda x: torch.sin(4 * x[:, 0]) + x[:, 1] ** 2  # noqa: E731
    once, twice = fit(recipe, x, f), fit(recipe, x.repeat(2, 1), f)
    at = grid(4, 2)
    assert torch.equal(once.predict(at), twice.predict(at))
    assert torch.equal(once.std(at), twice.std(at))
    held_out = [
        model.held_out_residuals(generator=derive_generator(0, "held out"))
        for model in (once, twice)
    ]
    assert torch.equal(held_out[0].repeat(2, 1), held_out[1])


def test_repeats_that_differ_teach_the_noise():
    noise = 0.1 * torch.randn(4, 25, dtype=F64, generator=derive_generator(0, "noise"))
    pooled = float(noise.var(dim=0).mean().sqrt())
    x = grid(5, 2).repeat(4, 1)
    model = fit(GaussianProcess(), x, lambda x: torch.sin(x[:, 0]) + x[:, 1] + noise.flatten())
    assert float(model.noise_std) == pytest.approx(pooled)


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: type(recipe).__name__)
def test_std_grows_away_from_the_data(recipe: Any):
    x = torch.linspace(0, 0.5, 12, dtype=F64)[:, None]
    model = fit(recipe, x, lambda x: torch.sin(8 * x[:, 0]))
    away = torch.tensor([[0.7], [0.8], [0.9], [1.0], [3.0]], dtype=F64)
    std, off = model.std(away)[:, 0], (model.predict(away) - torch.sin(8 * away))[:, 0].abs()
    assert (std.diff() > 0).all()
    assert (off <= 1.96 * std).all()


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: type(recipe).__name__)
def test_nobody_is_certain_of_a_line_far_beyond_its_data(recipe: Any):
    x = torch.linspace(0, 1, 15, dtype=F64)[:, None]
    model = fit(recipe, x, lambda x: 2 + 3 * x[:, 0])
    far = torch.tensor([[2.0]], dtype=F64)
    assert float(model.std(far)) > 0.5 * abs(float(model.predict(far)) - 8)
    assert float(model.std(far)) > 1
