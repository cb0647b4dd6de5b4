"""What every strategy can do, and what the families do for theirs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar, final

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from adaptsample import Box, Dataset, Model, Sampler, State, Strategy
from adaptsample.acquisition import (
    AllGradients,
    Candidates,
    CandidateStrategy,
    Dispersed,
    DropAll,
    DropLowest,
    FeatureStrategy,
    Inputs,
    PoolStrategy,
    Proposal,
    Rows,
    SearchStrategy,
    Selection,
    WorthIt,
)
from adaptsample.acquisition.strategy import _share_of_round
from adaptsample.core import derive_generator
from adaptsample.errors import UnsupportedModelError
from adaptsample.oracles import FunctionOracle
from adaptsample.registry import make_strategy
from adaptsample.surrogates import SupportsCommittee, SupportsStd
from adaptsample.testing.fakes import FormulaModel
from benchmarks.reliability.referee import Plane, PlaneModel
from tests.conftest import CountingFunction

M = TypeVar("M")
BOX = Box({"x": (0, 4), "y": (-1, 1)})


def _state(*, pool: Tensor | None = None, failed: Tensor | None = None) -> State[Any]:
    x = BOX.sobol(9, generator=derive_generator(0, "initial"))
    data = Dataset(x[:6], x[:6, :1])
    model = FormulaModel(BOX, data)
    return State(BOX, data, model, None, x[6:], round=1, pool=pool, failed=failed)


def _plan(strategy: Strategy[Any], state: State[Any], n: int) -> Proposal:
    return strategy.plan(state, n, generator=derive_generator(0, "propose"))


@final
@dataclass(frozen=True)
class Scripted(Strategy[Any]):
    """Answers with a proposal of the test, and says what it was asked."""

    answer: Callable[[State[Any], int], Proposal]

    def propose(self, state: State[Any], n: int, *, generator: Generator) -> Proposal:
        return self.answer(state, n)


@final
@dataclass(frozen=True)
class Wanted(PoolStrategy[Any]):
    """Wants points as far to the right as possible."""

    def score(self, x: Tensor, state: State[Any]) -> Tensor:
        return x[:, 0]


@final
@dataclass(frozen=True)
class Climb(SearchStrategy[Any]):
    """Climbs to the top of a cone, and keeps away from what is taken."""

    top: tuple[float, float] = (1.234, 0.567)

    def score(self, x: Tensor, state: State[Any]) -> Tensor:
        off = state.domain.to_unit(x) - state.domain.to_unit(torch.tensor([self.top]).double())
        return (2 - off.norm(dim=1)) * (state.distance(x) > 0.1)


def test_what_a_strategy_requires_is_what_it_is_generic_in() -> None:
    class Base(Strategy[M]):
        """Leaves it open."""

    class Generic(PoolStrategy[SupportsStd]):
        """Needs standard deviations."""

    class Derived(Generic):
        """Needs what its base needs."""

    class Climbing(SearchStrategy[SupportsCommittee]):
        """Needs members."""

    assert Strategy.requires is Model
    assert Base.requires is Model
    assert Wanted.requires is Model  # Any asks for nothing more
    assert FeatureStrategy.requires is Model
    assert Generic.requires is Derived.requires is SupportsStd
    assert Climbing.requires is SupportsCommittee


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("max_std", "std"),
        ("query_by_committee", "committee"),
        ("boundary", "committee"),
        ("rad", "held_out_residuals"),
        ("integrated_variance", "features"),
    ],
)
def test_a_model_that_lacks_what_is_required_is_refused_by_the_name_of_the_method(
    name: str, method: str
) -> None:
    state = replace(_state(), model=PlaneModel(torch.zeros(3, 1, dtype=torch.float64)))
    with pytest.raises(UnsupportedModelError, match=rf"{method}\(\).*PlaneModel"):
        _plan(make_strategy(name), state, 1)


def test_a_surrogate_that_lacks_what_is_required_is_refused_before_anything_is_paid(
    box: Box,
) -> None:
    function = CountingFunction()
    with pytest.raises(UnsupportedModelError, match=r"std\(\).*Plane"):
        Sampler(FunctionOracle(function, box), surrogate=Plane(), strategy="max_std").run(20)
    assert function.calls == []


def test_a_strategy_that_does_not_look_at_the_model_requires_nothing() -> None:
    @final
    @dataclass(frozen=True)
    class Blind(Strategy[SupportsStd]):
        uses_model: ClassVar[bool] = False

        def propose(self, state: State[Any], n: int, *, generator: Generator) -> Proposal:
            return Proposal(state.candidates(n, generator=generator))

    assert len(_plan(Blind(), replace(_state(), model=None), 2).add) == 2


def test_a_model_is_fitted_for_what_enters_leaves_or_is_bought() -> None:
    blind = make_strategy("random")
    assert not blind.looks_at_model
    assert not replace(blind, retirement=DropAll(), gradients=AllGradients()).looks_at_model
    assert replace(blind, retirement=DropLowest()).looks_at_model
    assert replace(blind, gradients=WorthIt()).looks_at_model
    assert make_strategy("topk").looks_at_model


@settings(deadline=None, derandomize=True)
@given(share=st.floats(0, 1), n=st.integers(1, 50), rounds=st.integers(1, 60))
def test_a_share_is_kept_over_all_rounds(share: float, n: int, rounds: int) -> None:
    counts = [_share_of_round(share, n, i) for i in range(rounds)]
    assert all(0 <= count <= n for count in counts)
    assert all(abs(count - share * n) < 1 + 1e-6 for count in counts)
    assert abs(sum(counts) - share * n * rounds) < 1 + 1e-6


def test_a_share_that_divides_is_exact() -> None:
    assert [_share_of_round(0.1, 1, i) for i in range(20)].count(1) == 2
    assert [_share_of_round(0.5, 5, i) for i in range(4)] == [2, 3, 2, 3]
    assert sum(_share_of_round(1 / 3, 1, i) for i in range(3000)) == 1000


def test_points_that_fill_the_space_are_pending_for_those_proposed() -> None:
    state, seen = _state(), []
    sequence = BOX.sobol(12, generator=derive_generator(0, "initial"))[9:]

    def answer(state: State[Any], n: int) -> Proposal:
        seen.append((state.pending, n))
        return Proposal(BOX.grid(2)[:n], gradient=torch.ones(n, dtype=torch.bool))

    proposal = _plan(Scripted(answer, filling=0.75), state, 4)
    assert torch.equal(proposal.add, torch.cat([BOX.grid(2)[:1], sequence]))
    assert proposal.gradient is not None
    assert proposal.gradient.tolist() == [True, False, False, False]
    assert torch.equal(seen[0][0], torch.cat([state.pending, sequence]))
    assert seen[0][1] == 1


def test_nothing_is_proposed_where_all_points_fill_the_space() -> None:
    def answer(state: State[Any], n: int) -> Proposal:
        raise AssertionError

    proposal = _plan(Scripted(answer, filling=1.0), _state(), 4)
    assert torch.equal(proposal.add, _state().sobol(4))


def test_a_strategy_may_retire_points_besides_its_rule() -> None:
    drop = torch.tensor([3, 5])
    strategy = Scripted(lambda state, n: Proposal(BOX.grid(2)[:n], drop=drop))
    rule = DropLowest(n=2)
    expected = {3, 5, *rule.retire(_state()).tolist()}
    assert set(_plan(replace(strategy, retirement=rule), _state(), 2).drop.tolist()) == expected
    assert _plan(strategy, _state(), 2).drop.tolist() == [3, 5]


def test_gradients_that_a_strategy_asks_for_itself_go_before_the_rule() -> None:
    own = torch.tensor([True, False])
    asks = Scripted(lambda state, n: Proposal(BOX.grid(2)[:n], gradient=own))
    leaves = Scripted(lambda state, n: Proposal(BOX.grid(2)[:n]))
    first = _plan(replace(asks, gradients=AllGradients()), _state(), 2).gradient
    second = _plan(replace(leaves, gradients=AllGradients()), _state(), 2).gradient
    assert first is not None
    assert second is not None
    assert first.tolist() == [True, False]
    assert second.tolist() == [True, True]
    assert _plan(leaves, _state(), 2).gradient is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Wanted(filling=-0.1),
        lambda: Wanted(filling=1.1),
        lambda: Wanted(filling=float("nan")),
        lambda: Wanted(n_candidates=0),
        lambda: Climb(n_candidates=0),
        lambda: Climb(n_steps=-1),
        lambda: Climb(filling=2.0),
    ],
)
def test_wrong_options_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()


def test_a_pool_strategy_takes_what_its_selection_likes_among_candidates() -> None:
    state = _state()
    x = state.candidates(50, generator=derive_generator(0, "propose"))
    best = x[x[:, 0].topk(3).indices]
    assert torch.equal(_plan(Wanted(n_candidates=50), state, 3).add, best)


def test_a_selection_knows_in_the_unit_cube_what_is_taken() -> None:
    seen: list[Candidates] = []

    class Look(Selection):
        def select(
            self, score: Tensor, n: int, *, candidates: Candidates, generator: Generator
        ) -> Tensor:
            seen.append(candidates)
            return torch.arange(n)

    state = _state(failed=BOX.grid(2)[:2])
    x = _plan(Wanted(selection=Look()), state, 2).add
    assert torch.equal(seen[0].taken, BOX.to_unit(state.taken))
    assert torch.equal(seen[0].x[:2], BOX.to_unit(x))


def test_candidates_where_evaluations_failed_are_fewer() -> None:
    seen: list[Rows] = []

    @final
    @dataclass(frozen=True)
    class Look(CandidateStrategy[Any]):
        def choose(self, x: Tensor, state: State[Any], n: int, *, generator: Generator) -> Tensor:
            seen.append(x)
            return torch.arange(n)

    anywhere = BOX.uniform(200, generator=derive_generator(0, "anywhere"))
    for failed in (anywhere[anywhere[:, 0] > 2], None):
        _plan(Look(n_candidates=1200), _state(failed=failed), 1)
    right, rightly = (int((x[:, 0] > 2.2).sum()) for x in seen)
    assert right < 0.25 * rightly  # a sixth of them, of which no neighbour succeeded
    assert len(seen[1]) == 1200
    assert len(_plan(Look(n_candidates=5), _state(failed=anywhere), 5).add) == 5


def test_a_search_climbs_to_the_top_and_then_keeps_away_from_it() -> None:
    x = BOX.to_unit(_plan(Climb(n_candidates=50), _state(), 3).add)
    top = BOX.to_unit(torch.tensor([Climb().top], dtype=torch.float64))
    off = (x - top).norm(dim=1)
    assert float(off[0]) < 1e-3
    assert off[1:].tolist() == pytest.approx([0.1, 0.1], abs=5e-3)  # nearer is worth nothing
    assert float(torch.pdist(x).min()) > 0.1


def test_a_search_without_steps_takes_the_best_candidate() -> None:
    state, climb = _state(), Climb(n_candidates=50, n_steps=0)
    x = state.candidates(50, generator=derive_generator(0, "propose"))
    best = x[climb.score(x, state).argmax()]
    assert torch.equal(_plan(climb, state, 1).add[0], best)


def test_a_search_never_leaves_the_box() -> None:
    x = _plan(Climb(top=(0.0, 1.0)), _state(), 1).add
    assert bool(BOX.contains(x).all())
    assert torch.allclose(BOX.to_unit(x), torch.tensor([[0.0, 1.0]]).double(), atol=1e-3)


def test_a_search_in_a_finite_pool_ranks_its_rows() -> None:
    pool = BOX.grid(9)
    score = Climb().score(pool, _state())
    x = _plan(Climb(), _state(pool=pool), 2).add
    assert torch.equal(x[0], pool[score.argmax()])
    assert len(torch.unique(_plan(Climb(), _state(pool=pool), 81).add, dim=0)) == 81


def test_a_search_counts_for_less_where_evaluations_failed() -> None:
    top = torch.tensor([Climb().top], dtype=torch.float64)
    near = torch.randn(20, 2, dtype=torch.float64, generator=derive_generator(0, "near"))
    x = _plan(Climb(), _state(failed=top + 0.02 * near), 1).add
    assert float((BOX.to_unit(x) - BOX.to_unit(top)).norm()) > 0.05


def test_features_are_scaled_so_that_points_that_are_taken_have_a_mean_square_of_one() -> None:
    seen: list[Rows] = []

    @final
    @dataclass(frozen=True)
    class Look(FeatureStrategy[Any]):
        def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Tensor:
            seen.append(rows)
            return torch.arange(n)

    state = _state(failed=BOX.grid(2)[:2])
    _plan(Look(features=Inputs(), n_candidates=30), state, 2)
    (rows,) = seen
    new, known = rows.new, rows.known
    assert known.shape == (6 + 3 + 2, 2)
    assert new.shape[1] == 2
    unit = BOX.to_unit(state.taken)
    assert torch.allclose(known, unit / unit.square().sum(dim=1).mean().sqrt())


def test_a_family_decides_how_and_its_members_only_what() -> None:
    for family, methods in (
        (Strategy, ["plan"]),
        (CandidateStrategy, ["propose"]),
        (PoolStrategy, ["choose"]),
        (FeatureStrategy, ["choose"]),
        (SearchStrategy, ["propose"]),
    ):
        assert all(vars(family)[method].__final__ for method in methods)


def test_selection_is_a_choice_that_every_pool_strategy_has() -> None:
    state = _state()
    crowded, apart = (
        _plan(Wanted(selection=selection), state, 5).add
        for selection in (Wanted().selection, Dispersed())
    )
    assert float(torch.pdist(apart).min()) > float(torch.pdist(crowded).min())
