"""The automatic choice, and output transforms."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.core.scaling import spread_of
from adaptsample.errors import UnsupportedModelError
from adaptsample.surrogates.auto import Auto, AutoModel, Member
from adaptsample.surrogates.auto.transforms import MARGIN, TRANSFORMS, Transform
from adaptsample.surrogates.jump import Jump
from adaptsample.surrogates.polynomial import Polynomial
from tests.surrogates.degenerate import all_finite, degenerate_data, near_and_far

SQUARE = Box({"x": (0, 1), "y": (0, 1)})


def peak(x: Tensor) -> Tensor:
    return 1 / ((0.5 - x[:, :1] ** 4 - x[:, 1:] ** 4).abs() + 0.1)


def sample(f: Any, n: int, seed: int = 0) -> Dataset:
    x = SQUARE.sobol(n, generator=derive_generator(seed, "initial"))
    return Dataset(x, f(x))


def fit(data: Dataset, recipe: Auto | None = None, start: AutoModel | None = None) -> AutoModel:
    return (recipe or Auto()).fit(data, generator=derive_generator(0, "fit"), start=start)


@dataclass(frozen=True)
class Mean:
    """A recipe whose model tells nothing about its own errors."""

    offset: float = 0.0

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> "MeanModel":
        del generator, start
        return MeanModel(data.y.mean(dim=0) + self.offset)


@dataclass(frozen=True)
class MeanModel:
    value: Tensor

    def predict(self, x: Tensor) -> Tensor:
        return self.value.expand(len(x), -1)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_transforms_invert_and_keep_values_of_either_sign(name: Any, sign: float):
    y = sign * torch.tensor([0.5, 2.0, 9.0], dtype=torch.float64)
    transform = Transform.legal(name, y)
    torch.testing.assert_close(transform.inverse(transform.forward(y)), y)


@pytest.mark.parametrize("name", ["log", "reciprocal", "sqrt"])
def test_transforms_need_values_of_one_sign(name: Any):
    for y in ([1.0, -1.0], [0.0, 1.0], [0.0, 0.0], [2.0, 2.0]):
        assert Transform.legal(name, torch.tensor(y, dtype=torch.float64)) is None


def test_poles_end_at_the_limit():
    y = torch.tensor([1.0, 2.0], dtype=torch.float64)
    transform = Transform.legal("reciprocal", y)
    z = torch.tensor([1e-9, 0.0, -1.0, 1e9], dtype=torch.float64)
    assert transform.inverse(z).tolist() == [2 + MARGIN, 2 + MARGIN, 2 + MARGIN, 0.25]


def test_an_exponential_is_exact_far_below_the_smallest_value():
    data = sample(lambda x: torch.exp(-6 * x.sum(dim=1, keepdim=True)), 20)
    corner = torch.ones(1, data.x.shape[1], dtype=torch.float64)
    exact = torch.exp(-6 * corner.sum(dim=1, keepdim=True))
    assert float(exact) < float(data.y.min()) / 4
    torch.testing.assert_close(fit(data).predict(corner), exact, rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("name", ["log", "reciprocal", "sqrt"])
def test_towards_zero_predictions_are_limited_by_the_ratio_of_the_values(name: Any):
    y = torch.tensor([[1.0], [100.0]], dtype=torch.float64)
    transform = Transform.legal(name, y)
    assert transform is not None
    far = transform.forward(torch.tensor([[1e-9]], dtype=torch.float64))
    expected = 0.0 if name == "sqrt" else 0.01
    assert float(transform.inverse(far)) == pytest.approx(expected, abs=1e-8)


def test_transforms_that_overflow_are_not_legal():
    y = torch.tensor([1e-310, 1.0], dtype=torch.float64)
    assert Transform.legal("reciprocal", y) is None


@pytest.fixture(scope="module")
def peak_model() -> AutoModel:
    return fit(sample(peak, 60))


def test_the_peak_is_known_to_rounding_from_sixty_points(peak_model: AutoModel):
    x = SQUARE.grid(100)
    assert float((peak_model.predict(x) - peak(x)).abs().mean()) < 1e-12
    winner = peak_model.outcomes[0].winner.score
    assert (winner.name, winner.transform) == ("crease_abs", "reciprocal")
    assert winner.error < 1e-9


def test_a_refit_from_the_model_before_tries_nothing_else_where_it_is_exact(peak_model: AutoModel):
    after = fit(sample(peak, 64), start=peak_model)
    assert len(after.scores[0]) == 1
    x = SQUARE.grid(30)
    assert float((after.predict(x) - peak(x)).abs().mean()) < 1e-12


def test_each_output_has_a_winner_of_its_own():
    def both(x: Tensor) -> Tensor:
        return torch.cat([1 / (1 + x[:, :1] + x[:, 1:] ** 2), x[:, :1] * x[:, 1:]], dim=1)

    model = fit(sample(both, 30))
    x = SQUARE.grid(20)
    torch.testing.assert_close(model.predict(x), both(x), atol=1e-8, rtol=0)
    assert [o.winner.score.transform for o in model.outcomes] == ["reciprocal", "identity"]
    assert model.std(x).shape == (400, 2)
    assert model.committee(x).shape[1:] == (400, 2)


def test_features_and_held_out_residuals_are_those_of_each_outputs_winner():
    def both(x: Tensor) -> Tensor:
        return torch.cat([1 / (1 + x[:, :1] + x[:, 1:] ** 2), 1e3 * x[:, :1] * x[:, 1:]], dim=1)

    data = sample(both, 30)
    model = fit(data, Auto(members=(Member("polynomial", Polynomial()),)))
    x = SQUARE.grid(20)
    features, residuals = model.features(x), model.held_out_residuals(generator=Generator())
    first, second = (outcome.winner for outcome in model.outcomes)
    spreads = spread_of(data.y)
    parts = [first.features(x) / spreads[0], second.features(x) / spreads[1]]
    assert torch.equal(features, torch.cat(parts, dim=1))
    assert len(features) == len(x)
    assert torch.isfinite(features).all()
    assert residuals.shape == data.y.shape
    assert torch.isfinite(residuals).all()
    assert float((residuals / data.y.std(dim=0)).abs().max()) < 0.1


def test_features_of_a_transformed_output_are_derivatives_in_its_own_units():
    """By differences: the winner's prediction moves with its coefficients as the features say."""
    data = sample(lambda x: 100 / (1 + x[:, :1] + x[:, 1:] ** 2), 30)
    model = fit(data, Auto(members=(Member("polynomial", Polynomial()),)))
    winner, x = model.outcomes[0].winner, SQUARE.grid(12)
    assert winner.score.transform == "reciprocal"
    terms = winner.model.features(x)
    z = winner.model.predict(x)
    step = 1e-6 * float(z.std())
    for j in range(terms.shape[1]):
        high, low = (winner.transform.inverse(z + s * terms[:, j : j + 1]) for s in (step, -step))
        expected = (high - low)[:, 0] / (2 * step) / spread_of(data.y)
        torch.testing.assert_close(model.features(x)[:, j], expected, rtol=1e-4, atol=1e-8)


def test_a_member_without_features_is_named():
    model = fit(sample(peak, 20), Auto(members=(Member("mean", Mean()),), transforms=("identity",)))
    with pytest.raises(UnsupportedModelError, match=r"features\(\).*MeanModel"):
        model.features(SQUARE.grid(3))


def test_a_bold_member_must_be_far_better():
    data = sample(lambda x: x[:, :1] + torch.sin(40 * x[:, 1:]), 40)
    plain = Member("plain", Mean(offset=0.5))
    members = (plain, Member("bold", Mean(), is_bold=True))
    model = fit(data, Auto(members=members, transforms=("identity",)))
    plain_score, bold_score = model.scores[0]
    assert bold_score.error < plain_score.error
    assert model.outcomes[0].winner.member is plain


@dataclass(frozen=True)
class Claims:
    """A recipe that claims an error, in spreads; it predicts the nearest value, or by a function.

    Another fit of it is at the distance ``doubt``; NaN for none.
    """

    error: float = 0.0
    function: Callable[[Tensor], Tensor] | None = None
    doubt: float = math.nan

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> "ClaimsModel":
        del generator, start
        return ClaimsModel(data, self)


@dataclass(frozen=True)
class ClaimsModel:
    data: Dataset
    recipe: Claims
    n_parameters: tuple[int, ...] = (1,)

    @property
    def doubts(self) -> tuple[float, ...]:
        return (self.recipe.doubt,)

    def held_out_residuals(self, *, generator: Generator) -> Tensor:
        del generator
        return self.recipe.error * spread_of(self.data.y).expand(len(self.data), -1)

    def predict(self, x: Tensor) -> Tensor:
        if self.recipe.function is not None:
            return self.recipe.function(x)
        return self.data.y[torch.cdist(x, self.data.x).argmin(dim=1)]


def test_a_member_is_no_better_than_two_fits_of_it_agree():
    data = sample(lambda x: x[:, :1] * x[:, 1:], 40)
    members = tuple(Member(f"doubt {d}", Claims(0.1, doubt=d), has_prior=True) for d in (0.0, 0.7))
    plain, doubted = fit(data, Auto(members=members, transforms=("identity",))).scores[0]
    assert plain.error < 0.7
    assert doubted.error == pytest.approx(0.7)


@pytest.mark.parametrize(("doubt", "winner"), [(1e-3, "nearest"), (math.nan, "polynomial")])
def test_a_bold_member_needs_no_trial_only_if_another_fit_is_near(doubt: float, winner: str):
    data = sample(lambda x: torch.sin(20 * x[:, :1] * x[:, 1:]), 60)
    bold = Member("nearest", Claims(doubt=doubt), is_bold=True)
    members = (Member("polynomial", Polynomial()), bold)
    model = fit(data, Auto(members=members, transforms=("identity",)))
    assert model.outcomes[0].winner.member.name == winner


@pytest.mark.parametrize(("ripple", "n_deepened_at_once"), [(0.01, 1), (10.0, 0)])
def test_a_draft_far_ahead_of_all_before_it_is_deepened_at_once(
    ripple: float, n_deepened_at_once: int
):
    data = sample(lambda x: 20 + x[:, :1] + ripple * torch.sin(40 * x[:, 1:]), 40)
    long = Member("long", Polynomial(), Polynomial())
    model = fit(data, Auto(members=(Member("mean", Mean()), long), effort="thorough"))
    tried = [score.transform for score in model.scores[0] if score.name == "long"]
    assert len(tried) == len(TRANSFORMS) + 2
    assert len(set(tried[:2])) == 2 - n_deepened_at_once


def test_a_bold_member_that_deceives_itself_does_not_stand_its_trial():
    data = sample(lambda x: torch.sin(20 * x[:, :1] * x[:, 1:]), 60)
    members = (Member("polynomial", Polynomial()), Member("nearest", Claims(), is_bold=True))
    model = fit(data, Auto(members=members, transforms=("identity",)))
    assert [score.error for score in model.scores[0]][1] == 0
    assert [c.member.name for c in model.outcomes[0].committee] == ["polynomial"]


@pytest.mark.parametrize(
    ("has_jump", "error", "winner"),
    [(True, 0.02, "jump"), (True, 1e-4, "other"), (False, 0.02, "other")],
)
def test_where_a_jump_was_found_others_must_predict_it(has_jump: bool, error: float, winner: str):
    def jumps(x: Tensor) -> Tensor:
        return (x[:, :1] ** 2 + x[:, 1:] > 0.8).double() + x[:, :1]

    def waves(x: Tensor) -> Tensor:
        return torch.sin(20 * x[:, :1] * x[:, 1:])

    data = sample(jumps if has_jump else waves, 60)
    members = (Member("jump", Jump(operations=0)), Member("other", Claims(error), has_prior=True))
    model = fit(data, Auto(members=members, transforms=("identity",)))
    jump, other = model.scores[0]
    assert other.error < jump.error
    assert model.outcomes[0].winner.member.name == winner


def test_a_jump_that_others_predict_better_is_none():
    def jumps(x: Tensor) -> Tensor:
        return (x[:, :1] ** 2 + x[:, 1:] > 0.8).double() + x[:, :1]

    members = (
        Member("jump", Jump(operations=0)),
        Member("other", Claims(0.05, jumps), has_prior=True),
    )
    model = fit(sample(jumps, 60), Auto(members=members, transforms=("identity",)))
    jump, other = model.scores[0]
    assert jump.error < 1.5 * other.error
    assert [c.member.name for c in model.outcomes[0].committee] == ["other"]


def test_a_bold_member_that_stood_its_trial_is_refitted_on_its_own():
    def kink(x: Tensor) -> Tensor:
        return (x[:, :1] - x[:, 1:]).abs()

    members = (Member("mean", Mean()), Member("polynomial", Polynomial(), is_bold=True))
    recipe = Auto(members=members, transforms=("identity",))
    first = fit(sample(kink, 100), recipe)
    after = fit(sample(kink, 104), recipe, start=first)
    assert [c.member.name for c in first.outcomes[0].committee] == ["polynomial"]
    assert [score.name for score in after.scores[0]] == ["polynomial"]


def test_members_that_err_in_opposite_ways_are_averaged():
    data = sample(lambda x: torch.zeros_like(x[:, :1]) + (x[:, :1] > 0.5), 200)
    members = (Member("low", Mean(offset=-0.3)), Member("high", Mean(offset=0.1)))
    model = fit(data, Auto(members=members, transforms=("identity",)))
    outcome = model.outcomes[0]
    assert float(outcome.weights.sum()) == pytest.approx(1)
    assert float(model.predict(data.x)[0]) == pytest.approx(float(data.y.mean()), abs=5e-3)
    apart = 0.4 * float(outcome.weights.prod().sqrt())  # of two members, by their weights
    assert model.std(data.x)[:, 0].tolist() == pytest.approx([apart] * 200)
    kept = model.choice["chosen"][0]
    assert [member["weight"] for member in kept] == outcome.weights.tolist()


def test_the_whole_portfolio_is_searched_again_when_the_data_has_grown():
    members = (Member("polynomial", Polynomial()), Member("mean", Mean()))
    recipe = Auto(members=members, transforms=("identity",))

    def kink(x: Tensor) -> Tensor:
        return (x[:, :1] - x[:, 1:]).abs()

    first = fit(sample(kink, 50), recipe)
    soon = fit(sample(kink, 54), recipe, start=first)
    later = fit(sample(kink, 100), recipe, start=soon)
    assert [len(model.scores[0]) for model in (first, soon, later)] == [2, 1, 3]


def test_the_whole_portfolio_is_searched_again_when_the_refit_disappoints():
    members = (Member("polynomial", Polynomial()), Member("mean", Mean()))
    recipe = Auto(members=members, transforms=("identity",))
    first = fit(sample(lambda x: x[:, :1], 50), recipe)
    surprised = fit(sample(lambda x: torch.sin(40 * x[:, :1]), 51), recipe, start=first)
    assert len(surprised.scores[0]) == 3


def test_models_that_tell_nothing_are_judged_by_refits():
    data = sample(lambda x: x[:, :1] ** 3, 40)
    members = (Member("mean", Mean()), Member("polynomial", Polynomial()))
    model = fit(data, Auto(members=members, transforms=("identity",)))
    mean, polynomial = model.scores[0]
    assert mean.error == pytest.approx(0.85, abs=0.2)  # the spread, as a mean absolute deviation
    assert polynomial.error < 1e-12
    assert model.outcomes[0].winner.score == polynomial
    assert float(model.std(data.x).max()) < 1e-10


def test_noise_is_left_to_members_with_a_prior():
    g = derive_generator(3, "noise")

    def noisy(x: Tensor) -> Tensor:
        return torch.sin(3 * x[:, :1]) + 0.2 * torch.randn(len(x), 1, generator=g).double()

    plain = tuple(member for member in Auto().members if not member.is_bold)
    model = fit(sample(noisy, 60), Auto(members=plain, transforms=("identity",)))
    outcome = model.outcomes[0]
    assert outcome.winner.member.name == "gaussian_process"
    assert all(candidate.member.has_prior for candidate in outcome.committee)
    assert float(model.noise_std) == pytest.approx(0.2, rel=0.3)


def test_members_for_few_variables_are_left_out_for_many():
    few = Member("few", Mean(), max_dimension=1)
    recipe = Auto(members=(Member("polynomial", Polynomial()), few), transforms=("identity",))
    model = fit(sample(lambda x: (x[:, :1] - 0.3).abs(), 20), recipe)
    assert {score.name for score in model.scores[0]} == {"polynomial"}


def test_portfolios_that_may_have_no_candidate_are_refused():
    with pytest.raises(ValueError, match="bold"):
        Auto(members=(Member("bold", Mean(), is_bold=True),))
    with pytest.raises(ValueError, match="identity"):
        Auto(transforms=("log",))


def test_equal_generators_give_equal_models():
    data = sample(peak, 30)
    recipe = Auto(members=Auto().members[:1])
    x = SQUARE.grid(10)
    assert torch.equal(fit(data, recipe).predict(x), fit(data, recipe).predict(x))


def test_arrays_in_arrays_out():
    model = fit(sample(lambda x: x[:, :1], 12))
    assert isinstance(model.predict(np.zeros((3, 2))), np.ndarray)


@pytest.mark.filterwarnings("ignore::adaptsample.errors.DegenerateDataWarning")
@pytest.mark.parametrize("name", degenerate_data())
def test_degenerate_data_gives_finite_predictions(name: str):
    data = degenerate_data()[name]
    model, far = fit(data, Auto(effort="quick")), near_and_far(data)
    assert all_finite(model.predict(far), model.std(far), model.committee(far))
