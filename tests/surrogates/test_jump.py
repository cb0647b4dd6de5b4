"""Jump surrogates."""

from collections.abc import Callable
from functools import cache
from math import inf

import pytest
import torch
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.core.work import Work
from adaptsample.surrogates import SupportsCrossValidation
from adaptsample.surrogates.chebyshev import (
    InputScale,
    Orthonormal,
    OutputScale,
    chebyshev,
    multi_indices,
)
from adaptsample.surrogates.jump import Jump, JumpModel
from adaptsample.surrogates.jump.boundary import MAX_DEGREE, WALK, separate, wrong_votes
from adaptsample.surrogates.jump.degrees import choose
from adaptsample.surrogates.jump.fitted import FittedJump
from adaptsample.surrogates.jump.growing import Growing
from adaptsample.surrogates.jump.search import Search
from adaptsample.surrogates.jump.sides import climb, relabelled
from adaptsample.surrogates.jump.task import Task
from adaptsample.surrogates.jump.walk import NEAREST, walk
from adaptsample.surrogates.polynomial import Polynomial

SQUARE = Box({"x": (0, 1), "y": (0, 1)})
Function = Callable[[Tensor, Tensor], Tensor]


def sample(n: int, *functions: Function, seed: int = 0) -> Dataset:
    x = SQUARE.sobol(n, generator=derive_generator(seed, "initial"))
    return Dataset(x, torch.stack([f(*x.T) for f in functions], dim=1))


@cache
def fitted(n: int, *functions: Function) -> JumpModel:
    return fit(sample(n, *functions))


def fit(data: Dataset, start: JumpModel | None = None) -> JumpModel:
    recipe = Jump(operations=inf)
    return recipe.fit(data, generator=derive_generator(0, "fit"), start=start)


def errors(model: JumpModel, f: Function) -> Tensor:
    x = SQUARE.grid(101)
    y = f(*x.T)
    return (model.predict(x)[:, 0] - y).abs() / y.std()


def above(x: Tensor, y: Tensor) -> Tensor:
    return y - 0.7 * x > 0.2


def polynomial(x: Tensor, y: Tensor) -> Tensor:
    return x**2 - x * y + 0.5 * y


def linear_jump(x: Tensor, y: Tensor) -> Tensor:
    return polynomial(x, y) + (1 + x) * above(x, y)


def round_jump(x: Tensor, y: Tensor) -> Tensor:
    return torch.sin(3 * x) + y**2 + 2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09)


def jump_of(model: JumpModel, k: int = 0) -> FittedJump:
    solution = model.solutions[k]
    assert isinstance(solution, FittedJump)
    return solution


def test_both_sides_of_a_polynomial_with_a_linear_jump_are_exact():
    data = sample(50, linear_jump)
    model = fit(data)
    x = SQUARE.grid(31)
    u, spread = model.inputs(x), float(model.outputs.spread[0])
    sides = jump_of(model).sides
    below = sides.below(u) * spread + model.outputs.location[0]
    other = below + sides.height(u) * spread
    low, high = torch.minimum(below, other), torch.maximum(below, other)
    torch.testing.assert_close(low, polynomial(*x.T), atol=1e-10, rtol=0)
    torch.testing.assert_close(high, polynomial(*x.T) + 1 + x[:, 0], atol=1e-10, rtol=0)
    torch.testing.assert_close(model.predict(data.x), data.y, atol=1e-10, rtol=0)


def test_the_boundary_is_located_better_by_more_points():
    mean = [float(errors(fitted(n, round_jump), round_jump).mean()) for n in (60, 180)]
    assert mean[1] < 0.5 * mean[0]
    assert mean[1] < 0.03


def test_a_small_jump_on_a_wave_is_found():
    def f(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(x) * torch.sin(3 * y) + 0.3 * (x + 0.6 * y > 0.8)

    error = errors(fit(sample(60, f)), f)
    assert float(error.median()) < 1e-3
    assert float(error.mean()) < 0.03


@pytest.mark.parametrize("f", [linear_jump, round_jump])
def test_all_members_separate_the_labels(f: Function):
    model = fitted(80, f)
    solution = jump_of(model)
    u = model.inputs(sample(80, f).x)
    sides = solution.sides.labels.double()
    for boundary in (solution.boundary, solution.rivals):
        assert bool((boundary.votes(u) == sides).all())
        assert bool((boundary.side(u) == sides).all())
        assert len(boundary.members.unique(dim=0)) > 32
        assert float(boundary.members.abs().max()) <= 1


def test_rivals_of_higher_degree_doubt_what_a_plain_boundary_is_sure_of():
    """Another sample of lines doubts at most 2 % of the square that the first is sure of."""
    data = sample(16, linear_jump)
    u, labels = 2 * data.x - 1, above(*data.x.T)
    work, generator = Work(inf), derive_generator(0, "walk")
    first = separate(u, labels, limit=48)
    assert first is not None
    plain = first.walked(u, labels, WALK, work=work, generator=generator)
    rivals = plain.widened(u, labels, limit=48, work=work, generator=generator)
    assert (plain.degrees, rivals.degrees) == ((1, 1), (2, 2))
    votes = [b.votes(2 * SQUARE.grid(51) - 1).mean(dim=0) for b in (plain, rivals)]
    plain_is_sure, rivals_are_sure = ((share == 0) | (share == 1) for share in votes)
    assert float((plain_is_sure & ~rivals_are_sure).double().mean()) > 0.05
    assert float((rivals_are_sure & ~plain_is_sure).double().mean()) < 0.01
    assert plain.widened(u[:0], labels[:0], limit=3, work=work, generator=generator) is plain


def test_rivals_are_one_degree_higher_than_the_boundary_that_predicts():
    jump = jump_of(fitted(80, round_jump))
    assert jump.rivals.degrees == tuple(degree + 1 for degree in jump.boundary.degrees)


def test_members_disagree_between_the_points_and_nowhere_else():
    data = sample(80, linear_jump)
    model = fitted(80, linear_jump)
    x = SQUARE.grid(41)
    members = model.committee(x)
    assert members.shape == (64, len(x), 1)
    disagreement = members.std(dim=0)[:, 0]
    distance = (x[:, 1] - 0.7 * x[:, 0] - 0.2).abs()
    near, far = (float(disagreement[rows].mean()) for rows in (distance < 0.01, distance > 0.2))
    assert near > 0.05
    assert far < 0.1 * near
    votes = jump_of(model).boundary.votes(model.inputs(x)[distance > 0.2])
    assert bool((votes == votes[0]).all())  # those of higher degree may bend in a far corner
    assert float(model.committee(data.x).std(dim=0).max()) < 1e-9
    wrong = errors(model, linear_jump) > 0.1
    std = model.std(SQUARE.grid(101))[:, 0]
    assert float(std[wrong].mean()) > 10 * float(std[~wrong].mean())


def test_the_polynomial_is_the_answer_where_nothing_jumps():
    def f(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(x) * torch.sin(3 * y)

    data = sample(60, f)
    model = fit(data)
    expected = Polynomial().fit(data, generator=derive_generator(0, "fit"))
    x = SQUARE.grid(21)
    assert model.has_jump == (False,)
    assert model.n_parameters == expected.n_parameters
    torch.testing.assert_close(model.predict(x), expected.predict(x), atol=1e-9, rtol=0)
    torch.testing.assert_close(model.std(x), expected.std(x), atol=1e-9, rtol=0)
    assert model.committee(x).shape == (64, len(x), 1)


def test_features_are_the_terms_of_the_sides_and_what_boundaries_would_change():
    model, x = fitted(80, linear_jump, polynomial), SQUARE.grid(30)
    features = model.features(x)
    assert model.has_jump == (True, False)
    assert len(features) == len(x)
    assert torch.isfinite(features).all()
    jump = model.solutions[0].features(model.inputs(x))
    assert torch.equal(features[:, : jump.shape[1]], jump)
    assert torch.equal(
        features[:, jump.shape[1] :], model.solutions[1].model.features(model.inputs(x))
    )
    # the boundaries' part has the variance of the committee around the prediction
    changes = jump[:, -model.committee(x).shape[0] :]
    prediction = model.predict(x)[:, 0]
    expected = (model.committee(x)[:, :, 0] - prediction).square().mean(dim=0)
    spread = model.outputs.spread[0]
    torch.testing.assert_close(changes.square().sum(dim=1), expected / spread**2)
    linear = jump[:, : -model.committee(x).shape[0]]
    solution = torch.linalg.lstsq(linear, prediction[:, None]).solution
    torch.testing.assert_close((linear @ solution)[:, 0], prediction, atol=1e-6, rtol=0)


def test_noise_is_not_taken_for_a_jump():
    x = SQUARE.sobol(60, generator=derive_generator(0, "initial"))
    noise = torch.randn(60, 1, dtype=torch.float64, generator=derive_generator(0, "noise"))
    model = fit(Dataset(x, noise))
    claimed = model.held_out_residuals(generator=derive_generator(0, "folds")).abs().mean()
    assert float(claimed) > 0.6 * float(noise.abs().mean())


def test_outputs_are_fitted_each_on_its_own():
    data = sample(80, linear_jump, polynomial)
    model = fitted(80, linear_jump, polynomial)
    assert model.has_jump == (True, False)
    assert model.predict(data.x).shape == (80, 2)
    assert model.std(data.x).shape == (80, 2)
    assert model.committee(data.x).shape == (64, 80, 2)
    assert model.n_parameters[1] == 6
    torch.testing.assert_close(model.predict(data.x), data.y, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("f", "n"), [(linear_jump, 60), (round_jump, 60), (round_jump, 120)])
def test_the_held_out_error_is_not_far_below_the_true_one(f: Function, n: int):
    model = fitted(n, f)
    assert isinstance(model, SupportsCrossValidation)
    held_out = model.held_out_residuals(generator=derive_generator(0, "folds"))
    claimed = float(held_out.abs().mean() / sample(n, f).y.std())
    true = float(errors(model, f).mean())
    assert true < 2 * claimed
    assert claimed < 10 * true


def test_a_fit_is_a_function_of_data_and_generator():
    data, x = sample(50, linear_jump), SQUARE.grid(21)
    first, again, other = (
        Jump(operations=0).fit(data, generator=derive_generator(seed, "fit")).committee(x)
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_jump_is_continued_at_more_points():
    before = fitted(60, linear_jump)
    data = sample(90, linear_jump)
    labels = before.labels(data, 0)[0]
    assert bool((labels == above(*data.x.T)).all() or (labels != above(*data.x.T)).all())
    after = fit(data, start=before)
    assert jump_of(after).degree <= jump_of(before).degree
    torch.testing.assert_close(after.predict(data.x), data.y, atol=1e-10, rtol=0)


def test_wrong_labels_are_corrected():
    data = sample(80, linear_jump)
    u, z = InputScale.of(data.x)(data.x), data.y[:, 0]
    right = above(*data.x.T)
    wrong = right.clone()
    wrong[:3] = ~wrong[:3]
    task = Task.of(u, z, limit=40)
    sides = relabelled(task, climb(task, wrong))
    assert bool((sides.labels == right).all())


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_lowest_separating_degree_is_found(degree: int):
    u = 2 * SQUARE.sobol(300, generator=derive_generator(0, "initial")) - 1
    level = torch.cos(degree * torch.arccos(u[:, 0])) + 0.1 * u[:, 1] - 0.05
    boundary = separate(u, level > 0, limit=100)
    assert boundary is not None
    assert boundary.degree == degree


def test_labels_without_order_cannot_be_separated():
    u = 2 * SQUARE.sobol(200, generator=derive_generator(0, "initial")) - 1
    labels = torch.rand(200, generator=derive_generator(0, "labels")) > 0.5
    assert separate(u, labels, limit=66) is None


def test_an_axis_that_does_not_matter_is_dropped_from_the_boundary():
    u = 2 * SQUARE.sobol(100, generator=derive_generator(0, "initial")) - 1
    generator, labels = derive_generator(0, "fit"), u[:, 0] > 0.2
    first = separate(u, labels, limit=33)
    assert first is not None
    work, held = Work(inf), torch.arange(100) % 20 == torch.arange(20)[:, None]
    members = first.walked(u, labels, WALK, work=work, generator=generator)
    votes = wrong_votes([members], u, labels, held, work=work, generator=generator)[0]
    chosen, wrong = choose(
        members, votes, u, labels, held, limit=33, work=work, generator=generator
    )
    assert chosen.degrees[1] == 0  # and the other is as high as this sample of boundaries says
    assert max(chosen.degrees) <= MAX_DEGREE
    assert float(wrong.mean()) < 0.05


def test_other_side_residuals_are_those_of_a_refit_without_the_point():
    data = sample(40, linear_jump)
    u, labels = 2 * data.x - 1, above(*data.x.T)
    z = data.y[:, 0] + 0.1 * torch.sin(20 * u[:, 0])
    sides = climb(Task.of(u, z, limit=20), labels)
    other = sides.other_loo(u, z)
    for i in (0, 7):
        held = torch.arange(40) == i
        refit = sides.without(u, z, held)
        there = 0.0 if bool(labels[i]) else 1.0
        predicted = refit.below(u[held]) + there * refit.height(u[held])
        torch.testing.assert_close(other[held], z[held] - predicted, atol=1e-9, rtol=1e-7)


def test_no_work_at_all_still_gives_a_model():
    data = sample(60, linear_jump)
    model = Jump(operations=0).fit(data, generator=derive_generator(0, "fit"))
    assert model.has_jump == (True,)
    assert chebyshev(model.inputs(data.x), jump_of(model).boundary.indices).shape[0] == 60


def test_a_search_that_cannot_stay_below_the_bound_ends_early():
    """Asked for less than the error that it would have it is no answer, for far less no work."""
    data = sample(60, linear_jump)
    u, z = InputScale.of(data.x)(data.x), OutputScale.of(data.y).forward(data.y)[:, 0]
    error = jump_of(fit(data)).error
    work = {}
    for share in (1e-4, 0.05, 0.5, 1.5):
        model = Jump(operations=inf, bound=share * error).fit(
            data, generator=derive_generator(0, "fit")
        )
        assert model.has_jump == (share > 1,)
        work[share] = Work(inf)
        task = Task.of(u, z, limit=36, bound=share * error, work=work[share])
        Search(task, derive_generator(0, "search")).run([])
    assert work[0.05].done < 0.7 * work[1.5].done
    assert work[0.5].done == work[1.5].done


def test_labels_that_are_hopeless_are_not_fitted_with_care():
    x = SQUARE.sobol(60, generator=derive_generator(0, "initial"))
    noise = torch.randn(60, dtype=torch.float64, generator=derive_generator(0, "noise"))
    tasks = [Task.of(2 * x - 1, noise, limit=36, bound=bound) for bound in (1e-6, 0.1)]
    found = [Search(task, derive_generator(0, "search")).run([]) for task in tasks]
    assert found == [None, None]
    assert tasks[0].work.done < 0.9 * tasks[1].work.done


def test_a_search_ends_between_stages_when_its_work_is_done():
    """Between nothing and everything are some stages, not all."""
    data = sample(60, round_jump)
    u, z = InputScale.of(data.x)(data.x), OutputScale.of(data.y).forward(data.y)[:, 0]
    done = []
    for limit in (0.0, 2e8, inf):
        task = Task.of(u, z, limit=36, work=Work(limit))
        Search(task, derive_generator(0, "search")).run([])
        done.append(task.work.done)
    assert done[0] < done[1] < done[2] < Jump().operations


def test_a_basis_that_grows_has_the_errors_of_one_fitted_at_once():
    u = 2 * SQUARE.sobol(40, generator=derive_generator(0, "initial")) - 1
    indices = multi_indices("total", (5, 5), 40)
    assert indices is not None
    z, columns = torch.sin(3 * u[:, 0]) + u[:, 1] ** 2, chebyshev(u, indices)
    fit = Growing.nothing(z, Work(inf))
    for part in columns.split([1, 4, 3, 13], dim=1):
        fit = fit.extended(part)
    basis = Orthonormal.of(columns)
    expected = basis.leave_one_out(basis.solve(z)[1], z)
    torch.testing.assert_close(fit.loo, expected, atol=1e-12, rtol=0)
    again = fit.extended(columns[:, 3:8] @ torch.ones(5, 2, dtype=u.dtype))
    assert again.q.shape[1] == basis.rank
    torch.testing.assert_close(again.loo, expected, atol=1e-12, rtol=0)


def test_chains_that_walk_are_uniform_in_each_of_their_sets():
    """A triangle of which one corner is cut off, a box, and an interval of one coordinate.

    More than enough facets far away keep some of them out of mind.
    """
    generator = derive_generator(0, "walk")
    corner = torch.tensor([[-1.0, -1.0]], dtype=torch.float64)
    away = torch.tensor([[1e-3, 2e-3]], dtype=torch.float64).expand(2 * NEAREST, 2)
    facets = torch.cat([corner, away])
    binds = torch.zeros(3, len(facets), dtype=torch.bool)
    binds[0, 0] = True
    has = torch.tensor([[True, True], [True, True], [True, False]])
    begin = torch.tensor([-0.5, -0.5], dtype=torch.float64) * has
    chains = begin[:, None].expand(3, 512, 2)
    chains = walk(facets, binds, has, chains, 100, work=Work(inf), generator=generator)
    assert bool((chains.abs() <= 1).all())
    assert bool((chains[0].sum(dim=1) < 0).all())
    assert bool((chains[2, :, 1] == 0).all())
    # the triangle below the falling diagonal has its centre of mass at -1/3, -1/3
    for chain, centre in ((chains[0], -1 / 3), (chains[1], 0.0), (chains[2, :, :1], 0.0)):
        assert float((chain.mean(dim=0) - centre).abs().max()) < 0.12
    for chain, variance in ((chains[0], 2 / 9), (chains[1], 1 / 3), (chains[2, :, :1], 1 / 3)):
        assert float((chain.var(dim=0) / variance - 1).abs().max()) < 0.25


def test_votes_in_many_sets_at_once_are_those_of_each_set_alone():
    """To within what 64 members tell: the mean of the shares over seeds agrees."""
    data = sample(120, round_jump)
    u, labels = 2 * data.x - 1, ((data.x - 0.5) ** 2).sum(dim=1) < 0.09
    first = separate(u, labels, limit=40)
    assert first is not None
    held = torch.arange(120) % 20 == torch.arange(20)[:, None]
    together, alone = [], []
    for seed in range(3):
        generator, work = derive_generator(seed, "walk"), Work(inf)
        members = first.walked(u, labels, WALK, work=work, generator=generator)
        one = [
            wrong_votes([members], u, labels, part[None], work=work, generator=generator)[0]
            for part in held
        ]
        alone.append(torch.stack(one).sum(dim=0))
        together.append(wrong_votes([members], u, labels, held, work=work, generator=generator)[0])
    a, b = torch.stack(together).mean(dim=0), torch.stack(alone).mean(dim=0)
    assert float((a - b).abs().max()) < 0.2
    assert abs(float(a.mean() / b.mean()) - 1) < 0.15
