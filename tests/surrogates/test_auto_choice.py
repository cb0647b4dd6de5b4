"""The rules by which the automatic surrogate chooses, each on the smallest case that shows it.

The data are a line, and members claim what errors they please, in spreads of the values.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Generator

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator
from adaptsample.core.scaling import spread_of
from adaptsample.surrogates.auto import Auto, AutoModel, Member
from tests.surrogates.fakes import Claim, ClaimModel

N = 40
X = torch.linspace(0, 1, N, dtype=torch.float64)[:, None]
LINE = Dataset(X, 100 + X)  # so far from 0 that transforms hardly bend it


def fit(
    *members: Member, transforms: tuple[Any, ...] = ("identity",), effort: Any = "standard"
) -> AutoModel:
    recipe = Auto(members=members, transforms=transforms, effort=effort)
    return recipe.fit(LINE, generator=derive_generator(0, "fit"))


def names(model: AutoModel) -> list[str]:
    """Return the committee's names, the best first."""
    return [candidate.member.name for candidate in model.outcomes[0].committee]


def weights(model: AutoModel) -> list[float]:
    return model.outcomes[0].weights.tolist()


def feared(model: AutoModel) -> float:
    """Return the mean of the residuals that the model tells, in spreads."""
    residuals = model.held_out_residuals(generator=Generator())
    return float((residuals / spread_of(LINE.y)).abs().mean())


def plain(name: str, *errors: float, **claims: Any) -> Member:
    return Member(name, Claim(errors, **claims))


def prior(name: str, *errors: float, **claims: Any) -> Member:
    return Member(name, Claim(errors, **claims), has_prior=True)


def jump(*errors: float, **claims: Any) -> Member:
    return Member("jump", Claim(errors, is_refitted=True, **claims), n_transforms=None)


def bold(name: str, *errors: float, **claims: Any) -> Member:
    return Member(name, Claim(errors, **claims), is_bold=True)


def name_of(member: Member) -> str:
    return member.name


# What an error is worth


@pytest.mark.parametrize(("n_parameters", "penalty"), [(N // 2, 1), (3 * N // 4, 2), (N, 3)])
def test_errors_count_for_more_where_there_are_few_points_a_parameter(
    n_parameters: int, penalty: float
):
    crowded = fit(plain("crowded", 0.1, n_parameters=n_parameters))
    assert crowded.scores[0][0].error == pytest.approx(0.1 * penalty)


def test_a_member_with_as_many_parameters_as_points_loses_to_one_with_few():
    assert names(fit(plain("crowded", 0.1, n_parameters=N), plain("lean", 0.17))) == ["lean"]
    assert names(fit(plain("lean", 0.17), plain("crowded", 0.1, n_parameters=N))) == ["lean"]
    crowded_and_bold = bold("bold", 0.1, n_parameters=N, doubt=0.1)
    assert names(fit(prior("prior", 0.4), crowded_and_bold)) == ["prior"]


@pytest.mark.parametrize(
    "member", [prior("prior", 0.1, n_parameters=N), jump(0.1, n_parameters=N)], ids=name_of
)
def test_many_parameters_do_no_harm_with_a_prior_or_where_points_were_not_known(member: Member):
    assert fit(member).scores[0][0].error == pytest.approx(0.1)


def test_errors_of_a_fit_that_swings_between_the_points_are_as_much_larger():
    swinging = prior("swinging", 0.1, swing=3)
    model = fit(swinging)
    assert model.scores[0][0].error == pytest.approx(0.3)
    assert feared(model) == pytest.approx(0.3)
    assert names(fit(swinging, prior("calm", 0.2))) == ["calm"]


@pytest.mark.parametrize("pole", [1e3, -1e3, math.inf, -math.inf, math.nan])
def test_one_pole_is_no_reason_to_drop_a_member_that_is_right_everywhere_else(pole: float):
    model = fit(prior("pole", pole, *(N - 1) * [0.01]), prior("dull", 0.5))
    assert names(model) == ["pole"]
    assert model.outcomes[0].winner.score.error == pytest.approx((10 + (N - 1) * 0.01) / N)


def test_errors_of_members_without_a_prior_are_half_as_dear_again():
    assert names(fit(plain("free", 0.1), prior("prior", 0.12)))[0] == "prior"
    assert names(fit(plain("free", 0.1), prior("prior", 0.18)))[0] == "free"


def test_bold_members_must_be_twice_as_good_and_do_not_predict_where_they_are_not():
    found_again = bold("bold", 0.1, doubt=0.1)
    assert names(fit(prior("prior", 0.18), found_again)) == ["prior"]
    assert names(fit(prior("prior", 0.22), found_again)) == ["bold", "prior"]


def test_the_residuals_of_a_doubtful_fit_are_as_large_as_the_doubt():
    assert feared(fit(prior("doubtful", 0.1, -0.2, doubt=0.6))) == pytest.approx(0.6)
    assert feared(fit(prior("sure", 0.1, -0.2, doubt=0.05))) == pytest.approx(0.15)


# When to stop


def test_a_solved_output_is_left_alone():
    assert names(fit(prior("first", 1e-10), prior("second", 0.0))) == ["first"]
    assert names(fit(prior("first", 1e-8), prior("second", 0.0))) == ["second"]


@pytest.mark.parametrize(
    ("effort", "good"), [("quick", 1e-2), ("standard", 1e-4), ("thorough", 1e-5)]
)
def test_bold_members_are_not_tried_where_errors_are_small_already(effort: Any, good: float):
    found_again = bold("bold", 0.0, doubt=1e-8)
    assert names(fit(prior("prior", good / 3), found_again, effort=effort)) == ["prior"]
    assert names(fit(prior("prior", 3 * good), found_again, effort=effort)) == ["bold"]


@dataclass(frozen=True)
class OfSize:
    """Claims one thing of small values, such as logarithms, and another of large ones."""

    small: Claim
    large: Claim

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> ClaimModel:
        recipe = self.small if float(data.y.abs().max()) < 10 else self.large
        return recipe.fit(data, generator=generator, start=start)


def test_the_second_best_draft_may_be_the_best_when_it_is_fitted_for_longer():
    draft = OfSize(small=Claim((0.11,)), large=Claim((0.1,)))
    final = OfSize(small=Claim((0.01,)), large=Claim((0.1,)))
    model = fit(Member("long", draft, final), transforms=("identity", "log"))
    assert model.outcomes[0].winner.score.transform == "log"
    assert model.outcomes[0].winner.score.error == pytest.approx(0.01, rel=0.05)


# Trials


@pytest.mark.parametrize(("gain", "committee"), [(1.25, ["prior"]), (2, ["bold"])])
def test_a_bold_member_must_win_its_trial_by_half_as_much_again(gain: float, committee: list[str]):
    model = fit(prior("prior", 0.3), bold("bold", 0.0, off=0.3 / gain))
    assert names(model) == committee


@pytest.mark.parametrize(("doubt", "committee"), [(1e-3, ["bold"]), (math.nan, ["prior"])])
def test_a_bold_member_that_was_found_again_needs_no_trial(doubt: float, committee: list[str]):
    assert names(fit(prior("prior", 0.3), bold("bold", 0.0, off=1, doubt=doubt))) == committee


@dataclass(frozen=True)
class FailsOnce:
    """Claims no error, and is right, but for one of the fits to a part of the data."""

    fails_at: int
    parts: list[int] = field(default_factory=list)

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> ClaimModel:
        off = 0.0
        if len(data) < N:
            off = 1.0 if len(self.parts) == self.fails_at else 0.0
            self.parts.append(len(data))
        return Claim(off=off).fit(data, generator=generator, start=start)


@pytest.mark.parametrize("fails_at", [0, 1])
def test_a_search_may_fail_once_but_does_not_succeed_by_chance(fails_at: int):
    model = fit(prior("prior", 0.3), Member("bold", FailsOnce(fails_at), is_bold=True))
    assert names(model) == ["bold"]


def test_of_bold_members_the_best_that_stands_its_trial_predicts():
    members = bold("failing", 5e-4, off=1), bold("second", 0.002), bold("best", 0.001)
    assert names(fit(prior("prior", 0.3), *members)) == ["best"]


@pytest.mark.parametrize(("off", "of_jump", "left"), [(0, 0.5, "rival"), (0.5, 0, "jump")])
@pytest.mark.parametrize("error", [0.015, 0.08, 0.12, 0.14])
def test_of_a_jump_and_those_about_as_good_one_stays_that_predicts_the_rest_better(
    off: float, of_jump: float, left: str, error: float
):
    assert names(fit(jump(0.1, off=of_jump), prior("rival", error, off=off))) == [left]


def test_who_is_far_worse_than_a_jump_is_not_tried_against_it():
    assert names(fit(jump(0.1, off=0.5), prior("rival", 0.17))) == ["jump"]


def test_who_is_far_better_than_a_jump_is_not_tried_against_it():
    assert names(fit(jump(0.1), prior("rival", 0.006, off=0.5))) == ["rival"]


# Noise


@pytest.mark.parametrize(
    ("noise", "committee"),
    [(0.03, ["teller", "free"]), (0.1, ["teller"]), (0.3, ["teller", "free"])],
)
def test_errors_are_noise_where_the_noise_that_is_told_is_about_as_large(
    noise: float, committee: list[str]
):
    assert names(fit(prior("teller", 0.1, -0.1, noise=noise), plain("free", 0.08))) == committee


def test_one_near_member_that_sees_noise_leaves_it_to_members_with_a_prior():
    sees, deaf = prior("sees", 0.1, noise=0.1), prior("deaf", 0.1, noise=0.01)
    assert names(fit(sees, deaf, plain("free", 0.08))) == ["sees", "deaf"]


@pytest.mark.parametrize(
    ("noise", "transforms"), [(0.1, ["identity"]), (math.nan, ["identity", "log"])]
)
def test_noise_is_left_to_members_that_fit_the_values_as_they_are(
    noise: float, transforms: list[str]
):
    model = fit(prior("prior", 0.1, noise=noise), transforms=("identity", "log"))
    assert sorted(c.transform.name for c in model.outcomes[0].committee) == transforms


@pytest.mark.parametrize(("noise", "winner"), [(0.03, "bold"), (0.1, "teller"), (0.3, "bold")])
def test_bold_members_are_not_tried_on_noise(noise: float, winner: str):
    model = fit(prior("teller", 0.1, noise=noise), bold("bold", 0.001, doubt=0.001))
    assert names(model)[0] == winner


@pytest.mark.parametrize(
    "other",
    [
        prior("too little", 0.1, noise=0.01),
        prior("too much", 0.1, noise=1.0),
        prior("too far off", 0.5, noise=0.1),
        plain("without a prior", 0.08, noise=0.1),
    ],
    ids=name_of,
)
def test_bold_members_are_tried_unless_all_that_tell_noise_see_it(other: Member):
    teller, found_again = prior("teller", 0.1, noise=0.1), bold("bold", 0.001, doubt=0.001)
    assert names(fit(teller, found_again)) == ["teller"]
    assert names(fit(teller, other, found_again)) == ["bold"]


# Who predicts


def test_the_committee_is_who_errs_less_than_a_third_more_than_the_best():
    members = (prior(f"{error}", error) for error in (0.14, 0.12, 0.1))
    assert names(fit(*members)) == ["0.1", "0.12"]


def test_the_committee_has_at_most_eight_members():
    model = fit(*(prior(f"member {k}", 0.1 + 0.001 * k) for k in range(10)))
    assert names(model) == [f"member {k}" for k in range(8)]


@pytest.mark.parametrize(
    "second",
    [plain("free", 0.2, 0.2, -0.2, -0.2), bold("bold", 0.149, 0.149, -0.149, -0.149, doubt=0.1)],
    ids=name_of,
)
def test_weights_take_errors_for_as_dear_as_the_choice_does(second: Member):
    """Errors that are not correlated, and equally dear: equal weights."""
    model = fit(prior("prior", 0.3, -0.3), second)
    assert sorted(names(model)) == sorted(["prior", second.name])
    assert weights(model) == pytest.approx([0.5, 0.5], abs=0.01)


def test_weights_of_errors_that_are_not_correlated_are_inverse_to_their_squares():
    model = fit(prior("good", 0.3, -0.3), prior("fair", 0.36, 0.36, -0.36, -0.36))
    assert weights(model) == pytest.approx([0.36**2 / 0.2196, 0.3**2 / 0.2196], abs=1e-6)


def test_weights_take_doubt_into_account():
    doubtful = prior("doubtful", 0.1, 0.1, -0.1, -0.1, doubt=0.3)
    model = fit(prior("sure", 0.3, -0.3), doubtful)
    assert weights(model) == pytest.approx([0.5, 0.5])
