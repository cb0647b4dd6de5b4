"""The contract of strategies catches each promise that is broken, and names it."""

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, ClassVar, final
from unittest import SkipTest

import pytest
import torch
from torch import Generator, Tensor

from adaptsample import State, Strategy
from adaptsample.acquisition import (
    CandidateStrategy,
    DropAll,
    FeatureStrategy,
    KeepAll,
    Proposal,
    Rows,
)
from adaptsample.testing import StrategyContract

_MOODS = count()


@final
@dataclass(frozen=True)
class Broken(Strategy[Any]):
    """Breaks one clause of the contract at a time."""

    how: str = ""

    def propose(self, state: State[Any], n: int, *, generator: Generator) -> Proposal:
        x = state.domain.uniform(n, generator=generator)
        return {
            "is sound": lambda: Proposal(x),
            "outside": lambda: Proposal(x + 100),
            "repeats": lambda: Proposal(x[:1].expand(n, -1)),
            "too few": lambda: Proposal(x[1:]),
            "taken": lambda: Proposal(torch.cat([state.data.x[:1], x[1:]])),
            "awaited": lambda: Proposal(torch.cat([state.pending[:1], x[1:]])),
            "failed": lambda: Proposal(torch.cat([state.taken[-1:], x[1:]])),
            "not a number": lambda: Proposal(x * torch.nan),
            "drops what is not there": lambda: Proposal(x, drop=torch.tensor([len(state.data)])),
            "gradients of others": lambda: Proposal(x, gradient=torch.ones(n + 1).bool()),
            "moody": lambda: Proposal(_nudged(x, 1e-3 * next(_MOODS), state)),
            "drops at random": lambda: Proposal(x, drop=torch.tensor([next(_MOODS) % 12])),
            "wants a previous model": lambda: Proposal(x + 0 * state.previous.predict(x)),
            "wants two points": lambda: Proposal(x + 0 * state.data.x[1]),
            "absolute heights": lambda: Proposal(_nudged(x, float(state.spread.sum()), state)),
            "absolute steps": lambda: Proposal(
                (state.data.x[:n] + 0.1).clamp(state.domain.lower, state.domain.upper)
            ),
            "the first is special": lambda: Proposal((x + state.data.x[0]) / 2),
            "the first awaited is special": lambda: Proposal((x + state.pending[0]) / 2),
            "wants doubts": lambda: Proposal(x / bool(state.model.std(x).sum())),
            "wants change": lambda: Proposal(x * _share_of_change(x, state)),
            "leaves one": lambda: Proposal(x if state.pool is None else state.pool[1:][:n]),
            "fills the space": lambda: Proposal(state.sobol(n)),
            "minds the rule": lambda: Proposal(
                x if self.retirement == KeepAll() else _nudged(x, 0.1, state)
            ),
            "forgets": lambda: Proposal(replace(state, retired=None).sobol(n)),
        }[self.how]()


def _nudged(x: Tensor, step: float, state: State[Any]) -> Tensor:
    return state.domain.from_unit((state.domain.to_unit(x) + step) % 1)


def _share_of_change(x: Tensor, state: State[Any]) -> Tensor:
    change = (state.model.predict(x) - state.previous.predict(x)).abs().sum()
    return change / change


@final
@dataclass(frozen=True)
class Blind(Strategy[Any]):
    """Says that it does not look at the model, and does."""

    uses_model: ClassVar[bool] = False

    def propose(self, state: State[Any], n: int, *, generator: Generator) -> Proposal:
        x = state.domain.uniform(n, generator=generator)
        return Proposal(x if state.model.predict(x).sum() != 0 else -x)


@final
@dataclass(frozen=True)
class BrokenChoice(CandidateStrategy[Any]):
    """Breaks a clause about candidates."""

    how: str = ""

    def choose(self, x: Tensor, state: State[Any], n: int, *, generator: Generator) -> Tensor:
        return {
            "repeats": lambda: torch.zeros(n, dtype=torch.int64),
            "crowds": lambda: (x - x[0]).norm(dim=1).topk(n, largest=False).indices,
            "no more than candidates": lambda: torch.arange(min(n, self.n_candidates)),
        }[self.how]()


@final
@dataclass(frozen=True)
class BrokenFeatures(FeatureStrategy[Any]):
    """Takes it for granted that features have a length."""

    how: str = "divides by each"

    def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Tensor:
        by_each = self.how == "divides by each"
        length = rows.new.norm(dim=1)[:, None] if by_each else rows.known.norm()
        return torch.multinomial((rows.new / length).norm(dim=1), n)


PROPOSALS = "test_proposals_are_new_points_of_the_domain_and_the_same_for_the_same_seed"
ANY = (PROPOSALS, {"setting": "2 variables", "n": 4})
IN_A_POOL = (PROPOSALS, {"setting": "finite pool", "n": 16})
NO_KNOWLEDGE = ("test_a_model_that_knows_nothing_is_survived", {"blank": "2 outputs"})
SMALL_POOL = ("test_what_is_left_of_a_pool_is_all_there_is", {"n_pool": 7})
RETIRING = ("test_new_points_come_in_while_others_are_retired", {"rule": DropAll()})

BREACHES: list[tuple[Strategy[Any], str, dict[str, Any]]] = [
    (Broken(how="outside"), *ANY),
    (Broken(how="repeats"), *ANY),
    (Broken(how="too few"), *ANY),
    (Broken(how="taken"), *ANY),
    (Broken(how="awaited"), *ANY),
    (Broken(how="failed"), *ANY),
    (Broken(how="not a number"), *ANY),
    (Broken(how="drops what is not there"), *ANY),
    (Broken(how="gradients of others"), *ANY),
    (Broken(how="moody"), *ANY),
    (Broken(how="drops at random"), *ANY),
    (BrokenChoice(how="repeats"), *ANY),
    (BrokenChoice(how="repeats"), *IN_A_POOL),
    (
        Broken(how="wants a previous model"),
        "test_proposals_are_made_before_there_is_a_previous_model",
        {},
    ),
    (Broken(how="wants two points"), "test_one_point_is_enough_to_go_on_from", {}),
    (Broken(how="absolute heights"), "test_units_of_the_output_do_not_matter", {}),
    (Broken(how="absolute heights"), "test_each_output_has_a_unit_of_its_own", {}),
    (Broken(how="absolute steps"), "test_units_of_the_inputs_do_not_matter", {}),
    (Broken(how="the first is special"), "test_the_order_of_what_is_known_does_not_matter", {}),
    (
        Broken(how="the first awaited is special"),
        "test_the_order_of_what_is_known_does_not_matter",
        {},
    ),
    (BrokenChoice(how="crowds"), "test_points_that_are_awaited_are_kept_away_from", {}),
    (BrokenChoice(how="crowds", n_candidates=20_000), "test_a_batch_does_not_crowd", {}),
    (BrokenChoice(how="crowds"), "test_a_batch_is_chosen_one_after_another", {}),
    (Broken(how="wants doubts"), *NO_KNOWLEDGE),
    (Broken(how="wants change"), *NO_KNOWLEDGE),
    (BrokenFeatures(), "test_features_that_are_not_numbers_are_survived", {}),
    (
        BrokenFeatures(how="divides by what is known"),
        "test_points_in_which_nothing_is_seen_are_survived",
        {},
    ),
    (
        BrokenChoice(how="no more than candidates"),
        "test_more_points_than_candidates_may_be_asked",
        {},
    ),
    (Broken(how="leaves one"), *SMALL_POOL),
    (Blind(), "test_no_model_is_needed_by_those_that_do_not_look_at_it", {}),
    (Broken(how="fills the space"), "test_a_share_of_the_points_fills_the_space_exactly", {}),
    (Broken(how="minds the rule"), "test_points_are_retired_by_any_rule_whatever_is_added", {}),
    (Broken(how="forgets"), *RETIRING),
]


def _hold(strategy: Strategy[Any], promise: str, case: dict[str, Any]) -> None:
    contract = StrategyContract()
    contract.recipe = strategy
    getattr(contract, promise)(**case)


@pytest.mark.parametrize(("broken", "promise", "case"), BREACHES)
def test_the_contract_catches_a_broken_strategy(
    broken: Strategy[Any], promise: str, case: dict[str, Any]
) -> None:
    with pytest.raises(
        (AssertionError, AttributeError, IndexError, RuntimeError, ZeroDivisionError)
    ) as caught:
        _hold(broken, promise, case)
    assert str(caught.value)  # also without pytest's own view of an assertion


def test_the_contract_lets_a_sound_strategy_pass() -> None:
    for _, promise, case in BREACHES:
        with suppress(SkipTest):  # promises about candidates and features
            _hold(Broken(how="is sound"), promise, case)
