import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptsample import Box, Dataset
from adaptsample.core import derive_generator
from adaptsample.core.scaling import Scaling
from adaptsample.errors import DivergenceWarning
from adaptsample.oracles.problems import PROBLEMS
from adaptsample.registry import label, make_surrogate
from adaptsample.surrogates import (
    LearnsGradients,
    SupportsCommittee,
    SupportsCrossValidation,
    SupportsHeldOut,
    SupportsNoise,
    SupportsStd,
)
from adaptsample.surrogates.mlp import MLP, CalibratedMLPModel, MLPModel
from adaptsample.training import (
    Finalist,
    GradientDescent,
    LevenbergMarquardt,
    SupportsFolds,
    SupportsPosterior,
    Trainer,
    Training,
)
from adaptsample.training.scipy_least_squares import ScipyTraining

SHORT = MLP(
    hidden=(10, 8), activation="silu", training=GradientDescent(steps=60, continued_steps=20)
)
QUICK = MLP(hidden=(8, 8), training=LevenbergMarquardt(starts=2, iterations=100))
CREASE = ("tanh", "tanh", "abs", "tanh")
BOX = Box({"x": (-1, 1), "y": (2, 5)})


def waves(x: Tensor) -> Tensor:
    """Two outputs of very different size."""
    return torch.stack([torch.sin(2 * x[:, 0]) + x[:, 1], 1000 * x.prod(dim=1)], dim=1)


def slopes(x: Tensor) -> Tensor:
    first = torch.stack([2 * torch.cos(2 * x[:, 0]), torch.ones(len(x)).double()], dim=1)
    return torch.stack([first, 1000 * x.flip(1)], dim=1)


def data(n: int = 25, *, with_gradient: bool = False) -> Dataset:
    x = BOX.sobol(n, generator=derive_generator(0, "data"))
    return Dataset(x, waves(x), slopes(x) if with_gradient else None)


def fit(recipe: MLP, points: Dataset, start: MLPModel | None = None, seed: int = 0) -> MLPModel:
    """Fit by gradient descent."""
    model = recipe.fit(points, generator=derive_generator(seed, "fit"), start=start)
    assert isinstance(model, MLPModel)
    return model


def fit_least_squares(
    recipe: MLP, points: Dataset, start: CalibratedMLPModel | None = None, seed: int = 0
) -> CalibratedMLPModel:
    model = recipe.fit(points, generator=derive_generator(seed, "fit"), start=start)
    assert isinstance(model, CalibratedMLPModel)
    return model


def training_of(model: MLPModel) -> Training:
    assert isinstance(model.training, Training)
    return model.training


def sample_problem(name: str, n: int, seed: int = 0) -> Dataset:
    oracle = PROBLEMS[name]
    x = oracle.domain.sobol(n, generator=derive_generator(seed, "initial"))
    return Dataset(x, oracle(x))


def probes() -> Tensor:
    return BOX.uniform(40, generator=derive_generator(0, "probes"))


def test_the_defaults_learn_a_smooth_function_to_seven_digits() -> None:
    box = Box({"x": (0, 1)})
    x = 0.5 + 0.5 * torch.cos(torch.pi * (torch.arange(30, dtype=torch.float64) + 0.5) / 30)
    model = MLP().fit(
        Dataset(x[:, None], torch.sin(6 * x)[:, None]), generator=derive_generator(0, "fit")
    )
    grid = box.grid(200)
    assert (model.predict(grid) - torch.sin(6 * grid)).abs().max() < 1e-7


def test_the_defaults_do_not_fit_noise() -> None:
    points = sample_problem("noisy_cosine", 40)
    model = fit_least_squares(MLP(), points)
    grid = PROBLEMS["noisy_cosine"].domain.grid(200)
    assert (model.predict(grid) - torch.cos(grid)).abs().mean() < 0.05
    assert model.n_parameters[0] < 20


def test_gradient_descent_learns_a_smooth_function() -> None:
    box = Box({"x": (0, 1)})
    x = box.sobol(30, generator=derive_generator(0, "data"))
    recipe = MLP(hidden=(32, 32), activation="silu", training=GradientDescent(steps=1500))
    model = fit(recipe, Dataset(x, torch.sin(6 * x)))
    grid = box.grid(200)
    assert (model.predict(grid) - torch.sin(6 * grid)).abs().mean() < 0.01


def test_a_crease_finds_a_kink() -> None:
    box = Box({"x": (-1, 1)})
    recipe = make_surrogate(
        "mlp(hidden=(1, 6), activation=('abs', 'tanh'), training=levenberg_marquardt(starts=2))"
    )
    x, grid = box.sobol(40, generator=derive_generator(0, "data")), box.grid(300)
    kinked = Dataset(x, torch.exp(-(x - 0.3).abs()))
    model = recipe.fit(kinked, generator=derive_generator(0, "fit"))
    assert (model.predict(grid) - torch.exp(-(grid - 0.3).abs())).abs().max() < 1e-6


@pytest.mark.parametrize(
    "text",
    [
        "mlp",
        "mlp(training=gradient_descent(steps=300))",
        "mlp(training=levenberg_marquardt(starts=2))",
        "mlp(hidden=(8, 8, 1, 8), activation=('tanh', 'tanh', 'abs', 'tanh'))",
    ],
)
def test_a_recipe_is_read_from_text(text: str) -> None:
    recipe = make_surrogate(text)
    assert isinstance(recipe, MLP)
    assert make_surrogate(label(recipe)) == recipe


@pytest.mark.parametrize("training", [GradientDescent(steps=20), QUICK.training], ids=label)
def test_any_activations_train_by_either_method(training: GradientDescent) -> None:
    recipe = MLP(hidden=(4, 4, 1, 4), activation=CREASE, training=training)
    model = recipe.fit(data(with_gradient=True), generator=derive_generator(0, "fit"))
    assert torch.isfinite(model.predict(probes())).all()
    assert model.features(probes()).shape == (40, 4)


def test_only_a_model_that_can_say_how_well_it_predicts_offers_to() -> None:
    by_descent, by_least_squares = fit(SHORT, data()), fit_least_squares(QUICK, data())
    for capability in (SupportsStd, SupportsCrossValidation):
        assert not isinstance(by_descent, capability)
        assert isinstance(by_least_squares, capability)


@final
@dataclass(frozen=True)
class Lent:
    """A method of training that nobody knows by name: another's, perhaps without its posterior."""

    trainer: Trainer
    posterior: bool = True

    @property
    def continues(self) -> bool:
        return self.trainer.continues

    def train(self, *args: Any, **options: Any) -> tuple[Finalist, ...]:
        finalists = self.trainer.train(*args, **options)
        if self.posterior:
            return finalists
        return tuple(ScipyTraining(f.theta, 0.0, f.theta, f.train_loss, True) for f in finalists)

    def refit(self, *args: Any, **options: Any) -> tuple[SupportsPosterior, ...]:
        assert isinstance(self.trainer, SupportsFolds)
        return self.trainer.refit(*args, **options)


def test_what_a_model_can_do_is_decided_by_its_finalists() -> None:
    """And not by the trainer's type: with the same finalists the same model comes out."""
    points = data(15, with_gradient=True)
    known, lent = (
        fit_least_squares(recipe, points)
        for recipe in (QUICK, replace(QUICK, training=Lent(QUICK.training)))
    )
    assert torch.equal(lent.std(probes()), known.std(probes()))
    bare = fit(replace(QUICK, training=Lent(QUICK.training, posterior=False)), points)
    assert torch.equal(bare.predict(probes()), known.predict(probes()))
    assert not isinstance(bare, SupportsStd | SupportsCommittee | SupportsNoise | SupportsHeldOut)


@pytest.mark.parametrize("recipe", [SHORT, QUICK, replace(QUICK, scale=False)], ids=label)
def test_parameter_gradients_are_the_slopes_of_scaled_outputs(recipe: MLP) -> None:
    """Central differences, with each parameter moved on its own, in its prior's units."""
    model = recipe.fit(data(with_gradient=True), generator=derive_generator(0, "fit"))
    network, x, h = model.network, probes(), 3e-6
    theta = network.theta.double()
    columns = []
    for step in h * torch.eye(len(theta), dtype=torch.float64):
        high, low = (network.with_theta(theta + s).predict(x) for s in (step, -step))
        columns.append((high - low) / (2 * h) / network.outputs.unit)
    slopes = torch.stack(columns, dim=2)
    if isinstance(model, CalibratedMLPModel):
        slopes = slopes * model.training.prior_std
    assert model.parameter_gradient(x).shape == (40, 2, len(theta))
    torch.testing.assert_close(model.parameter_gradient(x), slopes, rtol=1e-6, atol=1e-6)


def test_networks_say_that_they_learn_from_gradients() -> None:
    for model in (fit(SHORT, data()), fit_least_squares(QUICK, data())):
        assert isinstance(model, LearnsGradients)
        assert model.learns_gradients


def test_the_committee_of_a_network_is_its_finalists_and_itself_the_first() -> None:
    recipe = replace(QUICK, training=replace(QUICK.training, starts=3, finalists=3))
    model = fit_least_squares(recipe, data(12))
    members = model.committee(probes())
    assert members.shape == (3, 40, 2)
    assert torch.equal(members[0], model.predict(probes()))
    assert float((members[1:] - members[0]).abs().amax(dim=(1, 2)).min()) > 1e-6
    fitted = (model.committee(data(12).x) - data(12).y).abs() / model.network.outputs.unit
    assert float(fitted.max()) < 0.2
    assert not isinstance(fit(SHORT, data()), SupportsCommittee)


def test_held_out_residuals_are_of_the_size_of_the_error() -> None:
    points = sample_problem("franke", 60)
    model = fit_least_squares(QUICK, points)
    residuals = model.held_out_residuals(generator=derive_generator(0, "folds"))
    oracle = PROBLEMS["franke"]
    grid = oracle.domain.grid(40)
    error = (model.predict(grid) - oracle(grid)).abs().mean()
    assert residuals.shape == points.y.shape
    assert 0.3 * error < residuals.abs().mean() < 10 * error


def test_loo_residuals_are_of_the_size_of_the_error_in_the_units_of_the_data() -> None:
    points = sample_problem("franke", 60)
    noise = torch.randn(60, 1, generator=derive_generator(0, "noise"), dtype=torch.float64)
    model = fit_least_squares(QUICK, Dataset(points.x, points.y + 0.1 * noise))
    residuals = model.loo_residuals
    assert residuals.shape == points.y.shape
    fitted = model.data.y - model.predict(points.x)
    assert float((residuals * fitted).sum()) > 0  # value minus prediction
    assert 0.05 < residuals.abs().mean() < 0.3  # the noise is 0.08 in the mean


def test_without_a_prior_loo_residuals_are_those_of_the_fit_and_not_larger_than_held_out() -> None:
    training = replace(QUICK.training, evidence=None)
    model = fit_least_squares(replace(QUICK, training=training), sample_problem("franke", 30))
    residuals = model.loo_residuals
    assert torch.equal(residuals, model.data.y - model.predict(model.data.x))
    held_out = model.held_out_residuals(generator=derive_generator(0, "folds"))
    assert residuals.abs().mean() < held_out.abs().mean()


def test_fits_from_other_starts_cast_doubt_where_points_are_few() -> None:
    recipe = replace(QUICK, training=replace(QUICK.training, starts=3, finalists=3))
    few, many = (fit_least_squares(recipe, sample_problem("franke", n)) for n in (15, 80))
    alone = fit_least_squares(QUICK, sample_problem("franke", 15))
    again = fit_least_squares(recipe, sample_problem("franke", 85), many)
    assert math.isnan(alone.doubts[0])
    assert few.doubts[0] > 2 * many.doubts[0] > 0
    assert len(again.finalists) == 3


def test_the_std_covers_the_error() -> None:
    points = sample_problem("franke", 60)
    model = fit_least_squares(QUICK, points)
    oracle = PROBLEMS["franke"]
    grid = oracle.domain.grid(40)
    error = (model.predict(grid) - oracle(grid)).abs()
    within = (error < model.std(grid)).double().mean()
    assert 0.3 < within < 0.95
    assert model.std(points.x).mean() < 0.3 * model.std(grid).mean()


def test_the_std_and_the_number_of_parameters_are_of_each_output() -> None:
    points = data(40, with_gradient=True)
    noise = torch.randn(40, generator=derive_generator(0, "noise"), dtype=torch.float64)
    noisy = torch.stack([points.x[:, 0] + 0.3 * noise, points.x[:, 1]], dim=1)
    model = fit_least_squares(QUICK, Dataset(points.x, noisy))
    std = model.std(probes())
    assert std.shape == (40, 2)
    assert std[:, 0].mean() > 3 * std[:, 1].mean()
    assert len(model.n_parameters) == 2
    assert min(model.n_parameters) >= 1


def franke_error(model: CalibratedMLPModel) -> float:
    grid = PROBLEMS["franke"].domain.grid(40)
    return float((model.predict(grid) - PROBLEMS["franke"](grid)).abs().mean())


def test_a_warm_start_follows_new_data() -> None:
    first = fit_least_squares(QUICK, sample_problem("franke", 60))
    second = fit_least_squares(QUICK, sample_problem("franke", 100), start=first)
    assert franke_error(second) < 0.5 * franke_error(first)


def test_networks_that_grew_with_their_data_are_as_good_as_new_ones() -> None:
    """On average: which of two fits of so few points is the better is luck."""
    grid = PROBLEMS["peak"].domain.grid(40)
    errors = torch.zeros(2)
    for seed in (0, 1):
        points, grown = sample_problem("peak", 120, seed), None
        for n in range(8, 121, 8):
            seen = points.without(torch.arange(n, 120))
            grown = fit_least_squares(QUICK, seen, start=grown, seed=n)
        models = (grown, fit_least_squares(QUICK, points, seed=seed))
        for k, model in enumerate(models):
            errors[k] += float((model.predict(grid) - PROBLEMS["peak"](grid)).abs().mean())
    assert errors[0] < 2 * errors[1]


def test_a_network_that_fits_is_among_those_that_compete() -> None:
    points = sample_problem("franke", 100)
    first = fit_least_squares(QUICK, points)
    brief = replace(QUICK, training=LevenbergMarquardt(starts=2, start_iterations=1, iterations=0))
    assert franke_error(fit_least_squares(brief, points)) > 10 * franke_error(first)
    second = fit_least_squares(brief, points, start=first)
    assert franke_error(second) < 2 * franke_error(first)


def test_gradient_descent_refuses_to_continue_least_squares() -> None:
    solved = fit_least_squares(QUICK, data())
    with pytest.raises(ValueError, match="continue"):
        replace(QUICK, training=SHORT.training).fit(
            data(), generator=derive_generator(0, "fit"), start=solved
        )


def test_a_network_in_other_units_is_the_same_function() -> None:
    network = fit(SHORT, data()).network
    inputs = Scaling(column(0.4, -2.0)[:, 0], column(3.0, 0.1)[:, 0])
    outputs = Scaling(column(-5.0, 1e3)[:, 0], column(7.0, 1e-3)[:, 0])
    other = network.in_units(inputs, outputs)
    assert other.inputs is inputs
    assert other.outputs is outputs
    torch.testing.assert_close(
        other.predict(probes()), network.predict(probes()), rtol=1e-9, atol=1e-9
    )


def test_least_squares_in_single_precision_are_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        fit_least_squares(replace(QUICK, dtype="float32"), data())


def test_the_gradient_is_that_of_the_prediction() -> None:
    model = fit(SHORT, data())
    x, step = probes(), 1e-5
    found = model.gradient(x)
    assert found.shape == (40, 2, 2)
    for axis in range(2):
        shift = step * torch.eye(2, dtype=torch.float64)[axis]
        difference = (model.predict(x + shift) - model.predict(x - shift)) / (2 * step)
        torch.testing.assert_close(found[:, :, axis], difference, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("scale", [True, False])
def test_gradients_help_where_points_are_few(scale: bool) -> None:
    box = Box({"x": (-3, 3)})
    x = box.grid(9)
    recipe = replace(SHORT, scale=scale, training=GradientDescent(steps=1500))
    grid = box.grid(300)

    def error(gradient: Tensor | None) -> float:
        """Return the mean error, of several fits: how good one is depends on where it began."""
        models = (
            fit(recipe, Dataset(x, torch.sin(2 * x), gradient), seed=seed) for seed in range(3)
        )
        errors = [(model.predict(grid) - torch.sin(2 * grid)).abs().mean() for model in models]
        return torch.stack(errors).mean().item()

    exact = 2 * torch.cos(2 * x)[:, :, None]
    assert error(exact) < 0.5 * error(None)


def test_rows_without_an_observed_gradient_are_skipped() -> None:
    full = data(with_gradient=True)
    assert full.gradient is not None
    unobserved = Dataset(full.x, full.y, torch.full_like(full.gradient, torch.nan))
    assert torch.equal(
        fit(SHORT, unobserved).predict(probes()), fit(SHORT, data()).predict(probes())
    )
    partly = full.gradient.clone()
    partly[::2] = torch.nan
    model = fit(SHORT, Dataset(full.x, full.y, partly))
    assert torch.isfinite(model.predict(probes())).all()
    assert not torch.equal(model.predict(probes()), fit(SHORT, full).predict(probes()))


def test_arrays_are_answered_by_arrays() -> None:
    model = fit(SHORT, data())
    x = probes()
    for method, shape in [
        (model.predict, (40, 2)),
        (model.gradient, (40, 2, 2)),
        (model.features, (40, 8)),
    ]:
        array = method(x.numpy())
        assert isinstance(array, np.ndarray)
        assert array.shape == shape
        np.testing.assert_array_equal(array, method(x).numpy())


@pytest.mark.parametrize("name", ["predict", "gradient", "features"])
def test_points_of_the_wrong_dimension_are_refused(name: str) -> None:
    model = fit(SHORT, data())
    with pytest.raises(ValueError, match=r"shape \(n, 2\), got \(4, 3\)"):
        getattr(model, name)(torch.zeros(4, 3))


def test_the_prediction_is_linear_in_the_features() -> None:
    model = fit(SHORT, data())
    a = torch.cat([model.features(probes()), torch.ones(40, 1).double()], dim=1)
    coefficients = torch.linalg.lstsq(a, model.predict(probes()), driver="gelsd").solution
    torch.testing.assert_close(a @ coefficients, model.predict(probes()), rtol=1e-6, atol=1e-6)


def test_predictions_do_not_depend_on_the_units_of_the_data() -> None:
    points = data(with_gradient=True)
    assert points.gradient is not None
    stretch, move = torch.tensor([0.001, 40.0]).double(), torch.tensor([5.0, -700.0]).double()
    grow, lift = torch.tensor([1e6, 0.03]).double(), torch.tensor([-4.0, 20.0]).double()
    other = Dataset(
        points.x * stretch + move,
        points.y * grow + lift,
        points.gradient * grow[:, None] / stretch,
    )
    expected = fit(SHORT, points).predict(probes()) * grow + lift
    found = fit(SHORT, other).predict(probes() * stretch + move)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_generator_decides_everything() -> None:
    first, again, other = (fit(SHORT, data(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.predict(probes()), again.predict(probes()))
    assert not torch.equal(first.predict(probes()), other.predict(probes()))


def test_a_warm_start_continues_with_the_scaling_and_the_state_of_its_start() -> None:
    first = fit(SHORT, data(10))
    more = data(25)
    second = fit(SHORT, more, start=first)
    assert second.network.inputs is first.network.inputs
    assert second.network.outputs is first.network.outputs
    training = training_of(second)
    assert len(training.train_loss) == 20
    assert training.state.steps == 80
    residual = (first.predict(more.x) - more.y) / first.network.outputs.unit
    assert training.train_loss[0].item() == pytest.approx(residual.square().mean().item())


def test_a_fit_leaves_its_start_as_it_was() -> None:
    start = fit(SHORT, data(10))
    before = start.predict(probes()), training_of(start).state.moments.clone()
    fit(SHORT, data(25), start=start)
    assert torch.equal(start.predict(probes()), before[0])
    assert torch.equal(training_of(start).state.moments, before[1])


def test_without_warm_start_the_start_does_not_matter() -> None:
    cold = replace(SHORT, warm_start=False)
    start = fit(SHORT, data(10))
    found, expected = fit(cold, data(), start=start), fit(SHORT, data())
    assert torch.equal(found.predict(probes()), expected.predict(probes()))


@pytest.mark.parametrize("change", [{"hidden": (10,)}, {"activation": "tanh"}], ids=str)
def test_a_start_of_another_shape_is_refused(change: dict[str, object]) -> None:
    start = fit(SHORT, data())
    with pytest.raises(ValueError, match=r"the start is a silu network of widths \(2, 10, 8, 2\)"):
        fit(replace(SHORT, **change), data(), start=start)  # type: ignore[arg-type]


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
@pytest.mark.parametrize(
    "recipe", [SHORT, replace(SHORT, dtype="float32"), QUICK], ids=["float64", "float32", "lm"]
)
@pytest.mark.parametrize(
    ("x", "y"),
    [
        (column(0.3), column(2.0)),
        (column(0.1, 0.5, 0.9), column(0.1, 0.1, 0.1)),
        (column(0.5, 0.5, 0.5), column(1.0, 2.0, 3.0)),
        (column(0.1, 0.5, 0.9), column(-1e300, 1e300, 3e299)),
        (column(0.1, 0.5, 0.9), column(-1.7e308, 1.7e308, 0.0)),
        (column(0.1, 0.5, 0.9), column(1e-300, 2e-300, 5e-324)),
        (column(0.1, 0.5, 0.9), column(1e-320, 2e-320, 5e-324)),
        (column(0.5, 0.5 + 1e-15, 0.5 + 2e-15), column(1.0, 2.0, 3.0)),
        (column(-1.7e308, 1.7e308, 0.0), column(1.0, 2.0, 3.0)),
        (column(0.0, 5e-324, 1e-320), column(1.0, 2.0, 3.0)),
        (column(1e16, 1e16 + 2, 1e16 + 4), column(1e16, 1e16 + 2, 1e16 + 4)),
    ],
    ids=lambda values: str(values[:, 0].tolist()),
)
def test_degenerate_data_give_finite_predictions(x: Tensor, y: Tensor, recipe: MLP) -> None:
    model = recipe.fit(Dataset(x, y), generator=derive_generator(0, "fit"))
    everywhere = torch.cat([x, x.mean(dim=0, keepdim=True), column(0.0, 1.0)])
    assert torch.isfinite(model.predict(everywhere)).all()
    assert torch.isfinite(model.training.train_loss).all()
    if isinstance(model, SupportsStd):
        assert torch.isfinite(model.std(everywhere)).all()


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
def test_a_constant_is_predicted_as_that_constant() -> None:
    x = data().x
    long = replace(SHORT, training=GradientDescent(steps=500))
    model = fit(long, Dataset(x, torch.full((len(x), 1), 7.25, dtype=torch.float64)))
    torch.testing.assert_close(model.predict(x), torch.full_like(x[:, :1], 7.25), rtol=0, atol=2e-2)


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
def test_unscaled_data_too_large_to_train_on_warn_and_predict_finite_numbers() -> None:
    with pytest.warns(DivergenceWarning, match="scale the data"):
        model = fit(replace(SHORT, scale=False), Dataset(data().x, 1e300 * data().y))
    assert torch.isfinite(model.predict(probes())).all()


def test_a_linear_model_is_a_network_without_hidden_layers() -> None:
    """The least-squares line is found by SGD at its source's settings, in the data's own units."""
    x = torch.arange(100, dtype=torch.float64)[:, None] / 10
    y = 10 * x + 3 + torch.randn(100, 1, dtype=x.dtype, generator=derive_generator(0, "noise"))
    sgd = GradientDescent("sgd", learning_rate=0.01, decay=1.0, steps=3000)
    model = fit(MLP(hidden=(), training=sgd, scale=False), Dataset(x, y))
    a = torch.cat([x, torch.ones_like(x)], dim=1)
    line = a @ torch.linalg.lstsq(a, y, driver="gelsd").solution
    torch.testing.assert_close(model.predict(x), line, rtol=0, atol=1e-4)
    assert model.features(x).shape == (100, 1)


def test_the_recipe_is_plain_values() -> None:
    written = json.loads(json.dumps(asdict(SHORT)))
    training = GradientDescent(**written.pop("training"))
    assert MLP(**{**written, "hidden": tuple(written["hidden"])}, training=training) == SHORT


def test_no_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        fit(SHORT, Dataset.empty(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": (30, -1)}, r"widths of at least 1, as \(30, 30\); got \(30, -1\)"),
        ({"hidden": 30}, "hidden must be a tuple"),
        ({"hidden": (3.5,)}, "hidden must be a tuple"),
        ({"activation": "tahn"}, "one of tanh, relu, silu, gelu, abs, crease.*; got 'tahn'"),
        ({"activation": ("tanh", "abs", "tanh")}, "each of the 2 hidden layers"),
        ({"training": "adam"}, "training must be a method of training, got 'adam'"),
        ({"dtype": "float16"}, "one of float32, float64; got 'float16'"),
        ({"device": "tpu"}, "one of cpu, cuda; got 'tpu'"),
    ],
)
def test_a_hyper_parameter_out_of_range_is_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MLP(**options)  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="use 'cpu'"):
        fit(replace(SHORT, device="cuda"), data())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_fit_agrees_with_one_on_the_cpu() -> None:
    points = data(with_gradient=True)
    found = fit(replace(SHORT, device="cuda"), points)
    torch.testing.assert_close(
        found.predict(probes()), fit(SHORT, points).predict(probes()), rtol=1e-6, atol=1e-6
    )
