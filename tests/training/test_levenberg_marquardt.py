"""Levenberg-Marquardt: its derivatives, its linear algebra, and what it can and cannot fit."""

import math
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Generator, Tensor

from adaptsample.training.levenberg_marquardt import network as _lm_network
from adaptsample.training.levenberg_marquardt.evidence import (
    Prior,
    determined,
    flat_prior,
    grouped_prior,
    reestimate,
)
from adaptsample.training.levenberg_marquardt.linearisation import Linearisation
from adaptsample.training.levenberg_marquardt.network import Problem
from adaptsample.training.levenberg_marquardt.normal import (
    Jacobian,
    dual_gram,
    factorise,
    normal_equations,
    solve,
)
from adaptsample.training.levenberg_marquardt.race import LeastSquaresTraining
from adaptsample.training.levenberg_marquardt.solver import (
    State,
    Stop,
    compile_solver,
    make_solver,
    relax,
)
from adaptsample.training.levenberg_marquardt.trainer import (
    LevenbergMarquardt,
    initial_parameters,
    parameter_groups,
    parameter_jacobian,
)
from adaptsample.training.losses import Samples
from adaptsample.training.network import count_parameters, forward, input_gradient, split

F64 = torch.float64
NEVER = Stop(0.0, 10**9, 0.0)
QUICK = LevenbergMarquardt(starts=2, start_iterations=20, iterations=40, evidence=None)


@pytest.fixture
def generator() -> Generator:
    return Generator().manual_seed(0)


def normal(*shape: int, generator: Generator) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=generator)


def start(theta: Tensor, damping: float = 1e-2) -> State:
    prior = flat_prior(len(theta))
    return State(theta[None], prior, [math.inf], [damping], [2.0], [0], [0], [False], 0)


def samples(x: Tensor, y: Tensor, slopes: Tensor | None = None) -> Samples:
    """Return samples; the slopes (k, n, d) that are NaN are not observed."""
    if slopes is None:
        slopes = torch.empty(0, *x.shape, dtype=F64)
    observed = torch.isfinite(slopes)
    return Samples(x, y, torch.where(observed, slopes, 0.0), observed.to(F64))


def problem_of(x: Tensor, y: Tensor, widths: list[int] | None = None) -> Problem:
    activations = ["tanh"] * (len(widths) - 2) if widths else []
    return Problem(x, y[None], torch.ones_like(y[None, None]), widths or [], activations, 0.0)


def unstructured(matrices: Tensor) -> Jacobian:
    nothing: list[Tensor] = []
    return Jacobian(matrices, nothing, nothing)


class Residual(NamedTuple):
    residual: Tensor


def linear_residuals(theta: Tensor, problem: Problem) -> Residual:
    return Residual(torch.mm(theta, problem.x.t()) - problem.targets.flatten())


def linear_jacobian(theta: Tensor, problem: Problem, at: Residual) -> Jacobian:
    return unstructured(problem.x.expand(theta.size(0), -1, -1))


def rosenbrock_residuals(theta: Tensor, problem: Problem) -> Residual:
    x, y = theta.unbind(1)
    return Residual(torch.stack([10 * (y - x * x), 1 - x], dim=1))


def rosenbrock_jacobian(theta: Tensor, problem: Problem, at: Residual) -> Jacobian:
    jacobian = torch.zeros([theta.size(0), 2, 2], dtype=theta.dtype)
    jacobian[:, 0, 0] = -20 * theta[:, 0]
    jacobian[:, 0, 1] = 10
    jacobian[:, 1, 0] = -1
    return unstructured(jacobian)


def reference_residuals(theta: Tensor, problem: Problem) -> Tensor:
    """Residuals from the textbook, with the derivative in x taken by autograd."""

    def rounded(z: Tensor) -> Tensor:
        return torch.sqrt(z * z + problem.smoothing**2) if problem.smoothing else z.abs()

    functions = {
        "tanh": torch.tanh,
        "relu": torch.relu,
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "abs": rounded,
        "crease": lambda z: torch.cat([rounded(z[:, :1]), z[:, 1:]], dim=1),
    }
    x = problem.x.clone().requires_grad_(True)
    layers = split(theta, problem.widths)
    a = x
    for activation, weight, bias in zip(
        problem.activations, layers.weights[:-1], layers.biases[:-1], strict=True
    ):
        a = functions[activation](a @ weight + bias)
    y = a @ layers.weights[-1] + layers.biases[-1]
    outputs = [y]
    if len(problem.targets) > 1:
        slopes = [
            torch.autograd.grad(y[:, c].sum(), x, create_graph=True)[0] for c in range(y.shape[1])
        ]
        outputs += torch.stack(slopes, dim=1).unbind(dim=2)
    return ((torch.stack(outputs) - problem.targets) * problem.weights).flatten()


@pytest.mark.parametrize("n_rows", [1, 4], ids=["values", "with derivatives"])
@pytest.mark.parametrize(
    "activations",
    [
        ["tanh", "tanh"],
        ["relu", "relu"],
        ["silu", "silu"],
        ["gelu", "gelu"],
        ["tanh", "abs"],
        ["abs", "silu"],
        ["crease", "tanh"],
    ],
    ids="-".join,
)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_residuals_and_jacobian_agree_with_autograd(
    activations: list[str], smoothing: float, n_rows: int, generator: Generator
) -> None:
    widths = [3, 5, 4, 2]
    theta = 0.3 * normal(3, count_parameters(widths), generator=generator)
    theta += initial_parameters(widths, generator=generator)
    problem = Problem(
        normal(7, 3, generator=generator),
        normal(n_rows, 7, 2, generator=generator),
        torch.rand(3, n_rows, 7, 2, dtype=F64, generator=generator),
        widths,
        activations,
        smoothing,
    )
    residuals, jacobians = _lm_network.linearise(theta, problem)
    for i in range(3):
        own = problem._replace(weights=problem.weights[i])
        exact = torch.autograd.functional.jacobian(
            partial(reference_residuals, problem=own), theta[i]
        )
        expected = reference_residuals(theta[i], own).detach()
        torch.testing.assert_close(residuals[i], expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(jacobians[i], exact, rtol=0, atol=1e-12)


def jacobians_with_structure(
    n_outputs: int, by_input: bool, generator: Generator
) -> tuple[Jacobian, Tensor]:
    """Return Jacobians of two networks with different weights, and the groups of parameters."""
    widths, n = [3, 12, 10, n_outputs], 90 // n_outputs
    theta = 0.3 * normal(2, count_parameters(widths), generator=generator)
    theta += initial_parameters(widths, generator=generator)
    x, y = normal(n, 3, generator=generator), normal(n, n_outputs, generator=generator)
    weights = torch.rand(2, 1, n, n_outputs, dtype=F64, generator=generator)
    problem = problem_of(x, y, widths)._replace(weights=weights)
    jacobian = _lm_network.differentiate(theta, problem, _lm_network.evaluate(theta, problem))
    assert len(jacobian.inputs) == 3
    return jacobian, parameter_groups(widths, by_input=by_input)


@pytest.mark.parametrize("by_input", [True, False])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_gram_matrix_of_a_network_is_that_of_its_jacobian(
    n_outputs: int, by_input: bool, generator: Generator
) -> None:
    jacobian, groups = jacobians_with_structure(n_outputs, by_input, generator)
    scale = torch.rand(2, int(groups.max()) + 1, dtype=F64, generator=generator)[:, groups]
    expected = dual_gram(unstructured(jacobian.matrix), scale)
    exact = jacobian.matrix * scale[:, None] @ jacobian.matrix.mT
    torch.testing.assert_close(expected, exact, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(dual_gram(jacobian, scale), exact, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("by_input", [True, False])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_structure_of_a_network_does_not_change_its_evidence(
    n_outputs: int, by_input: bool, generator: Generator
) -> None:
    jacobian, groups = jacobians_with_structure(n_outputs, by_input, generator)
    precision = 10 ** (6 * torch.rand(2, int(groups.max()) + 1, dtype=F64, generator=generator) - 4)
    gammas = [
        determined(normal_equations(each, precision[:, groups]), groups, precision.shape[1])[0]
        for each in (jacobian, unstructured(jacobian.matrix))
    ]
    torch.testing.assert_close(gammas[0], gammas[1], rtol=1e-9, atol=1e-9)


def test_a_network_without_hidden_layers_has_a_jacobian_too(generator: Generator) -> None:
    problem = problem_of(
        normal(4, 2, generator=generator), normal(4, 1, generator=generator), [2, 1]
    )
    _, jacobian = _lm_network.linearise(torch.zeros(1, 3, dtype=F64), problem)
    assert torch.equal(jacobian[0], torch.cat([problem.x, torch.ones(4, 1, dtype=F64)], dim=1))


def test_parameter_jacobian_is_the_derivative_of_the_outputs(generator: Generator) -> None:
    widths, x = [2, 4, 3], normal(5, 2, generator=generator)
    theta = initial_parameters(widths, generator=generator)
    exact = torch.autograd.functional.jacobian(
        lambda t: x @ t[:8].view(2, 4) @ torch.eye(4, dtype=F64)[:, :3], theta
    )
    assert exact.shape == parameter_jacobian(theta, widths, "tanh", x).shape
    step = 1e-6 * normal(len(theta), generator=generator)
    ahead, behind = (
        forward(split(theta + sign * step, widths), ["tanh"], x) for sign in (0.5, -0.5)
    )
    torch.testing.assert_close(
        parameter_jacobian(theta, widths, "tanh", x) @ step, ahead - behind, rtol=1e-6, atol=1e-13
    )


@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (6, 6)], ids=["tall", "wide", "square"])
@pytest.mark.parametrize("prior", [0.0, 0.7], ids=["no prior", "prior"])
@pytest.mark.parametrize("pulled", [True, False])
def test_steps_equal_dense_solves(
    shape: tuple[int, int], prior: float, pulled: bool, generator: Generator
) -> None:
    jacobians = normal(2, *shape, generator=generator)
    rows, pull = normal(2, shape[0], generator=generator), normal(2, shape[1], generator=generator)
    precision = prior * torch.rand(2, shape[1], dtype=F64, generator=generator)
    damping = torch.tensor([[1e-3], [2e-2]], dtype=F64)
    matrix = jacobians.mT @ jacobians + torch.diag_embed(precision + damping)
    right = (jacobians.mT @ rows[:, :, None])[:, :, 0] + (pull if pulled else 0.0)
    expected = torch.linalg.solve(matrix, right)
    system, solvable = factorise(normal_equations(unstructured(jacobians), precision), damping)
    assert solvable.all()
    found, along = solve(system, rows, pull if pulled else None)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    image = (jacobians @ expected[:, :, None])[:, :, 0]
    torch.testing.assert_close(along, image, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30)], ids=["tall", "wide"])
def test_refinement_removes_the_error_of_the_gram_matrix(
    shape: tuple[int, int], generator: Generator
) -> None:
    u, _, vt = torch.linalg.svd(normal(*shape, generator=generator), full_matrices=False)
    s = torch.logspace(0, -5, 20, dtype=F64)
    jacobian, rows = u * s @ vt, normal(shape[0], generator=generator)
    none, damping = torch.zeros(1, shape[1], dtype=F64), torch.full((1, 1), 1e-10, dtype=F64)
    system, _ = factorise(normal_equations(unstructured(jacobian[None]), none), damping)
    exact = vt.T @ (s / (s * s + 1e-10) * (u.T @ rows))
    assert system.refined
    refined, plain = (
        float((solve(each, rows[None], none)[0][0] - exact).norm() / exact.norm())
        for each in (system, system._replace(refined=False))
    )
    assert refined < 1e-9
    assert refined < plain / 10


def test_linear_least_squares_is_solved_in_one_step(generator: Generator) -> None:
    a, y = normal(20, 4, generator=generator), normal(20, 1, generator=generator)
    iterate = compile_solver(linear_residuals, linear_jacobian)
    state, _ = iterate(start(torch.zeros(4, dtype=F64), 1e-20), problem_of(a, y), NEVER, [1], 1)
    torch.testing.assert_close(
        state.theta[0], torch.linalg.lstsq(a, y).solution.flatten(), rtol=1e-13, atol=1e-14
    )


def test_rosenbrock_is_minimised_to_rounding() -> None:
    nothing = torch.zeros(1, 1, dtype=F64)
    iterate = compile_solver(rosenbrock_residuals, rosenbrock_jacobian)
    theta = torch.tensor([-1.2, 1.0], dtype=F64)
    state, (losses,) = iterate(start(theta), problem_of(nothing, nothing), NEVER, [200], 200)
    assert state.cost[0] < 1e-24
    torch.testing.assert_close(state.theta[0], torch.ones(2, dtype=F64), rtol=0, atol=1e-12)
    assert losses == sorted(losses, reverse=True)


def test_damping_stays_finite_where_the_model_is_poor() -> None:
    assert relax(1.0, 1e6) == pytest.approx(0.2)
    assert relax(1.0, -1e6) == pytest.approx(2.0)
    assert relax(1e-20, 1.0) == 1e-20


def test_sweeps_in_chunks_are_the_same_sweeps(generator: Generator) -> None:
    widths = [1, 5, 1]
    x = torch.linspace(-1, 1, 12, dtype=F64)[:, None]
    problem = problem_of(x, torch.sin(3 * x), widths)
    iterate = make_solver(_lm_network.evaluate, _lm_network.differentiate)
    first = start(initial_parameters(widths, generator=generator))
    first = first._replace(prior=grouped_prior(parameter_groups(widths, by_input=True), 12))
    whole, losses = iterate(first, problem, NEVER, [10**9], 60)
    state, parts = first, []
    for n in (1, 9, 20, 30):
        state, (more,) = iterate(state, problem, NEVER, [10**9], n)
        parts += more
    assert 20 < whole.n_iterations[0] < 60  # with evidence, and with failures
    assert torch.equal(state.theta, whole.theta)
    assert [parts] == losses


@pytest.mark.parametrize("n_rows", [1, 2], ids=["values", "with derivatives"])
@pytest.mark.parametrize("evidence", [True, False])
@pytest.mark.parametrize("n", [9, 60], ids=["fewer rows than parameters", "more"])
def test_runners_in_a_batch_go_their_ways_as_if_alone(
    n: int, evidence: bool, n_rows: int, generator: Generator
) -> None:
    widths = [1, 5, 1]
    x = torch.linspace(-1, 1, n, dtype=F64)[:, None]
    y = torch.stack([torch.sin(3 * x), 3 * torch.cos(3 * x)])[:n_rows]
    y = y + 0.1 * normal(*y.shape, generator=generator)
    weights = (torch.rand(3, 1, n, 1, generator=generator) > 0.2).to(F64).repeat(1, n_rows, 1, 1)
    problem = Problem(x, y, weights, widths, ["tanh"], 0.0)
    groups = parameter_groups(widths, by_input=True)
    priors = [
        grouped_prior(groups, int(own.sum())) if evidence else flat_prior(len(groups))
        for own in weights
    ]
    runners = [
        start(initial_parameters(widths, generator=generator), damping)._replace(prior=prior)
        for damping, prior in zip((1e-2, 1e-6, 10.0), priors, strict=True)
    ]
    limits = [40, 30, 24] if evidence else [11, 7, 4]
    n_sweeps = 150 if evidence else 30
    iterate = make_solver(_lm_network.evaluate, _lm_network.differentiate)
    batch = State(
        torch.cat([runner.theta for runner in runners]),
        Prior(
            torch.cat([prior.precision for prior in priors]),
            [prior.beta[0] for prior in priors],
            priors[0].groups,
            [prior.n_observed[0] for prior in priors],
        ),
        [math.inf] * 3,
        [1e-2, 1e-6, 10.0],
        [2.0] * 3,
        [0] * 3,
        [0] * 3,
        [False] * 3,
        0,
    )
    together, losses = iterate(batch, problem, NEVER, limits, n_sweeps)
    assert together.n_iterations == limits
    for i, runner in enumerate(runners):
        own = problem._replace(weights=weights[i : i + 1])
        alone, (alone_losses,) = iterate(runner, own, NEVER, limits[i : i + 1], n_sweeps)
        assert together.n_iterations[i] == alone.n_iterations[0]
        assert losses[i] == pytest.approx(alone_losses, rel=1e-4, abs=1e-16)
        assert together.cost[i] == pytest.approx(alone.cost[0], rel=1e-4, abs=1e-16)
        assert together.prior.beta[i] == pytest.approx(alone.prior.beta[0], rel=1e-4)
        torch.testing.assert_close(together.theta[i], alone.theta[0], rtol=1e-4, atol=1e-6)


def test_a_runner_that_can_only_fail_ends() -> None:
    def rugged(theta: Tensor, problem: Problem) -> Residual:
        return Residual(1 + theta.abs())

    def wrong(theta: Tensor, problem: Problem, at: Residual) -> Jacobian:
        return unstructured(torch.eye(2, dtype=F64)[None])

    nothing = torch.zeros(1, 1, dtype=F64)
    iterate = make_solver(rugged, wrong)
    first = start(torch.zeros(2, dtype=F64))
    state, (losses,) = iterate(first, problem_of(nothing, nothing), NEVER, [100], 100)
    assert state.done == [True]
    assert state.n_sweeps == 14
    assert torch.equal(state.theta, first.theta)
    assert len(losses) == 1


@pytest.mark.parametrize("shape", [(15, 4), (4, 15)], ids=["tall", "wide"])
def test_leverages_and_loo_residuals_are_those_of_ridge_regression(
    shape: tuple[int, int], generator: Generator
) -> None:
    a, y = normal(*shape, generator=generator), normal(shape[0], generator=generator)
    precision = torch.rand(shape[1], dtype=F64, generator=generator) + 0.1

    def fit(rows: Tensor) -> Tensor:
        gram = a[rows].T @ a[rows] + torch.diag(precision)
        return torch.linalg.solve(gram, a[rows].T @ y[rows])

    everything = torch.arange(shape[0])
    theta = fit(everything)
    linearisation = Linearisation.of(a @ theta - y, a, theta, precision, shape[0])
    inverse = torch.linalg.inv(a.T @ a + torch.diag(precision))
    torch.testing.assert_close(linearisation.leverages, (a @ inverse @ a.T).diagonal())
    assert linearisation.n_effective == pytest.approx(float(torch.trace(a @ inverse @ a.T)))
    for i in range(shape[0]):
        others = everything[everything != i]
        torch.testing.assert_close(linearisation.loo_residuals[i], a[i] @ fit(others) - y[i])
    points = normal(3, shape[1], generator=generator)
    torch.testing.assert_close(
        linearisation.std(points), (points @ inverse @ points.T).diagonal().sqrt()
    )


def test_loo_residuals_do_not_depend_on_what_training_left_undone(generator: Generator) -> None:
    a, y = normal(8, 3, generator=generator), normal(8, generator=generator)
    precision = torch.rand(3, dtype=F64, generator=generator) + 0.1
    thetas = normal(2, 3, generator=generator)
    first, second = (
        Linearisation.of(a @ theta - y, a, theta, precision, 8).loo_residuals for theta in thetas
    )
    torch.testing.assert_close(first, second)


def test_log_evidence_is_the_density_of_the_data_in_a_linear_model(generator: Generator) -> None:
    a, y = normal(8, 3, generator=generator), normal(8, generator=generator)
    alpha, beta = torch.tensor([0.5, 2.0, 9.0], dtype=F64), 4.0
    theta = torch.linalg.solve(beta * a.T @ a + torch.diag(alpha), beta * a.T @ y)
    linearisation = Linearisation.of(a @ theta - y, a, theta, alpha / beta, 8)
    density = torch.distributions.MultivariateNormal(
        torch.zeros(8, dtype=F64), a / alpha @ a.T + torch.eye(8, dtype=F64) / beta
    )
    assert linearisation.log_evidence(theta, beta) == pytest.approx(float(density.log_prob(y)))


@pytest.mark.parametrize("n", [40, 200], ids=["fewer rows than parameters", "more"])
def test_evidence_recovers_the_noise_level_of_a_linear_model(n: int, generator: Generator) -> None:
    x = torch.linspace(-1, 1, n, dtype=F64)
    a = torch.cos(torch.arange(60) * torch.acos(x)[:, None])  # Chebyshev polynomials
    y = torch.exp(x) + 0.1 * normal(n, generator=generator)
    groups = torch.arange(60) // 10
    iterate = make_solver(linear_residuals, linear_jacobian)
    theta = torch.zeros(60, dtype=F64)
    first = start(theta)._replace(prior=grouped_prior(groups, n))
    state, _ = iterate(first, problem_of(a, y[:, None]), NEVER, [150], 150)
    assert state.prior.beta[0] ** -0.5 == pytest.approx(0.1, rel=0.2)


def test_the_two_sides_of_the_evidence_agree(generator: Generator) -> None:
    jacobian, rows = normal(1, 9, 9, generator=generator), normal(1, 9, generator=generator)
    wide = torch.cat([jacobian, torch.zeros(1, 9, 1, dtype=F64)], dim=2)  # one without say
    theta, groups = normal(1, 10, generator=generator), torch.tensor([0, 1, 1] * 3 + [1])
    prior = grouped_prior(groups, 9)
    tall = torch.cat([wide, torch.zeros(1, 1, 10, dtype=F64)], dim=1)
    longer = torch.cat([rows, torch.zeros(1, 1, dtype=F64)], dim=1)
    by_rows, by_columns = (
        reestimate(prior, r, normal_equations(unstructured(j), prior.precision), theta, [21])
        for r, j in ((rows, wide), (longer, tall))
    )
    torch.testing.assert_close(by_rows.precision, by_columns.precision)
    assert by_rows.beta[0] != prior.beta[0]
    assert by_rows.beta[0] == pytest.approx(by_columns.beta[0])


def test_a_prior_stays_as_it_is_until_its_network_has_learnt_something(
    generator: Generator,
) -> None:
    jacobian, rows = normal(2, 9, 5, generator=generator), normal(2, 9, generator=generator)
    one = grouped_prior(torch.tensor([0, 0, 0, 1, 1]), 9)
    prior = Prior(one.precision.repeat(2, 1), one.beta * 2, one.groups, one.n_observed * 2)
    normal_ = normal_equations(unstructured(jacobian), prior.precision)
    theta = normal(2, 5, generator=generator)
    found = reestimate(prior, rows, normal_, theta, [19, 20])
    assert torch.equal(found.precision[0], prior.precision[0])
    assert found.beta[0] == prior.beta[0]
    assert not torch.equal(found.precision[1], prior.precision[1])


def test_parameter_groups_follow_the_layers() -> None:
    groups = parameter_groups([2, 3, 1], by_input=False)
    assert groups.tolist() == [0] * 6 + [1] * 3 + [2] * 3 + [3]
    groups = parameter_groups([2, 3, 1], by_input=True)
    assert groups.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4]


def test_a_smooth_function_is_fitted_to_six_digits(generator: Generator) -> None:
    x = torch.cos(math.pi * (torch.arange(20, dtype=F64) + 0.5) / 20)[:, None]
    recipe = LevenbergMarquardt(starts=4, iterations=200)
    widths, u = [1, 6, 6, 1], torch.linspace(-1, 1, 300, dtype=F64)[:, None]
    training = recipe.train(
        None, widths, "tanh", samples(x, torch.sin(2 * x)), generator=generator
    )[0]
    error = forward(split(training.theta, widths), ["tanh"] * 2, u) - torch.sin(2 * u)
    assert error.abs().max() < 1e-6  # one start in eight alone ends at 3e-4


def test_a_kink_is_fitted_by_a_crease(generator: Generator) -> None:
    x = 2 * torch.rand(40, 1, dtype=F64, generator=generator) - 1
    y = torch.exp(-(x - 0.3).abs())
    recipe = LevenbergMarquardt(starts=2, start_iterations=20, iterations=100)
    widths = [1, 1, 6, 1]
    training = recipe.train(None, widths, ["abs", "tanh"], samples(x, y), generator=generator)[0]
    assert training.train_loss[-1] < 1e-14


def test_noise_is_not_fitted_with_evidence(generator: Generator) -> None:
    x = 2 * torch.rand(30, 1, dtype=F64, generator=generator) - 1
    y = torch.sin(3 * x) + 0.1 * normal(30, 1, generator=generator)
    widths, u = [1, 8, 1], torch.linspace(-1, 1, 200, dtype=F64)[:, None]
    recipe = LevenbergMarquardt(iterations=80, evidence="layer")
    training = recipe.train(None, widths, "tanh", samples(x, y), generator=generator)[0]
    error = forward(split(training.theta, widths), ["tanh"], u) - torch.sin(3 * u)
    assert error.square().mean().sqrt() < 0.07
    assert training.linearisation.n_effective < 10
    assert training.linearisation.noise_variance**0.5 == pytest.approx(0.1, rel=0.4)


def test_auto_fits_exact_data_of_one_variable_without_a_prior(generator: Generator) -> None:
    x = torch.linspace(-1, 1, 20, dtype=F64)[:, None]
    exact, widths = samples(x, torch.sin(3 * x + 1)), [1, 8, 8, 1]
    auto = LevenbergMarquardt(starts=1, iterations=150)
    training = auto.train(None, widths, "tanh", exact, generator=generator)[0]
    assert len(training.state.prior.groups) == 0
    assert training.train_loss[-1] < 1e-12  # 1e-15, where rounding decides
    again = auto.train(
        training.theta, widths, "tanh", exact, generator=generator, state=training.state
    )[0]
    assert again.train_loss[0] < 1e-12  # in between it tries whether a prior has a use by now
    assert again.train_loss[-1] < 1e-12


def test_auto_notices_noise_that_comes_later(generator: Generator) -> None:
    x, widths = torch.linspace(-1, 1, 30, dtype=F64)[:, None], [1, 8, 8, 1]
    y = torch.sin(3 * x + 1)
    auto = LevenbergMarquardt(starts=1, iterations=150)
    exact = auto.train(None, widths, "tanh", samples(x, y), generator=generator)[0]
    noisy = samples(x, y + 0.1 * normal(30, 1, generator=generator))
    training = auto.train(
        exact.theta, widths, "tanh", noisy, generator=generator, state=exact.state
    )[0]
    assert len(exact.state.prior.groups) == 0
    assert training.noise_std == pytest.approx(0.1, rel=0.4)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_auto_keeps_the_prior_with_noise_or_several_variables(
    noise: float, generator: Generator
) -> None:
    x = 2 * torch.rand(30, 1 if noise else 2, dtype=F64, generator=generator) - 1
    y = torch.sin(3 * x).sum(dim=1, keepdim=True) + noise * normal(30, 1, generator=generator)
    recipe = LevenbergMarquardt(starts=1, iterations=40)
    training = recipe.train(None, [x.shape[1], 6, 1], "tanh", samples(x, y), generator=generator)[0]
    n_groups = 3 + x.shape[1]  # first weights by input, first biases, last weights, last bias
    assert int(training.state.prior.groups.max()) + 1 == n_groups


def test_auto_gives_creases_no_prior(generator: Generator) -> None:
    x = torch.linspace(-1, 1, 15, dtype=F64)[:, None]
    recipe = LevenbergMarquardt(starts=1, start_iterations=5, iterations=5)
    training = recipe.train(
        None, [1, 1, 4, 1], ["abs", "tanh"], samples(x, x.abs()), generator=generator
    )[0]
    assert len(training.state.prior.groups) == 0


def test_a_continued_fit_holds_its_prior_until_the_new_data_are_learnt(
    generator: Generator,
) -> None:
    x = 2 * torch.rand(60, 2, dtype=F64, generator=generator) - 1
    y = torch.sin(3 * x).prod(dim=1, keepdim=True)
    recipe = LevenbergMarquardt(starts=2, iterations=100, continued_iterations=100)
    widths = [2, 8, 8, 1]
    first = recipe.train(None, widths, "tanh", samples(x[:50], y[:50]), generator=generator)[0]
    moved = first.theta * (1 + 0.03 * normal(len(first.theta), generator=generator))
    second = recipe.train(
        moved, widths, "tanh", samples(x, y), generator=generator, state=first.state
    )[0]
    assert second.train_loss[-1] < 1e-4  # and not 1, which a network without structure has


def test_relative_weights_of_slopes_do_not_change_how_many_were_observed(
    generator: Generator,
) -> None:
    x = torch.linspace(-1, 1, 6, dtype=F64)[:, None]
    slopes = 3 * torch.cos(3 * x)[None]
    once = samples(x, torch.sin(3 * x), slopes)
    recipe = replace(QUICK, starts=1, start_iterations=1, iterations=0)
    loss, doubled = (
        recipe.train(None, [1, 4, 1], "tanh", s, generator=Generator().manual_seed(0))[
            0
        ].train_loss[0]
        for s in (once, once._replace(weights=2 * once.weights))
    )
    assert loss < doubled < 2 * loss


def test_gradients_are_fitted_where_they_are_known(generator: Generator) -> None:
    x = torch.linspace(-1, 1, 6, dtype=F64)[:, None]
    slopes = 3 * torch.cos(3 * x)[None]
    some = slopes.clone()
    some[0, 0] = torch.nan
    recipe = replace(QUICK, starts=6)  # some starts end in a poorer minimum
    training = recipe.train(
        None, [1, 8, 1], "tanh", samples(x, torch.sin(3 * x), some), generator=generator
    )[0]
    assert training.train_loss[-1] < 1e-12
    fitted = input_gradient(split(training.theta, [1, 8, 1]), ["tanh"], x)[:, 0]
    error = (fitted - slopes[0]).abs().flatten()
    assert error[1:].max() < 1e-5
    assert error[0] > 1e-4


def test_rows_that_were_not_observed_have_no_say(generator: Generator) -> None:
    x = torch.linspace(-1, 1, 5, dtype=F64)[:, None]
    slopes = torch.full((1, 5, 1), torch.nan, dtype=F64)
    slopes[0, 2] = 3.0
    training = QUICK.train(
        None, [1, 3, 1], "tanh", samples(x, torch.sin(3 * x), slopes), generator=generator
    )[0]
    leverages = training.linearisation.leverages.view(2, 5)
    assert leverages[1, [0, 1, 3, 4]].abs().max() < 1e-12
    assert leverages[1, 2] > 0.1


@pytest.mark.parametrize("evidence", [None, "ard"])
def test_compiled_equals_uncompiled(evidence: str | None, generator: Generator) -> None:
    x = 2 * torch.rand(15, 2, dtype=F64, generator=generator) - 1
    data = samples(x, torch.exp(x).sum(dim=1, keepdim=True))
    recipe = replace(QUICK, evidence=evidence, iterations=10)  # rounding grows with each of them
    trainings = [
        replace(recipe, compiled=compiled).train(
            None, [2, 4, 1], "tanh", data, generator=Generator().manual_seed(1)
        )[0]
        for compiled in (True, False)
    ]
    # not bit by bit: matrix products round differently where memory is aligned differently
    torch.testing.assert_close(trainings[0].theta, trainings[1].theta, rtol=1e-4, atol=1e-4)


def test_equal_generators_give_equal_parameters() -> None:
    x = torch.linspace(-1, 1, 10, dtype=F64)[:, None]
    a, b, c = (
        QUICK.train(
            None, [1, 4, 1], "tanh", samples(x, x**2), generator=Generator().manual_seed(seed)
        )[0].theta
        for seed in (1, 1, 2)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_training_continues_from_given_parameters(generator: Generator) -> None:
    x = torch.linspace(-1, 1, 20, dtype=F64)[:, None]
    data = samples(x, torch.sin(4 * x))
    short = replace(QUICK, starts=1, iterations=5)
    first = short.train(None, [1, 6, 1], "tanh", data, generator=generator)[0]
    kept = first.theta.clone()
    second = short.train(
        first.theta, [1, 6, 1], "tanh", data, generator=generator, state=first.state
    )[0]
    assert torch.equal(first.theta, kept)
    assert second.train_loss[0] <= first.train_loss[-1]
    assert second.train_loss[-1] < first.train_loss[-1] / 2


def test_training_continues_on_more_data_with_the_prior_it_had(generator: Generator) -> None:
    x = torch.linspace(-1, 1, 40, dtype=F64)[:, None]
    y = torch.sin(4 * x) + 0.1 * normal(40, 1, generator=generator)
    recipe = replace(QUICK, evidence="layer")
    first = recipe.train(None, [1, 6, 1], "tanh", samples(x[::2], y[::2]), generator=generator)[0]
    second = recipe.train(
        first.theta, [1, 6, 1], "tanh", samples(x, y), generator=generator, state=first.state
    )[0]
    assert second.state.prior.n_observed == [40]
    assert second.linearisation.noise_variance**0.5 == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize("evidence", [None, "ard"])
def test_points_held_out_have_no_say_in_their_refit(
    evidence: str | None, generator: Generator
) -> None:
    x = torch.linspace(-1, 1, 30, dtype=F64)[:, None]
    y = torch.sin(4 * x) + 0.1 * normal(30, 1, generator=generator)
    recipe = replace(QUICK, evidence=evidence, continued_iterations=20)
    first = recipe.train(None, [1, 4, 1], "tanh", samples(x, y), generator=generator)[0]
    held_out = torch.arange(30) % 3 == torch.arange(3)[:, None]
    theta = first.theta * (1 + 0.01 * normal(3, len(first.theta), generator=generator))

    def refit(y: Tensor) -> tuple[LeastSquaresTraining, ...]:
        return recipe.refit(
            theta, [1, 4, 1], "tanh", samples(x, y), held_out=held_out, state=first.state
        )

    for k, (refitted, other) in enumerate(
        zip(refit(y), refit(torch.where(held_out[1][:, None], 9.0, y)), strict=True)
    ):
        assert torch.allclose(refitted.theta, other.theta, rtol=1e-6, atol=1e-8) is (k == 1)
        assert refitted.leverages[held_out[k]].abs().max() < 1e-12
        kept = ~held_out[k]
        alone = recipe.train(
            theta[k],
            [1, 4, 1],
            "tanh",
            samples(x[kept], y[kept]),
            generator=generator,
            state=first.state,
        )[0]
        assert float(refitted.train_loss[-1]) == pytest.approx(
            float(alone.train_loss[-1]), rel=0.01
        )


def test_a_state_of_another_recipe_is_refused(generator: Generator) -> None:
    x = torch.linspace(-1, 1, 5, dtype=F64)[:, None]
    first = QUICK.train(None, [1, 3, 1], "tanh", samples(x, x), generator=generator)[0]
    with pytest.raises(ValueError, match="ard"):
        replace(QUICK, evidence="ard").train(
            first.theta, [1, 3, 1], "tanh", samples(x, x), generator=generator, state=first.state
        )


def test_finalists_come_best_first(generator: Generator) -> None:
    x = torch.linspace(-1, 1, 20, dtype=F64)[:, None]
    recipe = replace(QUICK, starts=3, finalists=3)
    members = recipe.train(
        None, [1, 4, 1], "tanh", samples(x, torch.sin(4 * x)), generator=generator
    )
    costs = [member.state.cost[0] for member in members]
    assert len(members) == 3
    assert costs == sorted(costs)


def test_operations_end_training_early(generator: Generator) -> None:
    x = torch.linspace(-1, 1, 20, dtype=F64)[:, None]
    data = samples(x, torch.sin(9 * x))

    def n_iterations(operations: float) -> int:
        recipe = replace(
            QUICK, starts=1, start_iterations=1, iterations=10**6, operations=operations
        )
        training = recipe.train(
            None, [1, 8, 1], "tanh", data, generator=Generator().manual_seed(0)
        )[0]
        assert not training.converged
        return len(training.train_loss)

    assert n_iterations(1.0) == 1
    few, many = n_iterations(2e7), n_iterations(4e7)
    assert 10 < few <= 60
    assert 1.5 * few < many < 3 * few


@pytest.mark.parametrize("evidence", [None, "layer"])
@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.zeros(1, 1), torch.zeros(1, 1)),
        (torch.linspace(-1, 1, 8)[:, None], torch.zeros(8, 1)),
        (torch.zeros(8, 1), torch.linspace(-1, 1, 8)[:, None]),
        (torch.tensor([[-1.0], [-1.0], [1.0], [1.0]]), torch.tensor([[0.0], [0.0], [1.0], [1.0]])),
    ],
    ids=["one point", "constant", "contradictory", "duplicates"],
)
def test_degenerate_data_gives_finite_results(
    x: Tensor, y: Tensor, evidence: str | None, generator: Generator
) -> None:
    recipe = replace(QUICK, evidence=evidence)
    training = recipe.train(
        None, [1, 5, 1], "tanh", samples(x.double(), y.double()), generator=generator
    )[0]
    linearisation = training.linearisation
    assert torch.isfinite(training.theta).all()
    assert torch.isfinite(training.train_loss).all()
    assert torch.isfinite(linearisation.leverages).all()
    assert torch.isfinite(linearisation.loo_residuals).all()
    assert math.isfinite(linearisation.noise_variance)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("starts", 0),
        ("finalists", 5),
        ("start_iterations", 0),
        ("iterations", -1),
        ("continued_iterations", -1),
        ("evidence", "layers"),
        ("gradient_weight", -1.0),
        ("gradient_weight", math.nan),
        ("tolerance", 1.0),
        ("operations", 0.0),
    ],
)
def test_a_wrong_hyper_parameter_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        LevenbergMarquardt(**{name: value})


def test_a_wrong_activation_is_named(generator: Generator) -> None:
    x = torch.zeros(2, 1, dtype=F64)
    for wrong in ("tanhh", ["tanh", "tanh"]):
        with pytest.raises(ValueError, match="tanh"):
            QUICK.train(None, [1, 2, 1], wrong, samples(x, x), generator=generator)


def test_single_precision_is_refused(generator: Generator) -> None:
    x = torch.zeros(2, 1)
    with pytest.raises(ValueError, match="float64"):
        QUICK.train(None, [1, 2, 1], "tanh", samples(x, x), generator=generator)
