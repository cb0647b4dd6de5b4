"""What a search leaves out, by its effort, and that it is the same on any number of cores."""

import json
from dataclasses import dataclass, field
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


def fit(*members: Member, effort: Any = "standard", start: Any = None) -> AutoModel:
    recipe = Auto(members=members, transforms=("identity",), effort=effort)
    return recipe.fit(LINE, generator=derive_generator(0, "fit"), start=start)


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


def test_what_was_left_out_is_told_with_the_reason():
    told = fit(FIRST, rungs(0.5, [])).choice["left_out"][0]
    assert told == [
        {
            "name": "rungs",
            "transform": "identity",
            "reason": "no longer fit: its error is 5.0 times the best",
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
