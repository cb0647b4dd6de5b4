"""Polynomial surrogates."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.metrics.errors import reference_set
from adaptsample.oracles.problems import problem
from adaptsample.surrogates.chebyshev import (
    InputScale,
    Orthonormal,
    OutputScale,
    box_points,
    chebyshev,
    multi_indices,
    swing,
)
from adaptsample.surrogates.polynomial import Polynomial, PolynomialModel
from adaptsample.surrogates.polynomial.expansion import Expansion
from tests.surrogates.degenerate import all_finite, degenerate_data, near_and_far


def unit(d: int) -> Box:
    return Box({f"x{i}": (0, 1) for i in range(d)})


def fit(data: Dataset, seed: int = 0) -> PolynomialModel:
    return Polynomial().fit(data, generator=derive_generator(seed, "fit"))


def cubic(x: Tensor) -> Tensor:
    a, b = x.T
    return torch.stack([1 + a * b**2 - 3 * a**3, torch.ones_like(a)], dim=1)


def sample(f, box: Box, n: int, seed: int = 0) -> Dataset:
    x = box.sobol(n, generator=derive_generator(seed, "initial"))
    return Dataset(x, f(x))


def test_total_degree_counts_are_binomial():
    for d, degree in ((1, 5), (2, 4), (3, 3), (5, 2)):
        indices = multi_indices("total", (degree,) * d, 1000)
        assert len(indices) == math.comb(d + degree, d)


def test_hyperbolic_cross_holds_products_of_orders_plus_one():
    found = {tuple(i) for i in multi_indices("hyperbolic", (7, 7), 1000).tolist()}
    expected = {(i, j) for i in range(8) for j in range(8) if (i + 1) * (j + 1) <= 8}
    assert found == expected


def test_an_axis_of_degree_zero_is_left_out():
    assert multi_indices("total", (2, 0), 10).tolist() == [[0, 0], [1, 0], [2, 0]]


def test_a_set_above_the_limit_is_none():
    assert multi_indices("total", (3, 3), 10) is not None
    assert multi_indices("total", (3, 3), 9) is None


@pytest.mark.parametrize(("d", "degree"), [(2, 9), (6, 3)])
def test_chebyshev_columns_are_cosines(d: int, degree: int):
    t = torch.rand(50, d, dtype=torch.float64, generator=derive_generator(0, "t")) * math.pi
    indices = multi_indices("total", (degree,) * d, 1000)
    expected = torch.cos(indices * t[:, None]).prod(dim=2)
    torch.testing.assert_close(chebyshev(torch.cos(t), indices), expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize("n", [12, 40, 200])
def test_no_score_is_below_what_is_known_from_the_points(n: int):
    data = sample(lambda x: torch.sin(9 * x[:, :1]) * x[:, 1:], unit(2), n)
    u, z = 2 * data.x - 1, data.y[:, 0]
    for degree in range(4):
        expansion = Expansion.chebyshev(u, z, multi_indices("total", (degree, degree), n))
        assert 0 < expansion.least_score <= expansion.score


def test_leave_one_out_equals_refits():
    data = sample(cubic, unit(2), 20)
    u, y = 2 * data.x - 1, torch.sin(9 * data.x[:, 0])
    columns = chebyshev(u, multi_indices("total", (2, 2), 100))
    basis = Orthonormal.of(columns)
    loo = basis.leave_one_out(basis.solve(y)[1], y)
    for i in range(20):
        keep = torch.arange(20) != i
        refit, _ = Orthonormal.of(columns[keep]).solve(y[keep])
        assert loo[i] == pytest.approx(float(y[i] - columns[i] @ refit), abs=1e-12)


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
def test_polynomials_are_reproduced_from_few_more_points_than_terms():
    data = sample(cubic, unit(2), 15)
    model = fit(data)
    x = unit(2).grid(21)
    torch.testing.assert_close(model.predict(x), cubic(x), atol=1e-12, rtol=0)


def test_of_bases_that_are_exact_the_smallest_is_kept():
    """By rounding alone one of the larger is ahead, for some of ten functions."""
    x = unit(2).sobol(80, generator=derive_generator(0, "initial"))
    terms = chebyshev(2 * x - 1, multi_indices("total", (2, 2), 6))
    weights = torch.randn(6, 10, dtype=torch.float64, generator=derive_generator(0, "weights"))
    assert fit(Dataset(x, terms @ weights)).n_parameters == (6,) * 10


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
def test_predictions_do_not_depend_on_units():
    data = sample(cubic, unit(2), 15)
    factors = torch.tensor([1e6, 1e-6], dtype=torch.float64)
    moved = Dataset(data.x * factors - 5e-6, 1e8 * data.y + 3e8)
    x = unit(2).grid(9)
    near = fit(moved).predict(x * factors - 5e-6)
    torch.testing.assert_close(near, 1e8 * cubic(x) + 3e8, rtol=1e-9, atol=0)


def test_few_active_variables_among_many_are_found():
    def additive(x: Tensor) -> Tensor:
        return (torch.exp(x[:, 0]) + 4 * (x[:, 3] - 0.5) ** 2 + x[:, 1] * x[:, 4])[:, None]

    model = fit(sample(additive, unit(6), 80))
    x = unit(6).uniform(500, generator=derive_generator(1, "test"))
    assert float((model.predict(x) - additive(x)).abs().max()) < 1e-5


def test_of_many_larger_bases_the_promising_ones_lead_where_all_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A function with one order on each of eight axes, and noise: no sparse fit is as good."""
    n_fits: list[int] = []
    chebyshev_fit = Expansion.chebyshev

    def counted(*args: Any) -> Expansion:
        n_fits.append(1)
        return chebyshev_fit(*args)

    monkeypatch.setattr(Expansion, "chebyshev", counted)
    x = unit(8).sobol(80, generator=derive_generator(0, "points"))
    orders = torch.tensor([5, 4, 3, 1, 1, 1, 0, 0])
    y = (x**orders).sum(dim=1, keepdim=True)
    noise = torch.randn(80, 1, dtype=torch.float64, generator=derive_generator(0, "noise"))
    data = Dataset(x, y + 1e-4 * noise)
    found = {}
    for most in (10, 1000):
        monkeypatch.setattr("adaptsample.surrogates.polynomial.surrogate.MAX_MOVES", most)
        n_fits.clear()
        model = Polynomial().fit(data, generator=derive_generator(0, "fit"))
        found[most] = (len(n_fits), model.scores[0])
    assert found[10][0] < 0.8 * found[1000][0]
    assert found[10][1] == pytest.approx(found[1000][1])


def test_poles_beside_an_interval_cost_few_points():
    def runge(x: Tensor) -> Tensor:
        return 1 / (1 + 25 * x**2)

    box = Box({"x": (-1, 1)})
    model = fit(sample(runge, box, 20))
    x = box.grid(2001)
    assert float((model.predict(x) - runge(x)).abs().max()) < 1e-13


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
def test_std_is_zero_for_exact_fits_and_grows_away_from_data():
    def wiggle(x: Tensor) -> Tensor:
        return torch.exp(3 * x[:, :1]) * torch.cos(4 * x[:, 1:])

    exact = fit(sample(cubic, unit(2), 20))
    assert float(exact.std(unit(2).grid(5)).max()) < 1e-10
    data = sample(wiggle, unit(2), 40)
    rough = fit(data)
    corner = torch.tensor([[1.3, 1.3]], dtype=torch.float64)
    assert float(rough.std(corner)) > float(rough.std(data.x).mean())


def test_equal_generators_give_equal_models():
    def f(x: Tensor) -> Tensor:
        return torch.exp(x.sum(dim=1, keepdim=True))

    data = sample(f, unit(3), 40)
    x = unit(3).grid(4)
    assert torch.equal(fit(data, 3).predict(x), fit(data, 3).predict(x))


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
def test_arrays_in_arrays_out():
    model = fit(sample(cubic, unit(2), 15))
    answer = model.predict(np.full((3, 2), 0.5))
    assert isinstance(answer, np.ndarray)
    assert answer.shape == (3, 2)


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
@pytest.mark.parametrize("name", degenerate_data())
def test_degenerate_data_gives_finite_predictions(name: str):
    data = degenerate_data()[name]
    model, far = fit(data), near_and_far(data)
    assert all_finite(model.predict(far), model.std(far), model.loo_residuals)


def test_scales_of_constant_and_extreme_data_are_usable():
    y = torch.tensor([[1e300, 2.0], [-1e300, 2.0]], dtype=torch.float64)
    scale = OutputScale.of(y)
    torch.testing.assert_close(scale.inverse(scale.forward(y)), y)
    x = torch.tensor([[-1e308, 1.0], [1e308, 1.0]], dtype=torch.float64)
    assert InputScale.of(x)(x).tolist() == [[-1, 0], [1, 0]]


def test_an_even_function_is_sparse_wherever_its_points_happen_to_end() -> None:
    """The middle of random points is not where the function is even; 0 is."""
    for shift, is_sparse in ((0.0, True), (0.3, False)):
        domain = Box({"x": (-1 + shift, 1 + shift), "y": (-2, 2), "z": (-3, 3)})
        x = domain.sobol(60, generator=derive_generator(0, "points"))
        scale = InputScale.about_zero(x)
        assert (scale.centre == 0).tolist() == [is_sparse, True, True]
        assert float(scale(x).abs().max()) == 1.0


def test_ishigamis_function_is_learned_from_few_points() -> None:
    oracle = problem("ishigami")
    reference = reference_set(oracle)
    for seed in range(3):
        model = fit(sample(oracle, oracle.domain, 100, seed), seed)
        error = (model.predict(reference.x) - reference.y).square().mean().sqrt()
        assert float(error / reference.y.std()) < 3e-3


def test_a_kink_on_the_line_is_found_to_all_digits() -> None:
    data = sample(lambda x: (-3 * (x - 0.37).abs()).exp(), unit(1), 40)
    model = fit(data)
    x = unit(1).grid(2001)
    assert float((model.predict(x) - (-3 * (x - 0.37).abs()).exp()).abs().max()) < 1e-8


def test_several_kinks_are_found_though_one_alone_gains_nothing() -> None:
    def bounces(x: Tensor) -> Tensor:
        return (8 * x - 4).sin().abs()

    model = fit(sample(bounces, unit(1), 100))
    x = unit(1).grid(2001)
    assert float((model.predict(x) - bounces(x)).abs().mean()) < 1e-7


def test_a_jump_costs_no_more_than_its_gap() -> None:
    def jump(x: Tensor) -> Tensor:
        return torch.where(x > 0.3, (3 * x).cos(), x * x)

    data = sample(jump, unit(1), 40)
    x = unit(1).grid(2001)
    wrong = (fit(data).predict(x) - jump(x)).abs()[:, 0] > 1e-5
    below, above = data.x[data.x <= 0.3].max(), data.x[data.x > 0.3].min()
    assert bool(((x[wrong] > below) & (x[wrong] < above)).all())


@pytest.mark.parametrize(("reach", "low", "high"), [(2.0, 0.9, 1.2), (0.0, 3.0, 1e6)])
def test_a_fit_swings_where_there_are_no_points(reach: float, low: float, high: float):
    box = Box({"x": (-1, 1), "y": (-1, 1)})
    u = box.sobol(200, generator=derive_generator(0, "u"))
    u = u[u.sum(dim=1) < reach]  # all of the square, or one half
    indices = multi_indices("total", (5, 5), 100)
    assert indices is not None
    basis = Orthonormal.of(chebyshev(u, indices))
    assert low < swing(basis, chebyshev(box_points(2), indices)) < high
