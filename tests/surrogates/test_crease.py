"""Crease surrogates."""

from collections.abc import Callable
from math import inf

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.core.work import Work
from adaptsample.surrogates.chebyshev import Orthonormal, chebyshev, multi_indices
from adaptsample.surrogates.crease import Crease, CreaseModel
from adaptsample.surrogates.crease.fitted import finish
from adaptsample.surrogates.crease.forms import FORMS, Kind
from adaptsample.surrogates.crease.minimise import jacobian_of, make_minimiser, make_residuals
from adaptsample.surrogates.crease.problem import Problem, Structure
from adaptsample.surrogates.crease.search import Search
from tests.surrogates.degenerate import all_finite, degenerate_data, near_and_far

SQUARE = Box({"x": (0, 1), "y": (0, 1)})


def sample(f: Callable[[Tensor, Tensor], Tensor], n: int, seed: int = 0) -> Dataset:
    x = SQUARE.sobol(n, generator=derive_generator(seed, "initial"))
    return Dataset(x, f(*x.T)[:, None])


def fit(data: Dataset, kind: Kind = "abs", seed: int = 0, **recipe) -> CreaseModel:
    return Crease(kind, **recipe).fit(data, generator=derive_generator(seed, "fit"))


def max_error(model: CreaseModel, f: Callable[[Tensor, Tensor], Tensor]) -> float:
    x = SQUARE.grid(41)
    return float((model.predict(x)[:, 0] - f(*x.T)).abs().max())


def quartic(x: Tensor, y: Tensor) -> Tensor:
    return (0.5 - x**4 - y**4).abs() + 0.1


def crossing(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + y**2 - 0.7).abs() - 0.5 * (x - 0.5 * y**2 - 0.2).abs() + x * y


def three_planes(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(torch.maximum(2 * x + y - 1, x - 2 * y + 0.3), 0.4 - x)


def changing_sign(x: Tensor, y: Tensor) -> Tensor:
    return (x - 0.5) * (x**2 - y).abs() + y


@pytest.mark.parametrize("seed", range(3))
def test_a_quartic_crease_is_found_to_rounding_from_sixty_points(seed: int):
    model = fit(sample(quartic, 60, seed), seed=seed)
    assert max_error(model, quartic) < 1e-10
    assert model.n_parameters[0] < 42


def test_the_search_ends_with_the_first_basis_that_is_exact(monkeypatch: pytest.MonkeyPatch):
    posed = []
    pose = Search._pose

    def noted(search: Search, structure: Structure) -> Problem | None:
        posed.append(structure)
        return pose(search, structure)

    monkeypatch.setattr(Search, "_pose", noted)
    best = fit(sample(quartic, 60)).solutions[0][0]
    assert best.is_exact
    assert posed[-1] == best.structure  # luck has it whether the smallest of exact ones is found


@pytest.mark.parametrize(
    ("kind", "f", "n"),
    [("abs2", crossing, 60), ("max", three_planes, 40), ("product", changing_sign, 60)],
)
def test_each_form_reproduces_its_own_kind(kind: Kind, f: Callable, n: int):
    model = fit(sample(f, n), kind)
    assert max_error(model, f) < 1e-8


def test_a_crease_that_is_no_polynomial_is_followed_by_growing_degrees():
    def f(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(x) * (torch.sin(3 * x) - y).abs()

    assert max_error(fit(sample(f, 60), n_climbs=1), f) < 1e-3


@pytest.mark.parametrize("kind", FORMS)
def test_slopes_are_the_derivatives_of_the_form(kind: Kind):
    form, g = FORMS[kind], derive_generator(0, kind)
    n_inner = len(form.groups)
    inner = torch.randn(3, n_inner, 20, dtype=torch.float64, generator=g)
    signs = torch.randn(3, n_inner, dtype=torch.float64, generator=g).sign()
    _, slopes = form.evaluate(inner, signs)
    step = 1e-7
    for b in range(n_inner):
        moved = inner.clone()
        moved[:, b] += step
        difference = (form.evaluate(moved, signs)[0] - form.evaluate(inner, signs)[0]) / step
        torch.testing.assert_close(slopes[:, b], difference, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", FORMS)
def test_the_jacobian_is_the_derivative_of_the_residuals(kind: Kind):
    g = derive_generator(1, kind)
    data = sample(quartic, 40)
    u, z = 2 * data.x - 1, data.y[:, 0]
    structure = Structure.isotropic("total", (1,) * (2 + max(FORMS[kind].groups)), 2)
    problem = Problem.of(FORMS[kind], structure, structure.indices(40), u, z)
    n_theta = sum(basis.rank for basis in problem.inner)
    theta = torch.randn(n_theta, dtype=torch.float64, generator=g)
    signs = torch.ones(len(FORMS[kind].groups), dtype=torch.float64)
    residuals_at = make_residuals(FORMS[kind].evaluate)
    residuals, slopes = residuals_at(theta, signs, problem.target)
    jacobian = jacobian_of(slopes, problem.target)
    jacobian = jacobian - problem.outer.q @ (problem.outer.q.T @ jacobian)
    for j in range(n_theta):
        moved = theta.clone()
        moved[j] += 1e-7
        difference = (residuals_at(moved, signs, problem.target)[0] - residuals) / 1e-7
        torch.testing.assert_close(jacobian[:, j], difference, atol=1e-5, rtol=0)


def test_minimisation_never_raises_the_residuals_and_batches_do_not_interact():
    g = derive_generator(2, "batch")
    data = sample(quartic, 50)
    structure = Structure.isotropic("total", (2, 2), 2)
    problem = Problem.of(
        FORMS["abs"], structure, structure.indices(50), 2 * data.x - 1, data.y[:, 0]
    )
    thetas = torch.randn(6, problem.inner[0].rank, dtype=torch.float64, generator=g)
    signs = torch.ones(6, 1, dtype=torch.float64)
    residuals_at = make_residuals(FORMS["abs"].evaluate)
    before = residuals_at(thetas, signs, problem.target)[0].square().mean(dim=1).sqrt()
    _, rmse = problem.minimise(thetas, signs, 20)
    assert (rmse <= before).all()
    # few steps: rounding, which depends on the size of a batch, grows on the way
    together, _ = problem.minimise(thetas, signs, 5)
    alone, _ = problem.minimise(thetas[2:3], signs[2:3], 5)
    torch.testing.assert_close(alone[0], together[2], atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("kind", FORMS)
def test_the_compiled_minimisation_is_the_one_that_python_runs(kind: Kind):
    g = derive_generator(4, kind)
    data = sample(crossing, 40)
    structure = Structure.isotropic("total", (1,) * (2 + max(FORMS[kind].groups)), 2)
    problem = Problem.of(
        FORMS[kind], structure, structure.indices(40), 2 * data.x - 1, data.y[:, 0]
    )
    n_theta = sum(basis.rank for basis in problem.inner)
    thetas = torch.randn(5, n_theta, dtype=torch.float64, generator=g)
    signs = torch.ones(5, len(problem.inner), dtype=torch.float64)
    in_python = make_minimiser(make_residuals(FORMS[kind].evaluate))
    expected = in_python(thetas, signs, problem.target, 8, 1e-2)
    for found, wanted in zip(problem.minimise(thetas, signs, 8), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-9)


def test_a_fitted_crease_is_linear_in_its_features():
    model = fit(sample(quartic, 60))
    best = model.solutions[0][0]
    u = model.inputs(SQUARE.grid(7))
    weights = torch.cat([best.outer, *best.inner])
    prediction, features = best.evaluate(best.columns(u))
    torch.testing.assert_close(features @ weights, prediction, atol=1e-11, rtol=0)


def test_structures_grow_by_one_degree():
    structure = Structure("total", ((2, 2), (3, 1)))
    grown = list(structure.grown())
    assert len(set(grown)) == len(grown) == 9
    assert Structure("total", ((2, 3), (3, 2))) in grown
    assert Structure("total", ((2, 2), (4, 2))) in grown


def test_a_refit_from_the_model_before_is_exact_again():
    data = sample(quartic, 60)
    before = fit(data)
    more = sample(quartic, 64)
    after = Crease().fit(more, generator=derive_generator(0, "refit"), start=before)
    assert max_error(after, quartic) < 1e-10
    assert len(after.solutions[0]) == 1  # nothing else was fitted


def test_held_out_residuals_see_what_leave_one_out_does_not():
    def circle(x: Tensor, y: Tensor) -> Tensor:
        return torch.where((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09, 1 + x, 0.2 * x * y)

    data = sample(circle, 60)
    model = fit(data, n_climbs=1)
    held_out = model.held_out_residuals(generator=derive_generator(0, "cv"))
    assert held_out.shape == data.y.shape
    assert float(held_out.abs().mean()) > 1e-3  # a jump is no crease


def test_each_output_has_a_crease_of_its_own():
    data = sample(quartic, 60)
    two = Dataset(data.x, torch.cat([data.y, (data.x[:, :1] - 0.3).abs()], dim=1))
    model = fit(two)
    x = SQUARE.grid(21)
    expected = torch.stack([quartic(*x.T), (x[:, 0] - 0.3).abs()], dim=1)
    torch.testing.assert_close(model.predict(x), expected, atol=1e-10, rtol=0)
    assert model.committee(x).shape[1:] == expected.shape
    assert model.std(x).shape == expected.shape
    assert model.loo_residuals.shape == two.y.shape


def test_equal_generators_give_equal_models():
    data = sample(quartic, 40)
    x = SQUARE.grid(11)
    recipe = {"n_climbs": 1, "n_starts": 20}
    assert torch.equal(fit(data, **recipe).predict(x), fit(data, **recipe).predict(x))


def test_global_random_state_is_not_touched():
    before = torch.random.get_rng_state()
    fit(sample(quartic, 30), n_climbs=1, n_starts=10)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_arrays_in_arrays_out():
    model = fit(sample(quartic, 60))
    assert isinstance(model.predict(np.full((3, 2), 0.5)), np.ndarray)
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        model.predict(torch.zeros(4, 3))


def test_rank_deficient_columns_are_solved_in_fewer_coordinates():
    u = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None].expand(9, 2)
    basis = Orthonormal.of(chebyshev(u, multi_indices("total", (2, 2), 10)))
    assert basis.rank == 3
    y = u[:, 0] ** 2
    assert float(basis.solve(y)[1].abs().max()) < 1e-14


def test_finish_keeps_the_better_of_polished_and_unpolished():
    data = sample(quartic, 60)
    structure = Structure.isotropic("total", (4, 4), 2)
    problem = Problem.of(
        FORMS["abs"], structure, structure.indices(60), 2 * data.x - 1, data.y[:, 0]
    )
    g = derive_generator(3, "finish")
    theta = torch.randn(problem.inner[0].rank, dtype=torch.float64, generator=g)
    signs = torch.ones(1, dtype=torch.float64)
    residuals = make_residuals(FORMS["abs"].evaluate)(theta, signs, problem.target)[0]
    rmse = residuals.square().mean().sqrt()
    assert finish(problem, theta, signs).rmse <= float(rmse) * (1 + 1e-9)


def test_no_stage_of_the_search_begins_when_the_operations_are_spent():
    data = sample(crossing, 60)
    simplest = Structure.isotropic("total", (1, 1), 2)
    none, all_ = (fit(data, operations=limit) for limit in (0.0, 1e12))
    assert {crease.structure for crease in none.solutions[0]} == {simplest}
    assert none.scores[0] > 2 * all_.scores[0]


def test_work_is_counted_the_same_each_time_and_grows_with_starts_and_points():
    def done(n: int, n_starts: int) -> float:
        data, work = sample(crossing, n), Work(inf)
        u = 2 * data.x - 1
        search = Search(
            FORMS["abs"],
            *(u, data.y[:, 0]),
            max_share=0.7,
            n_starts=n_starts,
            work=work,
            generator=derive_generator(0, "starts"),
        )
        search.explore([Structure.isotropic("total", (k, k), 2) for k in (1, 2)])
        return work.done

    assert done(40, 20) == done(40, 20)
    assert done(80, 20) > done(40, 20)
    assert done(40, 40) > done(40, 20)


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
@pytest.mark.parametrize("name", degenerate_data())
@pytest.mark.parametrize("kind", FORMS)
def test_degenerate_data_gives_finite_predictions(kind: Kind, name: str):
    data = degenerate_data()[name]
    model, far = fit(data, kind, n_climbs=1, n_starts=6, operations=1e8), near_and_far(data)
    assert all_finite(model.predict(far), model.std(far), model.committee(far))
    assert all_finite(model.held_out_residuals(generator=derive_generator(0, "cv")))
