"""What a search leaves out, by its effort, and that it is the same on any number of cores."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Generator

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator
from adaptsample.surrogates.auto import EFFORTS, Auto, AutoModel, Member
from tests.surrogates.fakes import Claim, ClaimModel

X = torch.linspace(0, 1, 40, dtype=torch.float64)[:, None]
LINE = Dataset(X, 100 + X)


@dataclass(frozen=True)
class Counted:
    """A recipe that claims an error and notes when it is fitted."""

    name: str
    error: float
    fits: list[str] = field(default_factory=list)

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> ClaimModel:
        self.fits.append(self.name)
        return Claim((self.error,)).fit(data, generator=generator, start=start)


def fit(
    *members: Member,
    effort: Any = "standard",
    start: Any = None,
    data: Dataset = LINE,
    transforms: Any = ("identity",),
) -> AutoModel:
    recipe = Auto(members=members, transforms=transforms, effort=effort)
    return recipe.fit(data, generator=derive_generator(0, "fit"), start=start)


def of(n: int) -> Dataset:
    return Dataset(LINE.x[:n], LINE.y[:n])


def rungs(error: float, fits: list[str]) -> Member:
    """Return a member with drafts and a longer fit, of the same error."""
    quick, draft, final = (Counted(name, error, fits) for name in ("quick", "draft", "final"))
    return Member("rungs", draft, final, quick=quick, has_prior=True)


FIRST = Member("first", Claim((0.1,)), has_prior=True)


@pytest.mark.parametrize(
    ("effort", "error", "expected"),
    [
        ("standard", 0.29, ["quick", "final"]),
        ("standard", 0.31, ["quick"]),
        ("quick", 0.19, ["quick", "final"]),
        ("quick", 0.21, ["quick"]),
        ("thorough", 5.0, ["draft", "final"]),
    ],
)
def test_a_member_far_behind_is_drafted_only(effort: Any, error: float, expected: list[str]):
    fits: list[str] = []
    model = fit(FIRST, rungs(error, fits), effort=effort)
    assert fits == expected
    assert [one.name for one in model.outcomes[0].left_out] == ["rungs"] * (expected == ["quick"])


MANY = Dataset(
    torch.linspace(0, 1, 50, dtype=torch.float64)[:, None],
    torch.linspace(100, 101, 50, dtype=torch.float64)[:, None],
)


@pytest.mark.parametrize(
    ("n", "effort", "expected"),
    [
        (49, "standard", ["quick"]),
        (50, "standard", ["quick", "final"]),
        (50, "quick", ["quick"]),
    ],
)
def test_where_points_are_many_nothing_is_far_behind(n: int, effort: Any, expected: list[str]):
    fits: list[str] = []
    data = Dataset(MANY.x[:n], MANY.y[:n])
    fit(FIRST, rungs(5.0, fits), data=data, effort=effort)
    assert fits == expected


def test_between_two_searches_many_points_are_no_reason_to_fit_what_is_far_behind():
    fits: list[str] = []
    fewer = Dataset(MANY.x[:49], MANY.y[:49])
    members = replace(FIRST, is_cheap=True), replace(rungs(5.0, fits), is_cheap=True)
    fit(*members, data=MANY, start=fit(*members, data=fewer))
    assert fits == ["quick", "quick"]


@pytest.mark.parametrize(("n", "expected"), [(49, []), (50, ["bold"])])
def test_where_points_are_many_no_sign_is_asked_for(n: int, expected: list[str]):
    fits: list[str] = []
    sign = Member("sign", Claim((5.0,)), is_cheap=True)
    bold = Member("bold", Counted("bold", 9.0, fits), signs=("sign",), is_bold=True, is_dear=True)
    fit(FIRST, sign, bold, data=Dataset(MANY.x[:n], MANY.y[:n]))
    assert fits == expected


def test_signs_compare_with_what_costs_no_more_than_they_do():
    fits: list[str] = []
    sign = Member("sign", Claim((0.15,)), is_cheap=True, has_prior=True)
    ahead = Member("ahead", Claim((0.001,)), is_dear=True, has_prior=True)
    bold = Member("bold", Counted("bold", 9.0, fits), signs=("sign",), is_bold=True)
    fit(FIRST, sign, ahead, bold)
    assert fits == ["bold"]


def test_several_creases_are_looked_for_after_smooth_networks_which_tell_noise_from_creases():
    fits: list[str] = []
    noisy = Member("noisy", Claim((0.1, -0.1), noise=0.1), has_prior=True, is_cheap=True)
    network = Member("network", Counted("network", 0.01, fits), has_prior=True, is_dear=True)
    bold = Member("bold", Counted("bold", 0.001, fits), is_bold=True)
    fit(noisy, bold, network)
    assert fits[:2] == ["network", "bold"]


def test_a_bold_draft_near_what_costs_no_more_is_made_at_length_before_it_is_continued():
    fits: list[str] = []
    ahead = Member("ahead", Claim((0.001,)), is_dear=True, has_prior=True)
    fit(FIRST, ahead, replace(rungs(0.1, fits), is_bold=True))
    assert fits[:3] == ["quick", "draft", "final"]


def test_a_bold_draft_that_is_at_length_already_is_not_made_again():
    fits: list[str] = []
    fit(FIRST, replace(rungs(0.1, fits), quick=None, is_bold=True))
    assert fits[:2] == ["draft", "final"]


def test_a_bold_member_that_is_solved_at_length_is_not_continued():
    fits: list[str] = []
    member = replace(rungs(0.1, fits), draft=Counted("draft", 0.0, fits), is_bold=True)
    fit(FIRST, member)
    assert fits[:2] == ["quick", "draft"]
    assert "final" not in fits[:3]


def test_signs_that_cost_much_themselves_are_compared_with_one_another():
    fits: list[str] = []
    sign = Member("sign", Claim((0.1,)), is_dear=True, has_prior=True)
    bold = Member("bold", Counted("bold", 9.0, fits), signs=("sign",), is_bold=True)
    fit(sign, bold)
    assert fits == ["bold"]


@pytest.mark.parametrize(("final", "n_scores"), [(0.02, 1), (0.5, 2)])
def test_a_network_that_got_worse_does_not_take_the_place_of_its_draft(final: float, n_scores: int):
    member = Member(
        "network", Claim((0.01,)), Claim((final,)), is_dear=True, has_prior=True, n_transforms=None
    )
    scores = fit(FIRST, member, data=MANY).scores[0]
    assert len([score for score in scores if score.name == "network"]) == n_scores


@dataclass(frozen=True)
class Aiming(Counted):
    """A recipe that notes how near the best it is asked to come."""

    def towards(self, goal: float) -> "Aiming":
        self.fits.append(f"goal {goal:.2f}")
        return self


@pytest.mark.parametrize(("n", "expected"), [(49, ["goal 0.65", "final"]), (50, ["final"])])
def test_where_points_are_many_no_longer_fit_gives_up(n: int, expected: list[str]):
    fits: list[str] = []
    member = Member("aiming", Claim((0.2,)), Aiming("final", 0.2, fits), has_prior=True)
    fit(FIRST, member, data=Dataset(MANY.x[:n], MANY.y[:n]))
    assert fits == expected


def test_what_was_left_out_is_told_with_the_reason():
    told = fit(FIRST, rungs(0.5, [])).choice["left_out"][0]
    assert told == [
        {
            "name": "rungs",
            "transform": "identity",
            "reason": "no longer fit: its error is 5.0 times the best that costs no more",
        }
    ]
    json.dumps(told)


@pytest.mark.parametrize("effort", EFFORTS)
def test_members_that_need_more_effort_are_left_out(effort: Any):
    levels = [Member(f"level {level}", Claim((0.1,)), level=level) for level in range(3)]
    model = fit(*levels, effort=effort)
    n = 1 + EFFORTS.index(effort)
    assert [score.name for score in model.scores[0]] == [f"level {k}" for k in range(n)]
    assert [one.name for one in model.outcomes[0].left_out] == [f"level {k}" for k in range(n, 3)]


@pytest.mark.parametrize(
    ("error", "is_dear", "is_tried"),
    [(0.29, False, True), (0.31, False, False), (0.19, True, True), (0.21, True, False)],
)
def test_a_member_whose_signs_are_far_behind_is_not_tried(
    error: float, is_dear: bool, is_tried: bool
):
    signs = [Member(name, Claim((e,)), has_prior=True) for name, e in (("a", error), ("b", 0.5))]
    two = Member("two", Claim((0.1,)), signs=("a", "b"), has_prior=True, is_dear=is_dear)
    names = [score.name for score in fit(FIRST, *signs, two).scores[0]]
    assert ("two" in names) == is_tried
    thorough = fit(FIRST, *signs, two, effort="thorough")
    assert "two" in [score.name for score in thorough.scores[0]]


def test_a_dear_member_is_not_tried_where_others_are_good():
    dear = Member("dear", Claim((0.0,)), has_prior=True, is_dear=True)
    good = Member("good", Claim((3e-5,)), has_prior=True)
    assert [score.name for score in fit(good, dear).scores[0]] == ["good"]
    assert len(fit(good, dear, effort="thorough").scores[0]) == 2


@dataclass(frozen=True)
class Refits:
    """A recipe whose leave-one-out error costs nothing, and whose held-out error costs refits."""

    hoped: float
    asked: list[str] = field(default_factory=list)

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> "RefitsModel":
        del generator, start
        return RefitsModel(data, self)


@dataclass(frozen=True)
class RefitsModel:
    data: Dataset
    recipe: Refits
    n_parameters: tuple[int, ...] = (1,)

    @property
    def loo_residuals(self) -> torch.Tensor:
        return self.recipe.hoped * self.data.y.std(dim=0).expand(len(self.data), -1)

    def held_out_residuals(self, *, generator: Generator) -> torch.Tensor:
        del generator
        self.recipe.asked.append("refits")
        return 1.5 * self.loo_residuals

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.parametrize(
    ("effort", "hoped", "n_asked"),
    [("standard", 0.14, 1), ("standard", 0.16, 0), ("thorough", 9, 1)],
)
def test_refits_are_spared_where_not_even_what_is_hoped_is_near(
    effort: Any, hoped: float, n_asked: int
):
    recipe = Refits(hoped)
    fit(FIRST, Member("refits", recipe, has_prior=True), effort=effort)
    assert len(recipe.asked) == n_asked


@pytest.mark.parametrize(
    ("effort", "hoped", "expected"),
    [
        ("standard", 0.099, ["scout", "quick"]),
        ("standard", 0.101, ["scout"]),
        ("thorough", 9.0, ["draft"]),
    ],
)
def test_what_a_scout_finds_behind_is_not_drafted(effort: Any, hoped: float, expected: list[str]):
    fits: list[str] = []
    quick, draft = Counted("quick", 0.2, fits), Counted("draft", 0.2, fits)
    scouted = Member("it", draft, quick=quick, scout=Counted("scout", hoped, fits), has_prior=True)
    model = fit(FIRST, scouted, effort=effort)
    assert fits == expected
    names = [score.name for score in model.scores[0]]
    assert names == (["first", "it"] if len(expected) + (effort != "standard") == 2 else ["first"])
    assert len(model.outcomes[0].left_out) == (expected == ["scout"])


@pytest.mark.parametrize(("error", "errors"), [(0.029, [0.029]), (0.031, [0.01, 0.031])])
def test_a_dear_member_trained_to_the_end_takes_the_place_of_its_draft(
    error: float, errors: list[float]
):
    dear = Member("dear", Claim((0.01,)), Claim((error,)), has_prior=True, is_dear=True)
    scores = [score for score in fit(FIRST, dear).scores[0] if score.name == "dear"]
    assert [score.error for score in scores] == pytest.approx(errors)


@pytest.mark.parametrize(("error", "n_fits"), [(0.019, 2), (0.021, 1)])
def test_a_dear_member_is_trained_to_the_end_where_it_is_far_ahead(error: float, n_fits: int):
    fits: list[str] = []
    draft, final = Counted("draft", error, fits), Counted("final", error, fits)
    fit(FIRST, Member("dear", draft, final, has_prior=True, is_dear=True))
    assert len(fits) == n_fits


# between two searches


@dataclass(frozen=True)
class Changing:
    """A recipe that claims one error for up to 30 points, and another for more."""

    few: float
    many: float
    fits: list[int] = field(default_factory=list)

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> ClaimModel:
        self.fits.append(len(data))
        error = self.few if len(data) <= 30 else self.many
        return Claim((error,)).fit(data, generator=generator, start=start)


@pytest.mark.parametrize(
    ("n_before", "effort", "expected"),
    [(30, "standard", "glance"), (20, "standard", "quick"), (30, "thorough", "draft")],
)
def test_cheap_members_take_a_glance_until_there_are_twice_the_points(
    n_before: int, effort: Any, expected: str
):
    fits: list[str] = []
    quick, draft, glance = (Counted(name, 0.2, fits) for name in ("quick", "draft", "glance"))
    cheap = Member("it", draft, quick=quick, glance=glance, is_cheap=True, has_prior=True)
    before = fit(FIRST, cheap, effort=effort, data=of(n_before))
    fits.clear()
    fit(FIRST, cheap, effort=effort, start=before)
    assert fits[0] == expected


def test_no_glance_is_taken_in_more_than_three_variables():
    fits: list[str] = []
    quick, glance = Counted("quick", 0.2, fits), Counted("glance", 0.2, fits)
    cheap = Member("it", quick, glance=glance, is_cheap=True, has_prior=True)
    first = Member("first", Claim((0.1,)), is_cheap=True, has_prior=True)
    x = torch.rand(40, 4, dtype=torch.float64, generator=derive_generator(0, "points"))
    data, half = Dataset(x, x[:, :1]), Dataset(x[:30], x[:30, :1])
    fit(first, cheap, data=data, start=fit(first, cheap, data=half))
    assert fits == ["quick"]


@pytest.mark.parametrize(("error", "n_finals"), [(0.129, 2), (0.131, 1)])
def test_between_two_searches_only_what_is_near_is_fitted_for_longer(error: float, n_finals: int):
    fits: list[str] = []
    quick, final = Counted("quick", error, fits), Counted("final", error, fits)
    cheap = Member("it", quick, final, is_cheap=True, has_prior=True)
    first = Member("first", Claim((0.1,)), is_cheap=True, has_prior=True)
    fit(first, cheap, start=fit(first, cheap, data=of(30)))
    assert fits.count("final") == n_finals


@pytest.mark.parametrize(
    ("error", "n_before", "is_tried"),
    [(0.19, 30, True), (0.21, 30, False), (0.21, 20, True)],
)
def test_after_a_surprise_members_that_were_far_behind_wait_for_twice_the_points(
    error: float, n_before: int, is_tried: bool
):
    best = Member("best", Changing(0.1, 0.4), is_cheap=True, has_prior=True)
    behind = Member("behind", Changing(error, 0.2), has_prior=True)
    before = fit(best, behind, data=of(n_before))
    after = fit(best, behind, start=before)
    assert ("behind" in [score.name for score in after.scores[0]]) == is_tried
    told = [one.reason for one in after.outcomes[0].left_out]
    assert told == ([] if is_tried else ["it was far behind at the last search"])


def test_what_was_far_behind_comes_back_with_twice_the_points_of_the_last_whole_search():
    best = Member("best", Changing(0.1, 0.4), is_cheap=True, has_prior=True)
    behind = Member("behind", Changing(0.3, 0.2), has_prior=True)
    surprised = fit(best, behind, data=of(35), start=fit(best, behind, data=of(20)))
    assert surprised.outcomes[0].n_searched == 20
    whole = fit(best, behind, start=surprised)
    assert whole.outcomes[0].n_searched == 40
    assert whole.outcomes[0].winner.member.name == "behind"


@dataclass(frozen=True)
class PerTransform:
    """A recipe that claims one error for values as they are, and another for their logarithms."""

    identity: float
    log: float

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> ClaimModel:
        error = self.identity if float(data.y.mean()) > 10 else self.log
        return Claim((error,)).fit(data, generator=generator, start=start)


@pytest.mark.parametrize(
    ("log", "dimension", "n_tried"), [(0.19, 4, 2), (0.21, 4, 1), (0.21, 3, 2)]
)
def test_in_many_variables_transforms_far_behind_wait_for_twice_the_points(
    log: float, dimension: int, n_tried: int
):
    x = torch.rand(40, dimension, dtype=torch.float64, generator=derive_generator(0, "points"))
    member = Member("it", PerTransform(0.1, log), is_cheap=True, has_prior=True)

    def tried(n: int, start: Any = None) -> AutoModel:
        data = Dataset(x[:n], 100 + x[:n, :1])
        return fit(member, transforms=("identity", "log"), data=data, start=start)

    assert len(tried(30).scores[0]) == 2
    assert len(tried(40, tried(30)).scores[0]) == n_tried
    assert len(tried(40, tried(20)).scores[0]) == 2


def test_what_is_solved_is_not_searched_again_however_many_points_there_are():
    solved = Member("solved", Claim((0.0,)), is_cheap=True, has_prior=True)
    other = Member("other", Claim((0.1,)), is_cheap=True, has_prior=True)
    before = fit(other, solved, data=of(10))
    after = fit(other, solved, start=before)
    assert after.outcomes[0].n_searched == 10


def test_members_beside_one_another_know_only_what_was_before():
    """The second would not be looked at again if it knew that the first had solved it."""
    solved = Member("solved", Claim((0.0,)), has_prior=True)
    beside = Member("beside", Claim((0.1,)), has_prior=True, is_beside=True)
    assert len(fit(solved, beside).scores[0]) == 2
    after = Member("after", Claim((0.1,)), has_prior=True)
    assert len(fit(solved, after).scores[0]) == 1


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_portfolio_of_which_an_effort_leaves_nothing_is_refused(effort: Any):
    members = (Member("dear", Claim((0.1,)), level=1), Member("bold", Claim((0.1,)), is_bold=True))
    if effort == "quick":
        with pytest.raises(ValueError, match="no more than the effort 'quick'"):
            Auto(members=members, effort=effort)
    else:
        assert Auto(members=members, effort=effort).members == members


def test_an_unknown_effort_is_refused():
    with pytest.raises(ValueError, match=r"effort must be one of .*got 'lazy'"):
        Auto(effort="lazy")  # type: ignore[arg-type]


def test_where_the_best_transform_is_legal_no_more_the_others_are_not_far_behind():
    """In many variables the logarithm was far ahead; then a value is negative."""
    x = torch.rand(40, 4, dtype=torch.float64, generator=derive_generator(0, "points"))
    member = Member("it", PerTransform(0.3, 0.1), is_cheap=True, has_prior=True)
    y = 100 + x[:, :1]
    y[-1] = -1
    both = ("identity", "log")
    before = fit(member, transforms=both, data=Dataset(x[:30], y[:30]))
    after = fit(member, transforms=both, data=Dataset(x, y), start=before)
    assert [score.transform for score in after.scores[0]] == ["identity"]
