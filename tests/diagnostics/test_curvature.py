"""Curvature of the loss: exact for a line, and as finite differences have it for a network."""

import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from adaptsample import Box, Dataset
from adaptsample.diagnostics.curvature import Curvature, curvature
from adaptsample.surrogates.mlp import MLP, MLPModel, NetworkModel
from adaptsample.training import GradientDescent, LevenbergMarquardt, ScipyLeastSquares

pytestmark = pytest.mark.filterwarnings("ignore:.*levels:adaptsample.errors.DegenerateDataWarning")

F64 = torch.float64
X = Box({"x": (-1, 1), "z": (0, 3)}).grid(5)
DRAWN = GradientDescent(steps=0)
DATA = Dataset(X, torch.stack([torch.sin(X.sum(1)), X.prod(1)], dim=1))


def fit(recipe: MLP, data: Dataset = DATA) -> NetworkModel[Any]:
    return recipe.fit(data, generator=Generator().manual_seed(0))


def test_of_a_linear_model_the_hessian_is_twice_the_gram_matrix() -> None:
    data = Dataset(X, X @ X.new_tensor([[1.0], [-2.0]]) + 3)
    found = curvature(
        fit(MLP((), training=ScipyLeastSquares(tolerance=1e-15), scale=False), data), data
    )
    matrix = torch.cat([X, torch.ones(len(X), 1, dtype=F64)], dim=1)
    exact = 2 * matrix.T @ matrix
    torch.testing.assert_close(found.hessian, exact)
    torch.testing.assert_close(found.eigenvalues, torch.linalg.eigvalsh(exact))
    assert found.determinant == pytest.approx(float(torch.linalg.det(exact)))
    assert found.log10_determinant == pytest.approx(math.log10(found.determinant))
    assert found.condition_number == pytest.approx(float(torch.linalg.cond(exact)))
    assert found.effective_rank() == 3
    assert found.gradient_norm < 1e-10
    assert found.sum_of_squares < 1e-20


@pytest.mark.parametrize(
    "activation", ["tanh", "silu", "gelu", "abs", ("tanh", "crease"), ("relu", "tanh")]
)
def test_derivatives_are_those_of_finite_differences(activation: str | tuple[str, ...]) -> None:
    model = fit(MLP((2, 2), activation=activation, training=DRAWN))
    network = model.network
    steps = 1e-5 * torch.eye(len(network.theta), dtype=F64)

    def at(theta: Tensor) -> Curvature:
        return curvature(MLPModel(network.with_theta(theta), model.finalists), DATA)

    def sum_of_squares(theta: Tensor) -> Tensor:
        error = network.with_theta(theta).predict(X) - DATA.y
        return (error / network.outputs.unit).square().sum()

    found, theta = at(network.theta), network.theta
    slopes = [(sum_of_squares(theta + h) - sum_of_squares(theta - h)) / 2e-5 for h in steps]
    rows = [(at(theta + h).gradient - at(theta - h).gradient) / 2e-5 for h in steps]
    assert found.sum_of_squares == pytest.approx(float(sum_of_squares(theta)))
    torch.testing.assert_close(found.gradient, torch.stack(slopes), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.hessian, torch.stack(rows), rtol=1e-6, atol=1e-6)


def test_at_an_exact_fit_the_hessian_is_twice_the_gram_matrix_of_the_jacobian() -> None:
    model = fit(MLP((3,), training=LevenbergMarquardt(starts=1, iterations=5, compiled=False)))
    itself = Dataset(X, model.predict(X))
    jacobian = model.network.parameter_gradient(X).flatten(0, 1)
    found = curvature(model, itself)
    torch.testing.assert_close(found.hessian, 2 * jacobian.T @ jacobian)
    assert bool((found.eigenvalues.diff() >= 0).all())


def test_units_that_are_the_same_leave_directions_that_do_not_matter() -> None:
    model = fit(MLP((2,), training=DRAWN))
    theta = model.network.theta.clone()
    for first, second in ((0, 1), (2, 3), (4, 5)):
        theta[second] = theta[first]  # weights of the first layer and biases of two equal units
    theta[6:10] = theta[6:8].repeat(2)
    same = MLPModel(model.network.with_theta(theta), model.finalists)
    found = curvature(same, Dataset(X, same.predict(X)))
    # of (u, v) only u + v matters: 3 parameters of the first layer and 2 of the second stay
    assert found.effective_rank(1e-10) == len(theta) - 5
    assert found.condition_number > 1e10


def test_a_determinant_that_underflows_keeps_its_logarithm() -> None:
    tiny = torch.full((400,), 1e-3, dtype=F64)
    found = Curvature(0.0, tiny, torch.diag(tiny), tiny)
    assert found.determinant == 0
    assert found.log10_determinant == pytest.approx(-1200)
    assert found.effective_rank() == 400


def test_negative_curvature_does_not_count_for_the_rank() -> None:
    values = torch.tensor([-2.0, 0.0, 1e-7, 1.0], dtype=F64)
    found = Curvature(0.0, values, torch.diag(values), values)
    assert found.effective_rank() == 1
    assert found.effective_rank(1e-8) == 2
    assert found.condition_number == math.inf
    assert found.log10_determinant == -math.inf


@pytest.mark.parametrize("data", [Dataset.empty(2, 2), Dataset(X, X[:, :1]), Dataset(X[:, :1], X)])
def test_data_of_another_shape_is_refused(data: Dataset) -> None:
    model = fit(MLP((2,), training=DRAWN))
    with pytest.raises(ValueError, match="at least one point of 2 coordinates"):
        curvature(model, data)
