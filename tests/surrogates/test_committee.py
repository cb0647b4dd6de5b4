"""Committees: what members share, where they differ, and what their disagreement is worth."""

import math
from dataclasses import dataclass, field
from typing import Any, final

import pytest
import torch
from torch import Generator, Tensor

from adaptsample import Box, Dataset
from adaptsample.core import Points, Values
from adaptsample.core.randomness import derive_generator
from adaptsample.oracles.problems import PROBLEMS
from adaptsample.registry import label, make_surrogate
from adaptsample.surrogates import SupportsCommittee, SupportsCrossValidation, SupportsStd
from adaptsample.surrogates.committee import Committee, CommitteeModel
from adaptsample.surrogates.mlp import MLP
from adaptsample.surrogates.polynomial import Polynomial
from adaptsample.training import GradientDescent, LevenbergMarquardt

TRAINING = LevenbergMarquardt(starts=1, iterations=60, continued_iterations=40)
NETWORK = MLP(hidden=(6, 6), training=TRAINING)
QUICK = Committee(NETWORK, n_members=3)
BOX = Box({"x": (0, 1), "y": (0, 1)})


@final
@dataclass(frozen=True)
class ShiftedModel:
    shift: float

    def predict(self, x: Points) -> Values:
        return x[:, :1] + self.shift


@final
@dataclass(frozen=True)
class Shifted:
    """Predicts x0 plus the next of these numbers; a start is remembered by its own shift."""

    shifts: list[float] = field(default_factory=list)

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> ShiftedModel:
        del data, generator
        return ShiftedModel(self.shifts.pop(0) if start is None else start.shift + 10)


def fit(recipe: Committee, data: Dataset, start: Any = None, seed: int = 0) -> CommitteeModel:
    return recipe.fit(data, generator=derive_generator(seed, "fit"), start=start)


def franke(n: int = 50) -> Dataset:
    x = BOX.sobol(n, generator=derive_generator(0, "initial"))
    return Dataset(x, PROBLEMS["franke"](x))


def grid() -> Tensor:
    return BOX.grid(25)


def test_the_prediction_is_the_median_so_one_bad_member_does_not_matter() -> None:
    model = fit(Committee(Shifted([0.0, 0.1, 1e9]), 3), franke())
    assert torch.equal(model.predict(grid()), grid()[:, :1] + 0.1)


def test_the_median_of_an_even_number_is_the_mean_of_the_middle() -> None:
    model = fit(Committee(Shifted([0.0, 0.25, 0.75, 1e9]), 4), franke())
    torch.testing.assert_close(model.predict(grid()), grid()[:, :1] + 0.5)


def test_the_doubt_is_the_distance_of_the_two_closest_members() -> None:
    model = fit(Committee(Shifted([0.0, 5.0, 5.5, 9.0]), 4), franke())
    spread = float(franke().y.std(correction=0))
    assert model.doubts == pytest.approx((0.5 / spread,))
    assert math.isnan(fit(Committee(Shifted([0.0]), 1), franke()).doubts[0])


def test_members_that_predict_the_same_count_once() -> None:
    twice = fit(Committee(Shifted([0.0, 1.0, 1.0 + 1e-14, 1.0]), 4), franke())
    once = fit(Committee(Shifted([0.0, 1.0]), 2), franke())
    assert twice.distinct == (0, 1)
    assert twice.committee(grid()).shape == (4, 625, 1)
    disagreement = [model._disagreement(model.committee(grid())) for model in (twice, once)]
    torch.testing.assert_close(*disagreement)


def test_each_member_continues_from_its_like() -> None:
    recipe = Committee(Shifted([0.0, 1.0, 2.0]), 3)
    first = fit(recipe, franke())
    second = fit(recipe, franke(), start=first)
    assert [member.shift for member in second.members] == [10.0, 11.0, 12.0]


def test_networks_disagree_where_there_is_no_data() -> None:
    points = franke(80)
    left = Dataset(points.x[points.x[:, 0] < 0.6], points.y[points.x[:, 0] < 0.6])
    std = fit(QUICK, left).std(grid())
    assert std[grid()[:, 0] > 0.8].mean() > 3 * std[grid()[:, 0] < 0.6].mean()


@pytest.fixture(scope="module")
def model() -> CommitteeModel:
    return fit(QUICK, franke())


def test_the_std_covers_the_error(model: CommitteeModel) -> None:
    error = (model.predict(grid()) - PROBLEMS["franke"](grid())).abs()
    within = (error < model.std(grid())).double().mean()
    assert 0.3 < within < 0.97


def test_held_out_residuals_are_of_the_size_of_the_error(model: CommitteeModel) -> None:
    residuals = model.held_out_residuals(generator=derive_generator(0, "folds"))
    error = (model.predict(grid()) - PROBLEMS["franke"](grid())).abs().mean()
    assert residuals.shape == (50, 1)
    assert 0.3 * error < residuals.abs().mean() < 10 * error


def test_one_member_many_times_has_the_std_of_its_held_out_residuals() -> None:
    noise = 0.1 * torch.randn(50, 1, generator=derive_generator(0, "noise"), dtype=torch.float64)
    points = Dataset(franke().x, franke().x[:, :1] + noise)
    model = fit(Committee(Polynomial(max_degree=1), 3), points)
    assert model.distinct == (0,)
    std = model.std(grid())
    assert std.min() == std.max()
    assert float(std[0]) == pytest.approx(0.1, rel=0.3)


def test_members_without_cross_validation_are_refitted() -> None:
    descent = MLP(hidden=(8,), training=GradientDescent(steps=100))
    model = fit(Committee(descent, 2), franke())
    residuals = model.held_out_residuals(generator=derive_generator(0, "folds"))
    in_sample = franke().y - model.predict(franke().x)
    assert ((residuals - in_sample).abs() > 1e-3).double().mean() > 0.9
    assert residuals.abs().mean() < 2 * in_sample.abs().mean()
    assert model.n_parameters == (0,)


def test_a_committee_offers_what_it_has(model: CommitteeModel) -> None:
    for capability in (SupportsStd, SupportsCommittee, SupportsCrossValidation):
        assert isinstance(model, capability)
    assert 1 <= model.n_parameters[0] <= 50


def test_the_generator_decides_everything(model: CommitteeModel) -> None:
    again, other = (fit(QUICK, franke(), seed=seed) for seed in (0, 1))
    assert torch.equal(model.std(grid()), again.std(grid()))
    assert torch.equal(model.predict(grid()), again.predict(grid()))
    assert not torch.equal(model.predict(grid()), other.predict(grid()))


def test_a_committee_is_read_from_text() -> None:
    text = "committee(surrogate=mlp(hidden=(8, 8)), n_members=3)"
    assert make_surrogate(text) == Committee(MLP(hidden=(8, 8)), 3)
    assert make_surrogate(label(make_surrogate(text))) == make_surrogate(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n_members": 0}, "at least 1, got 0"), ({"surrogate": "mlp"}, "a recipe, got 'mlp'")],
)
def test_a_hyper_parameter_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Committee(**options)
