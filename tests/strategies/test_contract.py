"""A contract that every registered strategy keeps; a new file in strategies/ is tested unasked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, ClassVar, final

import pytest
import torch
from torch import Generator, Tensor

from adaptsample import Box, Dataset, State, Strategy
from adaptsample.acquisition import (
    Bounded,
    CandidateStrategy,
    Dispersed,
    DropAll,
    DropLowest,
    FeatureStrategy,
    Inputs,
    KeepAll,
    PoolStrategy,
    Proposal,
    Retirement,
    Rows,
    SearchStrategy,
)
from adaptsample.core import derive_generator
from adaptsample.core.pool import is_among, nearest_rows
from adaptsample.registry import make_strategy, strategies
from tests.fakes import FormulaModel

# The same classes with less work than their defaults; whatever is not here is tested as it is.
QUICK = {
    "botorch_variance": "botorch_variance(n_candidates=16, n_target=8)",
    "boundary": "boundary(n_candidates=100, n_steps=3)",
    "disagreement": "disagreement(n_candidates=100, n_steps=3)",
}

SETTINGS: dict[str, dict[str, Any]] = {
    "1 variable": {"d": 1},
    "2 variables": {"d": 2},
    "6 variables": {"d": 6},
    "2 outputs": {"d": 2, "k": 2},
    "finite pool": {"d": 2, "n_pool": 40},
}

RULES: tuple[Retirement, ...] = (
    KeepAll(),
    DropAll(),
    DropLowest("residual", n=2),
    DropLowest("change"),
    Bounded(7),
    Bounded(5, "change"),
)

# They sum the absolute changes of all outputs, in the units of the data.
ABSOLUTE = ("diverse_topk", "gradient", "softmax", "swap", "topk")


def _box(d: int, units: tuple[float, ...] = ()) -> Box:
    units = units or (1.0,) * d
    return Box({f"x{i}": (units[i] * (-1.0 - i), units[i] * (2.0 + 3 * i)) for i in range(d)})


def _state(
    d: int = 2,
    *,
    k: int = 1,
    n: int = 12,
    units: tuple[float, ...] = (),
    output: float | Tensor = 1.0,
    size: float = 1.0,
    order: Any = None,
    n_pool: int = 0,
    torn: bool = False,
) -> State[Any]:
    """Return a state in the midst of a run: data, points awaited, failures, two models.

    Args:
        d: variables.
        k: outputs.
        n: points in the data.
        units: of the variables.
        output: unit of the outputs.
        size: see `FormulaModel`, which the values are of, too.
        order: of the data; what is awaited is turned round with it.
        n_pool: what is left of a finite pool.
        torn: see `FormulaModel`.
    """
    box = _box(d, units)
    x = box.sobol(n + 5 + n_pool, generator=derive_generator(0, "initial"))
    known, pending, failed, pool = torch.split(x, [n, 3, 2, n_pool])
    if order is not None:
        known, pending = known[order], pending.flip(0)
    truth = FormulaModel(box, Dataset(known, known[:, :1].expand(-1, k)), output, size, phase=0.1)
    data = Dataset(known, truth.predict(known))
    return State(
        domain=box,
        data=data,
        model=FormulaModel(box, data, output, size, torn=torn),
        previous=FormulaModel(box, data, output, size, phase=-0.2),
        pending=pending,
        round=3,
        failed=failed,
        seed=0,
        pool=pool if n_pool else None,
    )


def _plan(strategy: Strategy[Any], state: State[Any], n: int) -> Proposal:
    return strategy.plan(state, n, generator=derive_generator(5, "propose", state.round))


def _check(strategy: Strategy[Any], state: State[Any], n: int) -> Proposal:
    """Check what holds for every proposal; those in a finite pool are moved there first."""
    proposal = _plan(strategy, state, n)
    x = proposal.add
    assert x.shape[1:] == (state.domain.dimension,)
    assert x.dtype == torch.float64
    assert bool(state.domain.contains(x).all())
    assert len(set(proposal.drop.tolist())) == len(proposal.drop)
    assert all(0 <= i < len(state.data) for i in proposal.drop.tolist())
    assert proposal.gradient is None or proposal.gradient.shape == (len(x),)
    if state.pool is None:
        assert len(x) == n
    else:
        if not (_is_blind(strategy) or strategy.filling):
            assert bool(is_among(x, state.pool).all())
            assert len(torch.unique(x, dim=0)) == len(x) == min(n, len(state.pool))
        x = nearest_rows(x, state.pool, state.domain)
        assert bool(is_among(x, state.pool).all())
        assert len(x) == min(n, len(state.pool))
    assert len({tuple(p) for p in x.tolist()}) == len(x)
    assert not bool(is_among(x, state.taken).any())
    return proposal


def _name(strategy: Strategy[Any]) -> str:
    """Return the name under which a strategy is registered."""
    return next((n for n, cls in strategies().items() if cls is type(strategy)), "")


def _keeps_apart(strategy: Strategy[Any]) -> bool:
    """Whether a strategy claims that it does not crowd."""
    if isinstance(strategy, PoolStrategy):
        return isinstance(strategy.selection, Dispersed)
    return not _is_blind(strategy)


def _is_blind(strategy: Strategy[Any]) -> bool:
    """Whether points are drawn at random, or in a sequence, whatever is near."""
    return not isinstance(strategy, (CandidateStrategy, SearchStrategy))


def _rounds(strategy: Strategy[Any], state: State[Any], n: int, rounds: int) -> Iterator[Proposal]:
    """Yield the proposals of rounds in which all values arrive, each of them checked."""
    retired = state.data.x[:0]
    for i in range(1, rounds + 1):
        state = replace(state, round=i, retired=retired)
        proposal = _check(strategy, state, n)
        yield proposal
        retired = torch.cat([retired, state.data.x[proposal.drop]])
        added = Dataset(proposal.add, state.model.predict(proposal.add))
        data = state.data.without(proposal.drop) + added
        model = replace(state.model, data=data, phase=0.1 * i)
        state = replace(state, data=data, model=model, previous=state.model)


@pytest.fixture(params=sorted(strategies()))
def strategy(request: pytest.FixtureRequest) -> Strategy[Any]:
    return make_strategy(QUICK.get(request.param, request.param))


@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("setting", SETTINGS)
def test_proposals_are_new_points_of_the_domain_and_the_same_for_the_same_seed(
    strategy: Strategy[Any], setting: str, n: int
) -> None:
    state = _state(**SETTINGS[setting])
    first, again = _check(strategy, state, n), _plan(strategy, state, n)
    assert torch.equal(first.add, again.add)
    assert torch.equal(first.drop, again.drop)
    assert (first.gradient is None) == (again.gradient is None)


def test_proposals_are_made_before_there_is_a_previous_model(strategy: Strategy[Any]) -> None:
    _check(strategy, replace(_state(), previous=None), 4)


def test_one_point_is_enough_to_go_on_from(strategy: Strategy[Any]) -> None:
    state = _state(n=1)
    _check(strategy, state, 4)
    _check(strategy, replace(state, pending=state.pending[:0], failed=None, previous=None), 4)


def test_units_of_the_output_do_not_matter(strategy: Strategy[Any]) -> None:
    plain = _check(strategy, _state(), 5)
    for unit in (1e-8, 1e8):
        assert torch.equal(_check(strategy, _state(output=unit), 5).add, plain.add)


def test_each_output_has_a_unit_of_its_own(strategy: Strategy[Any]) -> None:
    each = torch.tensor([1e-4, 1e5], dtype=torch.float64)
    plain = _check(strategy, _state(k=2), 5)
    for unit in (1e6,) if _name(strategy) in ABSOLUTE else (1e6, each):
        assert torch.equal(_check(strategy, _state(k=2, output=unit), 5).add, plain.add)


def test_units_of_the_inputs_do_not_matter(strategy: Strategy[Any]) -> None:
    here = _box(2).to_unit(_check(strategy, _state(), 5).add)
    for units in ((1e-6, 1e6), (1e6, 1e-6)):
        there = _box(2, units).to_unit(_check(strategy, _state(units=units), 5).add)
        assert torch.allclose(there, here, rtol=0, atol=1e-9)


def test_the_order_of_what_is_known_does_not_matter(strategy: Strategy[Any]) -> None:
    order = torch.randperm(12, generator=derive_generator(1, "order"))
    plain, shuffled = _check(strategy, _state(), 5), _check(strategy, _state(order=order), 5)
    assert torch.allclose(plain.add, shuffled.add)


def test_points_that_are_awaited_are_kept_away_from(strategy: Strategy[Any]) -> None:
    if not _keeps_apart(strategy):
        return
    state = _state()
    alone = replace(state, pending=state.pending[:0])
    first = _check(strategy, alone, 1).add
    second = _check(strategy, replace(alone, pending=first), 1).add
    unit = state.domain.to_unit
    assert float((unit(first) - unit(second)).norm()) > 0.01


def test_a_batch_does_not_crowd(strategy: Strategy[Any]) -> None:
    if not _keeps_apart(strategy):
        return
    state = _state()
    unit = state.domain.to_unit(_check(strategy, state, 8).add)
    assert float(torch.pdist(unit).min()) > 0.02


def test_a_batch_is_chosen_one_after_another(strategy: Strategy[Any]) -> None:
    """The last of five is the one that is chosen while the others are awaited."""
    is_greedy = isinstance(strategy, CandidateStrategy) and _name(strategy) != "k_means_plus_plus"
    if not (_keeps_apart(strategy) and is_greedy):
        return
    state = replace(_state(), failed=None)  # so that the same candidates stay, for any batch
    batch = _check(strategy, state, 5).add
    later = replace(state, pending=torch.cat([state.pending, batch[:4]]))
    assert torch.equal(_check(strategy, later, 1).add, batch[4:])


@pytest.mark.parametrize("setting", ["2 outputs", "finite pool"])
def test_a_model_that_knows_nothing_is_survived(strategy: Strategy[Any], setting: str) -> None:
    """Constant predictions, no deviations, members that agree, features and residuals of zero."""
    state = _state(**SETTINGS[setting], size=0.0)
    _check(strategy, state, 5)
    _check(strategy, replace(state, previous=state.model), 5)


def test_features_that_are_not_numbers_are_survived(strategy: Strategy[Any]) -> None:
    if isinstance(strategy, FeatureStrategy):
        _check(strategy, _state(torn=True), 5)


def test_points_in_which_nothing_is_seen_are_survived(strategy: Strategy[Any]) -> None:
    """The only point known lies where all features are zero."""
    if isinstance(strategy, FeatureStrategy):
        state = _state(n=1)
        corner = Dataset(state.domain.lower[None], state.data.y)
        alone = replace(state, data=corner, pending=corner.x[:0], failed=None)
        _check(replace(strategy, features=Inputs()), alone, 5)


def test_more_points_than_candidates_may_be_asked(strategy: Strategy[Any]) -> None:
    if isinstance(strategy, (CandidateStrategy, SearchStrategy)):
        strategy = replace(strategy, n_candidates=3)
    _check(strategy, _state(), 20)


@pytest.mark.parametrize("n_pool", [1, 7])
def test_what_is_left_of_a_pool_is_all_there_is(strategy: Strategy[Any], n_pool: int) -> None:
    _check(strategy, _state(n_pool=n_pool), 16)
    _check(replace(strategy, filling=0.5), _state(n_pool=n_pool), 16)


def test_no_model_is_needed_by_those_that_do_not_look_at_it(strategy: Strategy[Any]) -> None:
    state = _state()
    if not strategy.looks_at_model:
        blind = _check(strategy, replace(state, model=None, previous=None), 4)
        assert torch.equal(blind.add, _plan(strategy, state, 4).add)
    assert replace(strategy, retirement=DropLowest()).looks_at_model


def test_a_share_of_the_points_fills_the_space_exactly(strategy: Strategy[Any]) -> None:
    state = _state(n=6)
    sequence = state.domain.sobol(60, generator=derive_generator(0, "initial"))
    half = replace(strategy, filling=0.5)
    filling = [is_among(p.add, sequence).sum() for p in _rounds(half, state, 5, rounds=4)]
    if _name(strategy) != "sobol":
        assert sum(map(int, filling)) == 10


def test_a_share_of_a_finite_pool_is_asked_once(strategy: Strategy[Any]) -> None:
    _check(replace(strategy, filling=0.5), _state(n_pool=40), 7)


def test_points_are_retired_by_any_rule_whatever_is_added(strategy: Strategy[Any]) -> None:
    state = _state()
    plain = _check(strategy, state, 3)
    for rule in RULES:
        proposal = _check(replace(strategy, retirement=rule), state, 3)
        assert torch.equal(proposal.add, plain.add)
        assert set(proposal.drop.tolist()) == {*plain.drop.tolist(), *rule.retire(state).tolist()}


@pytest.mark.parametrize("rule", [DropAll(), Bounded(5)])
def test_new_points_come_in_while_others_are_retired(
    strategy: Strategy[Any], rule: Retirement
) -> None:
    asked = set(map(tuple, (state := _state(n=6)).taken.tolist()))
    retiring = replace(strategy, retirement=rule, filling=0.25)
    for proposal in _rounds(retiring, state, 4, rounds=3):
        new = set(map(tuple, proposal.add.tolist()))
        assert not new & asked
        asked |= new


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


_any_proposal = partial(
    test_proposals_are_new_points_of_the_domain_and_the_same_for_the_same_seed,
    setting="2 variables",
    n=4,
)
_a_proposal_in_a_pool = partial(_any_proposal.func, setting="finite pool", n=16)
_no_knowledge = partial(test_a_model_that_knows_nothing_is_survived, setting="2 outputs")
_small_pool = partial(test_what_is_left_of_a_pool_is_all_there_is, n_pool=7)
_retiring = partial(test_new_points_come_in_while_others_are_retired, rule=DropAll())

BREACHES: list[tuple[Strategy[Any], Callable[[Strategy[Any]], None]]] = [
    (Broken(how="outside"), _any_proposal),
    (Broken(how="repeats"), _any_proposal),
    (Broken(how="too few"), _any_proposal),
    (Broken(how="taken"), _any_proposal),
    (Broken(how="awaited"), _any_proposal),
    (Broken(how="failed"), _any_proposal),
    (Broken(how="not a number"), _any_proposal),
    (Broken(how="drops what is not there"), _any_proposal),
    (Broken(how="gradients of others"), _any_proposal),
    (Broken(how="moody"), _any_proposal),
    (Broken(how="drops at random"), _any_proposal),
    (BrokenChoice(how="repeats"), _any_proposal),
    (BrokenChoice(how="repeats"), _a_proposal_in_a_pool),
    (
        Broken(how="wants a previous model"),
        test_proposals_are_made_before_there_is_a_previous_model,
    ),
    (Broken(how="wants two points"), test_one_point_is_enough_to_go_on_from),
    (Broken(how="absolute heights"), test_units_of_the_output_do_not_matter),
    (Broken(how="absolute heights"), test_each_output_has_a_unit_of_its_own),
    (Broken(how="absolute steps"), test_units_of_the_inputs_do_not_matter),
    (Broken(how="the first is special"), test_the_order_of_what_is_known_does_not_matter),
    (Broken(how="the first awaited is special"), test_the_order_of_what_is_known_does_not_matter),
    (BrokenChoice(how="crowds"), test_points_that_are_awaited_are_kept_away_from),
    (BrokenChoice(how="crowds", n_candidates=20_000), test_a_batch_does_not_crowd),
    (BrokenChoice(how="crowds"), test_a_batch_is_chosen_one_after_another),
    (Broken(how="wants doubts"), _no_knowledge),
    (Broken(how="wants change"), _no_knowledge),
    (BrokenFeatures(), test_features_that_are_not_numbers_are_survived),
    (
        BrokenFeatures(how="divides by what is known"),
        test_points_in_which_nothing_is_seen_are_survived,
    ),
    (
        BrokenChoice(how="no more than candidates"),
        test_more_points_than_candidates_may_be_asked,
    ),
    (Broken(how="leaves one"), _small_pool),
    (Blind(), test_no_model_is_needed_by_those_that_do_not_look_at_it),
    (Broken(how="fills the space"), test_a_share_of_the_points_fills_the_space_exactly),
    (Broken(how="minds the rule"), test_points_are_retired_by_any_rule_whatever_is_added),
    (Broken(how="forgets"), _retiring),
]


@pytest.mark.parametrize(("broken", "clause"), BREACHES)
def test_the_contract_catches_a_broken_strategy(
    broken: Strategy[Any], clause: Callable[[Strategy[Any]], None]
) -> None:
    with pytest.raises(
        (AssertionError, AttributeError, IndexError, RuntimeError, ZeroDivisionError)
    ):
        clause(broken)


def test_the_contract_lets_a_sound_strategy_pass() -> None:
    for clause in {clause for _, clause in BREACHES}:
        clause(Broken(how="is sound"))
