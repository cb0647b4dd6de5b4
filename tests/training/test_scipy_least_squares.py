"""SciPy's least squares as a trainer: exact where it can be, and clear where it cannot."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from adaptsample import Box, Dataset
from adaptsample.registry import label, make_surrogate
from adaptsample.surrogates.mlp import MLP, MLPModel
from adaptsample.training import GradientDescent, ScipyLeastSquares, Trainer
from adaptsample.training.losses import Samples
from adaptsample.training.network import forward, input_gradient, split
from adaptsample.training.scipy_least_squares import ScipyTraining

F64 = torch.float64
X = Box({"x": (-1, 1)}).grid(20)
WIDTHS = [1, 3, 1]


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def samples(x: Tensor, y: Tensor, slopes: Tensor | None = None) -> Samples:
    slopes = torch.empty(0, *x.shape, dtype=F64) if slopes is None else slopes
    return Samples(x, y, slopes, torch.ones_like(slopes))


def train(recipe: ScipyLeastSquares, y: Tensor, **options: Any) -> ScipyTraining:
    given = {"theta": None, "widths": WIDTHS, "activation": "tanh", "samples": samples(X, y)}
    return recipe.train(**{**given, **options}, generator=generator())[0]


@pytest.mark.parametrize("method", ["trf", "lm"])
def test_a_line_is_the_exact_solution_of_linear_least_squares(method: Any) -> None:
    y = 2 * X + 1 + torch.randn(20, 1, dtype=F64, generator=generator())
    matrix = torch.cat([X, torch.ones_like(X)], dim=1)
    exact = torch.linalg.lstsq(matrix, y).solution[:, 0]
    found = train(ScipyLeastSquares(method=method, tolerance=1e-14), y, widths=[1, 1])
    assert found.converged
    torch.testing.assert_close(found.theta, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", ["trf", "lm"])
def test_parameters_that_fit_exactly_are_found_again(method: Any) -> None:
    theta = torch.linspace(-1, 1.3, 10, dtype=F64)
    y = forward(split(theta, WIDTHS), ["tanh"], X)
    found = train(ScipyLeastSquares(method=method, tolerance=1e-15), y, theta=theta + 0.01)
    assert found.cost < 1e-20


def test_cost_gradient_and_losses_are_those_of_the_parameters_returned() -> None:
    y = X.abs()
    found = train(ScipyLeastSquares(max_evaluations=30), y)
    theta = found.theta.clone().requires_grad_(True)
    hidden = torch.tanh(X * theta[:3] + theta[3:6])
    cost = 0.5 * (hidden @ theta[6:9] + theta[9] - y[:, 0]).square().sum()
    (gradient,) = torch.autograd.grad(cost, theta)
    assert not found.converged
    assert found.cost == pytest.approx(float(cost.detach()), rel=1e-12)
    assert float(found.train_loss[-1]) == pytest.approx(2 * found.cost / len(X), rel=1e-12)
    torch.testing.assert_close(found.gradient, gradient, rtol=1e-9, atol=1e-12)


def test_gradients_in_the_data_are_fitted_too() -> None:
    x = X[::10]
    informed = samples(x, x**2, (2 * x)[None])

    def slope_error(recipe: ScipyLeastSquares) -> float:
        layers = split(train(recipe, X, samples=informed).theta, WIDTHS)
        return float((input_gradient(layers, ["tanh"], x)[:, 0] - 2 * x).abs().max())

    assert slope_error(ScipyLeastSquares()) < 1e-5
    assert slope_error(ScipyLeastSquares(gradient_weight=0)) > 0.1


def test_more_starts_are_no_worse_and_the_same_seed_gives_the_same() -> None:
    one, three = (
        ScipyLeastSquares(max_evaluations=20),
        ScipyLeastSquares(max_evaluations=20, starts=3),
    )
    y = torch.sin(4 * X)
    assert train(three, y).cost <= train(one, y).cost
    assert torch.equal(train(three, y).theta, train(three, y).theta)


def test_a_start_is_left_as_it_is_and_continuing_does_not_raise_the_cost() -> None:
    y = torch.sin(4 * X)
    brief = ScipyLeastSquares(max_evaluations=5)
    first = train(brief, y)
    before = first.theta.clone()
    again = train(brief, y, theta=first.theta, state=first.state)
    assert torch.equal(first.theta, before)
    assert again.cost <= first.cost
    assert len(train(replace(brief, max_evaluations=1), y).train_loss) == 1


def test_initial_parameters_are_normal_with_the_scale_asked_for() -> None:
    y = X.new_zeros(20, 1)
    still = ScipyLeastSquares(initial_scale=0.1, max_evaluations=1)
    theta = train(still, y, widths=[1, 2000, 1]).theta
    assert float(theta.std()) == pytest.approx(0.1, rel=0.05)


def test_it_trains_an_mlp_named_in_text_that_gradient_descent_can_go_on_with() -> None:
    text = "mlp(hidden=(3,), training=scipy_least_squares(method='lm'), scale=False)"
    recipe = make_surrogate(text)
    assert label(recipe) == text
    assert isinstance(recipe, MLP)
    assert isinstance(recipe.training, Trainer)
    data = Dataset(X, torch.sin(X))
    model = recipe.fit(data, generator=generator())
    assert isinstance(model, MLPModel)
    assert float((model.predict(X) - data.y).abs().max()) < 1e-3
    descent = replace(recipe, training=GradientDescent(steps=1, learning_rate=1e-6))
    near = descent.fit(data, generator=generator(), start=model)
    torch.testing.assert_close(near.network.theta, model.network.theta, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("method", "bfgs"),
        ("starts", 0),
        ("initial_scale", 0.0),
        ("tolerance", 0.0),
        ("max_evaluations", 0),
        ("gradient_weight", -1.0),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option):
        ScipyLeastSquares(**{option: value})


def test_what_it_cannot_train_is_refused() -> None:
    few = samples(X[:5], X[:5])
    with pytest.raises(ValueError, match="use method='trf'"):
        train(ScipyLeastSquares(method="lm"), X, samples=few)
    assert train(ScipyLeastSquares(), X, samples=few).cost < 1e-6
    with pytest.raises(ValueError, match="float64"):
        train(ScipyLeastSquares(), X, samples=Samples(*(part.float() for part in few)))
