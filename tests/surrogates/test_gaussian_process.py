"""Gaussian process surrogates, against dense linear algebra and refits."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize
from scipy.special import gamma, kv
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.metrics.calibration import proportion_in_interval
from adaptsample.oracles.problems import PROBLEMS
from adaptsample.registry import label, make_surrogate
from adaptsample.surrogates.chebyshev import multi_indices
from adaptsample.surrogates.gaussian_process import GaussianProcess, GaussianProcessModel, search
from adaptsample.surrogates.gaussian_process.kriging import Kriged
from adaptsample.surrogates.gaussian_process.likelihood import (
    Design,
    KernelName,
    Kriging,
    correlation,
)
from tests.surrogates.degenerate import all_finite, degenerate_data, near_and_far

KERNELS: tuple[KernelName, ...] = get_args(KernelName)
QUICK = GaussianProcess(n_starts=1)


def unit(d: int) -> Box:
    return Box({f"x{i}": (0, 1) for i in range(d)})


def sample(f, box: Box, n: int, seed: int = 0) -> Dataset:
    x = box.sobol(n, generator=derive_generator(seed, "initial"))
    return Dataset(x, f(x))


def fit(data: Dataset, recipe: GaussianProcess = QUICK) -> GaussianProcessModel:
    return recipe.fit(data, generator=derive_generator(0, "fit"))


def loss(model: GaussianProcessModel) -> float:
    """Return the negative log posterior of the first output."""
    process = model.processes[0]
    return process.data.value(process.theta.numpy())


def wave(x: Tensor) -> Tensor:
    return torch.sin(5 * x[:, :1]) * torch.exp(x[:, 1:2])


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=derive_generator(0, "normal"))


def kriging(kernel: KernelName, n: int = 12, degree: int = 1) -> Kriging:
    u = 2 * unit(2).sobol(n, generator=derive_generator(0, "u")) - 1
    indices = multi_indices("total", (degree, degree), 100)
    assert indices is not None
    z = wave((u + 1) / 2)[:, 0]
    return Kriging(Design(u, indices), z, kernel)


THETA = torch.tensor([0.6, 0.9, 1e-4], dtype=torch.float64).log()


def correlations(kernel: KernelName, squares: Tensor) -> Tensor:
    return torch.from_numpy(correlation(kernel, squares.numpy())[0])


def dense(kernel: KernelName, a: Tensor, b: Tensor) -> Tensor:
    scaled = (a[:, None, :] - b[None, :, :]) / THETA[:2].exp()
    return correlations(kernel, scaled.square().sum(dim=2))


def trend(u: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(u[:, :1]), u], dim=1)


def test_matern_is_the_bessel_form():
    r = torch.linspace(0.01, 8, 50, dtype=torch.float64)
    s = math.sqrt(5) * r.numpy()
    expected = 2**-1.5 / gamma(2.5) * s**2.5 * kv(2.5, s)
    np.testing.assert_allclose(correlation("matern52", r.numpy() ** 2)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_correlation_is_one_at_zero_and_its_slope_the_derivative(kernel: KernelName):
    squares = np.linspace(0.1, 5, 20)
    h = 1e-6
    difference = correlation(kernel, squares + h)[0] - correlation(kernel, squares - h)[0]
    np.testing.assert_allclose(correlation(kernel, squares)[1], -difference / h, rtol=1e-7)
    assert correlation(kernel, np.zeros(1))[0] == 1


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_of_the_likelihood_is_its_slope(kernel: KernelName):
    data = kriging(kernel)
    theta = THETA.numpy()
    gradient = data.loss(theta)[1]
    for j, h in enumerate((1e-5, 1e-5, 1e-5)):
        step = np.zeros(3)
        step[j] = h
        slope = (data.value(theta + step) - data.value(theta - step)) / (2 * h)
        assert data.loss(theta + step)[0] == data.value(theta + step)
        assert float(gradient[j]) == pytest.approx(slope, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_likelihood_is_that_of_contrasts_which_the_trend_cannot_reach(kernel: KernelName):
    data = kriging(kernel)
    contrasts = torch.linalg.svd(trend(data.design.u))[0][:, 3:]

    def expected(theta: Tensor) -> float:
        scaled = (data.design.u[:, None, :] - data.design.u[None, :, :]) / theta[:2].exp()
        r = correlations(kernel, scaled.square().sum(dim=2))
        k = r + theta[2].exp() * torch.eye(12, dtype=torch.float64)
        k = contrasts.T @ k @ contrasts
        z = contrasts.T @ data.z
        variance = float(z @ torch.linalg.solve(k, z)) / 9
        # log length-scales are normal: mean sqrt(2) + log(2 sqrt(d)), variance 3
        prior = theta[:2] - math.sqrt(2) - math.log(2 * math.sqrt(2))
        likelihood = 9 / 2 * math.log(variance) + float(torch.logdet(k)) / 2
        return likelihood + float(prior.square().sum()) / 6

    other = THETA + torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
    found = data.value(THETA.numpy()) - data.value(other.numpy())
    assert found == pytest.approx(expected(THETA) - expected(other), rel=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_predictions_are_those_of_a_process_with_a_vague_prior_on_its_trend(kernel: KernelName):
    data = kriging(kernel)
    model = Kriged(data, THETA)
    u = 2 * unit(2).uniform(30, generator=derive_generator(1, "test")) - 1

    def covariance(a: Tensor, b: Tensor) -> Tensor:
        return dense(kernel, a, b) + 1e6 * trend(a) @ trend(b).T

    k = covariance(data.design.u, data.design.u) + THETA[2].exp() * torch.eye(
        12, dtype=torch.float64
    )
    across = covariance(u, data.design.u)
    mean = across @ torch.linalg.solve(k, data.z)
    share = covariance(u, u).diagonal() - (across * torch.linalg.solve(k, across.T).T).sum(dim=1)
    std = (model.solved.variance * share).sqrt()
    torch.testing.assert_close(model.predict(u), mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.std(u) / model.std_scale, std, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_leave_one_out_equals_refits(kernel: KernelName):
    data = kriging(kernel)
    loo = Kriged(data, THETA).loo
    for i in range(12):
        keep = torch.arange(12) != i
        design = Design(data.design.u[keep], data.design.indices)
        refit = Kriged(Kriging(design, data.z[keep], kernel), THETA)
        expected = data.z[i] - refit.predict(data.design.u[i : i + 1])[0]
        assert float(loo[i]) == pytest.approx(float(expected), rel=1e-8)


def test_residuals_of_a_model_are_in_the_units_of_the_data():
    model = fit(sample(wave, unit(2), 15))
    large = fit(sample(lambda x: 1e6 * wave(x), unit(2), 15))
    # rounding decides where exactly a climb of the likelihood ends
    scale = float(model.loo_residuals.abs().max())
    close = {"rtol": 0, "atol": 1e-2 * scale}
    torch.testing.assert_close(large.loo_residuals / 1e6, model.loo_residuals, **close)
    generator = derive_generator(0, "folds")
    assert torch.equal(model.held_out_residuals(generator=generator), model.loo_residuals)


@pytest.mark.parametrize("kernel", KERNELS)
def test_products_of_features_are_prior_correlations(kernel: KernelName):
    """Exact between the training points; between others, where correlations are long, nearly."""
    box = Box({"x": (0, 1), "y": (-1e3, 1e3)})
    data = sample(lambda x: wave(box.to_unit(x)), box, 20)
    model = fit(data, GaussianProcess(kernels=(kernel,)))
    n_terms = model.processes[0].data.design.basis.rank
    inverse_scales = torch.exp(-model.processes[0].theta[:-1])

    def off(x: Tensor) -> float:
        u = model.inputs(x) * inverse_scales
        expected = correlations(kernel, torch.cdist(u, u).square())
        rows = model.features(x)[:, n_terms:]
        return float((rows @ rows.T - expected).abs().max())

    assert off(data.x) < 1e-5
    assert off(box.uniform(50, generator=derive_generator(0, "x"))) < 1e-2


def test_a_trend_and_each_output_have_features_of_their_own():
    data = sample(lambda x: torch.cat([wave(x), x.sum(dim=1, keepdim=True)], dim=1), unit(2), 15)
    model, x = fit(data), unit(2).grid(6)
    parts = [p.features(model.inputs(x)) for p in model.processes]
    assert torch.equal(model.features(x), torch.cat(parts, dim=1))
    for process, part in zip(model.processes, parts, strict=True):
        terms = process.data.design.trend(model.inputs(x))
        assert torch.equal(part[:, : process.data.design.basis.rank], terms)
        assert torch.isfinite(part).all()


def test_exact_data_are_interpolated_and_uncertainty_grows_between_them():
    data = sample(wave, unit(2), 30)
    model, x = fit(data), unit(2).grid(20)
    at_data = (model.predict(data.x) - data.y).abs().max()
    between = (model.predict(x) - wave(x)).abs().max()
    assert float(at_data) < 1e-2 * float(between)
    assert float(model.std(data.x).max()) < 1e-2 * float(model.std(x).max())


def test_noise_is_recognised_and_averaged_out():
    box = Box({"x": (0, 1)})
    x = box.sobol(80, generator=derive_generator(0, "initial"))
    noise = 0.2 * normal(80, 1)
    model = fit(Dataset(x, torch.sin(6 * x) + noise))
    grid = box.grid(201)
    rmse = float((model.predict(grid) - torch.sin(6 * grid)).square().mean().sqrt())
    assert rmse < 0.5 * float(noise.std())
    process = model.processes[0]
    found = math.sqrt(process.solved.variance * process.solved.noise) * float(model.outputs.spread)
    assert found == pytest.approx(float(noise.std()), rel=0.2)


def test_a_variable_without_effect_gets_the_longest_length_scale():
    def active(x: Tensor) -> Tensor:
        return torch.sin(6 * x[:, :1]) + x[:, 1:2] ** 2

    theta = fit(sample(active, unit(3), 40)).processes[0].theta
    assert int(theta[:3].argmax()) == 2
    assert int(theta[:3].argmin()) == 0


def test_the_likelier_kernel_is_kept():
    data = sample(wave, unit(2), 30)
    single = {kernel: fit(data, GaussianProcess((kernel,), n_starts=1)) for kernel in KERNELS}
    both = fit(data)
    losses = {kernel: loss(model) for kernel, model in single.items()}
    best = min(losses, key=losses.__getitem__)
    assert both.processes[0].data.kernel == best
    x = unit(2).grid(5)
    assert torch.equal(both.predict(x), single[best].predict(x))


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
def test_the_trend_is_as_high_as_the_data_can_bear():
    def rank(n: int, trend: int) -> int:
        model = fit(sample(wave, unit(2), n), GaussianProcess(("rbf",), trend, 1))
        return model.processes[0].data.design.basis.rank

    assert [rank(n, 2) for n in (1, 14, 15, 29, 30)] == [1, 1, 3, 3, 6]
    assert rank(30, 0) == 1


def test_polynomials_of_the_trend_are_reproduced():
    def quadratic(x: Tensor) -> Tensor:
        return 3 + x[:, :1] - 2 * x[:, :1] * x[:, 1:]

    model = fit(sample(quadratic, unit(2), 30))
    x = unit(2).grid(9)
    torch.testing.assert_close(model.predict(x), quadratic(x), rtol=0, atol=1e-9)


def test_fifty_points_determine_branin_to_a_thousandth():
    branin = PROBLEMS["branin"]
    data = sample(branin, branin.domain, 50)
    x = branin.domain.grid(40)
    error = fit(data).predict(x) - branin(x)
    assert float(error.square().mean().sqrt() / branin(x).std()) < 1e-3


def test_intervals_cover_about_as_much_of_a_function_as_they_claim():
    franke = PROBLEMS["franke"]
    data = sample(lambda x: 1e3 * franke(x), franke.domain, 60)
    model = fit(data)
    x = franke.domain.grid(40)
    y, std = 1e3 * franke(x), model.std(x)
    assert proportion_in_interval(y, model.predict(x), std, 0.8) > 0.65
    assert proportion_in_interval(y, model.predict(x), std / 10, 0.8) < 0.5


def test_predictions_do_not_depend_on_units():
    data = sample(wave, unit(2), 20)
    factors = torch.tensor([1e6, 1e-6], dtype=torch.float64)
    moved = Dataset(data.x * factors - 5e-6, 1e8 * data.y + 3e8)
    x = unit(2).grid(9)
    near, expected = fit(moved).predict(x * factors - 5e-6), 1e8 * fit(data).predict(x) + 3e8
    torch.testing.assert_close(near, expected, rtol=0, atol=1e3)
    std = fit(moved).std(x * factors - 5e-6) / 1e8
    torch.testing.assert_close(std, fit(data).std(x), rtol=1e-2, atol=1e-5 * float(data.y.std()))


def test_each_output_is_fitted_on_its_own():
    def two(x: Tensor) -> Tensor:
        return torch.cat([wave(x), x[:, :1].exp() + x[:, 1:].square()], dim=1)

    data = sample(two, unit(2), 20)
    model, x = fit(data), unit(2).grid(5)
    assert len(model.n_parameters) == 2
    close = {"rtol": 1e-4, "atol": 1e-5}
    for k in range(2):
        alone = fit(Dataset(data.x, data.y[:, k : k + 1]))
        torch.testing.assert_close(model.predict(x)[:, k : k + 1], alone.predict(x), **close)
        torch.testing.assert_close(model.std(x)[:, k : k + 1], alone.std(x), **close)


def test_continuing_is_never_less_likely_than_where_it_started():
    franke = PROBLEMS["franke"]
    data = sample(franke, franke.domain, 25)
    start = fit(data, GaussianProcess(("rbf",), n_starts=4))
    recipe = GaussianProcess(("rbf",), n_starts=1)
    model = recipe.fit(data, generator=derive_generator(0, "fit"), start=start)
    assert loss(model) <= loss(start) + 1e-9


def test_arrays_in_arrays_out():
    model = fit(sample(wave, unit(2), 10))
    for answer in (model.predict(np.full((3, 2), 0.5)), model.std(np.full((3, 2), 0.5))):
        assert isinstance(answer, np.ndarray)
        assert answer.shape == (3, 1)


def test_recipes_are_read_from_text():
    text = "gaussian_process(kernels=('rbf',), trend=0)"
    recipe = make_surrogate(text)
    assert recipe == GaussianProcess(("rbf",), trend=0)
    assert label(recipe) == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": ("matern12",)}, "matern52"),
        ({"kernels": "rbf"}, "tuple"),
        ({"kernels": ()}, "tuple"),
        ({"trend": -1}, "at least 0"),
        ({"n_starts": 0}, "at least 1"),
    ],
)
def test_wrong_hyper_parameters_are_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        GaussianProcess(**options)


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
@pytest.mark.parametrize("name", degenerate_data())
def test_degenerate_data_gives_finite_predictions(name: str):
    data = degenerate_data()[name]
    model, far = fit(data), near_and_far(data)
    assert all_finite(model.predict(far), model.std(far), model.loo_residuals)


def test_without_noise_the_process_passes_through_all_values():
    data = sample(lambda x: (x[:, :1] - x[:, 1:]).abs(), unit(2), 30, seed=1)
    model = GaussianProcess(kernels=("matern32",), noisy=False).fit(
        data, generator=derive_generator(0, "fit")
    )
    assert float((model.predict(data.x) - data.y).abs().max()) < 1e-6
    assert bool(model.noise_std.isnan().all())


def test_the_noise_level_is_found():
    g = derive_generator(2, "noise")
    x = unit(1).sobol(100, generator=g)
    y = torch.sin(6 * x) + 0.1 * torch.randn(100, 1, dtype=torch.float64, generator=g)
    model = GaussianProcess().fit(Dataset(x, y), generator=derive_generator(0, "fit"))
    assert float(model.noise_std) == pytest.approx(0.1, rel=0.25)


def test_a_race_ends_as_high_as_climbs_to_the_end_in_fewer_evaluations(monkeypatch) -> None:
    """Noise, a smooth function and many variables, of which few count."""

    def noisy(x: Tensor) -> Tensor:
        return torch.sin(6 * x[:, :1]) + 0.2 * normal(len(x), 1)

    def sparse(x: Tensor) -> Tensor:
        return torch.sin(5 * x[:, :1]) + x[:, 3:4] * x[:, 5:6]

    for f, d, n in ((noisy, 1, 40), (wave, 2, 40), (sparse, 8, 60)):
        data = sample(f, unit(d), n)
        race, n_race = _climbed(monkeypatch, data)
        with monkeypatch.context() as patch:
            patch.setattr(search, "_FACTOR", math.inf)
            to_the_end, n_to_the_end = _climbed(patch, data)
        assert race < to_the_end + 0.05
        assert n_race < 0.8 * n_to_the_end


def _climbed(monkeypatch, data: Dataset) -> tuple[float, int]:
    """Return the loss reached, and the evaluations that took."""
    evaluations = 0

    def minimize(*args, **kwargs):
        nonlocal evaluations
        found = scipy_minimize(*args, **kwargs)
        evaluations += found.nfev
        return found

    with monkeypatch.context() as patch:
        patch.setattr(search, "minimize", minimize)
        model = fit(data)
    return loss(model), evaluations
