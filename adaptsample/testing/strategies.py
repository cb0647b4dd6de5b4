"""The contract that every strategy keeps."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch

from adaptsample.acquisition.features import Inputs
from adaptsample.acquisition.forgetting import Bounded, DropAll, DropLowest, KeepAll, Retirement
from adaptsample.acquisition.selection import Dispersed
from adaptsample.acquisition.state import Proposal, State
from adaptsample.acquisition.strategy import (
    CandidateStrategy,
    FeatureStrategy,
    PoolStrategy,
    SearchStrategy,
    Strategy,
)
from adaptsample.core.dataset import Dataset
from adaptsample.core.pool import is_among, nearest_rows
from adaptsample.core.randomness import derive_generator
from adaptsample.registry import make_strategy, strategies
from adaptsample.testing.contract import (
    Contract,
    check_made_again,
    check_recipe,
    does_not_apply,
    global_randomness_untouched,
)
from adaptsample.testing.fakes import make_box, make_state

SETTINGS: Mapping[str, Mapping[str, int]] = {
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


class StrategyContract(Contract):
    """What a strategy promises; derive a test class of yours and name the recipe.

    Every proposal, in any test, is checked by `check_proposal`. The states are those of
    `adaptsample.testing.fakes.make_state`, whose model offers all that a strategy may require.

    Attributes:
        recipe: the strategy.
    """

    recipe: Strategy[Any]

    _CASES: ClassVar[Mapping[str, Iterable[object]]] = {
        "setting": SETTINGS,
        "n": (1, 16),
        "blank": ("2 outputs", "finite pool"),
        "n_pool": (1, 7),
        "rule": (DropAll(), Bounded(5)),
    }

    def cases(self) -> Mapping[str, Iterable[object]]:
        """Return states, sizes of batches and rules."""
        return self._CASES

    def test_a_recipe_is_a_frozen_dataclass_of_plain_values(self) -> None:
        """A recipe can be compared, written down and kept: it has no state."""
        check_recipe(self.recipe)

    def test_a_recipe_is_made_again_from_its_text_and_from_its_description(self) -> None:
        """Command lines and run files hold recipes as text and as JSON."""
        check_made_again(self.recipe, make_strategy, strategies())

    def test_proposals_are_new_points_of_the_domain_and_the_same_for_the_same_seed(
        self, setting: str, n: int
    ) -> None:
        """In one variable and in several, for several outputs, and from a finite pool."""
        state = make_state(**SETTINGS[setting])
        first, again = check_proposal(self.recipe, state, n), plan(self.recipe, state, n)
        assert torch.equal(first.add, again.add), "the same state and seed must get the same points"
        assert torch.equal(first.drop, again.drop), (
            "the same state and seed must retire the same points"
        )
        assert (first.gradient is None) == (again.gradient is None), (
            "the same state and seed must ask for the same gradients"
        )

    def test_proposals_are_made_before_there_is_a_previous_model(self) -> None:
        """In the first round there is none."""
        check_proposal(self.recipe, replace(make_state(), previous=None), 4)

    def test_one_point_is_enough_to_go_on_from(self) -> None:
        """All others may have failed."""
        state = make_state(n=1)
        check_proposal(self.recipe, state, 4)
        alone = replace(state, pending=state.pending[:0], failed=None, previous=None)
        check_proposal(self.recipe, alone, 4)

    def test_units_of_the_output_do_not_matter(self) -> None:
        """Pascal or gigapascal: the points are the same."""
        plain = check_proposal(self.recipe, make_state(), 5)
        two = check_proposal(self.recipe, make_state(k=2), 5)
        for unit in (1e-8, 1e8):
            other = check_proposal(self.recipe, make_state(output=unit), 5)
            assert torch.equal(other.add, plain.add), (
                f"an output in units of {unit:g} must not change the points"
            )
        other = check_proposal(self.recipe, make_state(k=2, output=1e6), 5)
        assert torch.equal(other.add, two.add), "outputs in units of 1e6 must not change the points"

    def test_each_output_has_a_unit_of_its_own(self) -> None:
        """One in millimetres does not outweigh one in kilometres."""
        each = torch.tensor([1e-4, 1e5], dtype=torch.float64)
        plain = check_proposal(self.recipe, make_state(k=2), 5)
        other = check_proposal(self.recipe, make_state(k=2, output=each), 5)
        assert torch.equal(other.add, plain.add), (
            "outputs in units of 1e-4 and 1e5 must not change the points; divide by state.spread"
        )

    def test_units_of_the_inputs_do_not_matter(self) -> None:
        """Distances are those of the unit cube."""
        here = make_box(2).to_unit(check_proposal(self.recipe, make_state(), 5).add)
        for units in ((1e-6, 1e6), (1e6, 1e-6)):
            other = check_proposal(self.recipe, make_state(units=units), 5)
            there = make_box(2, units).to_unit(other.add)
            assert torch.allclose(there, here, rtol=0, atol=1e-9), (
                f"variables in units of {units} must not change the points; measure distances in "
                "the unit cube, as state.distance does"
            )

    def test_the_order_of_what_is_known_does_not_matter(self) -> None:
        """Results arrive in any order."""
        order = torch.randperm(12, generator=derive_generator(1, "order"))
        plain = check_proposal(self.recipe, make_state(), 5)
        shuffled = check_proposal(self.recipe, make_state(order=order), 5)
        assert torch.allclose(plain.add, shuffled.add), (
            "the order of data and of pending points must not change the points"
        )

    def test_points_that_are_awaited_are_kept_away_from(self) -> None:
        """Where the strategy claims it, by its family or its selection."""
        self._only_if_it_keeps_apart()
        state = make_state()
        alone = replace(state, pending=state.pending[:0])
        first = check_proposal(self.recipe, alone, 1).add
        second = check_proposal(self.recipe, replace(alone, pending=first), 1).add
        unit = state.domain.to_unit
        assert float((unit(first) - unit(second)).norm()) > 0.01, (
            "a point must not be beside one that is awaited"
        )

    def test_a_batch_does_not_crowd(self) -> None:
        """Where the strategy claims it, by its family or its selection."""
        self._only_if_it_keeps_apart()
        state = make_state()
        unit = state.domain.to_unit(check_proposal(self.recipe, state, 8).add)
        assert float(torch.pdist(unit).min()) > 0.02, "points of a batch must not crowd"

    def test_a_batch_is_chosen_one_after_another(self) -> None:
        """The last of five is the one that is chosen while the others are awaited."""
        self._only_if_it_keeps_apart()
        if not isinstance(self.recipe, CandidateStrategy):
            does_not_apply("candidates are drawn afresh for each point")
        state = replace(make_state(), failed=None)  # so that the same candidates stay
        batch = check_proposal(self.recipe, state, 5).add
        later = replace(state, pending=torch.cat([state.pending, batch[:4]]))
        assert torch.equal(check_proposal(self.recipe, later, 1).add, batch[4:]), (
            "the last point of a batch must be the one that is chosen while the others are awaited"
        )

    def test_a_model_that_knows_nothing_is_survived(self, blank: str) -> None:
        """Constant predictions, no deviations, members that agree, features and residuals of 0."""
        state = make_state(**SETTINGS[blank], size=0.0)
        check_proposal(self.recipe, state, 5)
        check_proposal(self.recipe, replace(state, previous=state.model), 5)

    def test_features_that_are_not_numbers_are_survived(self) -> None:
        """Where the strategy looks at features."""
        self._only_if_it_has_features()
        check_proposal(self.recipe, make_state(torn=True), 5)

    def test_points_in_which_nothing_is_seen_are_survived(self) -> None:
        """The only point known lies where all features are zero."""
        recipe = self._only_if_it_has_features()
        state = make_state(n=1)
        corner = Dataset(state.domain.lower[None], state.data.y)
        alone = replace(state, data=corner, pending=corner.x[:0], failed=None)
        check_proposal(replace(recipe, features=Inputs()), alone, 5)

    def test_more_points_than_candidates_may_be_asked(self) -> None:
        """The number of candidates is raised to that of the points."""
        recipe = self.recipe
        if isinstance(recipe, (CandidateStrategy, SearchStrategy)):
            recipe = replace(recipe, n_candidates=3)
        check_proposal(recipe, make_state(), 20)

    def test_what_is_left_of_a_pool_is_all_there_is(self, n_pool: int) -> None:
        """A batch is as large as the pool, if that is smaller."""
        check_proposal(self.recipe, make_state(n_pool=n_pool), 16)
        check_proposal(replace(self.recipe, filling=0.5), make_state(n_pool=n_pool), 16)

    def test_no_model_is_needed_by_those_that_do_not_look_at_it(self) -> None:
        """With ``uses_model = False`` none is fitted; retiring by a residual needs one."""
        state = make_state()
        if not self.recipe.looks_at_model:
            blind = check_proposal(self.recipe, replace(state, model=None, previous=None), 4)
            assert torch.equal(blind.add, plan(self.recipe, state, 4).add), (
                "a strategy that says that it does not look at the model must not"
            )
        assert replace(self.recipe, retirement=DropLowest()).looks_at_model, (
            "a strategy must look at the model if its retirement does"
        )

    def test_a_share_of_the_points_fills_the_space_exactly(self) -> None:
        """``filling=0.5`` takes every other point from the run's Sobol sequence."""
        state = make_state(n=6)
        sequence = state.domain.sobol(60, generator=derive_generator(0, "initial"))
        half = replace(self.recipe, filling=0.5)
        filling = [int(is_among(p.add, sequence).sum()) for p in _rounds(half, state, 5, rounds=4)]
        assert sum(filling) == 10, (
            f"of 20 points 10 must be of the run's Sobol sequence, and {sum(filling)} are"
        )

    def test_a_share_of_a_finite_pool_is_asked_once(self) -> None:
        """Points that fill the space are moved to rows that are free."""
        check_proposal(replace(self.recipe, filling=0.5), make_state(n_pool=40), 7)

    def test_points_are_retired_by_any_rule_whatever_is_added(self) -> None:
        """What leaves the training set is the rule's business, and not that of what enters it."""
        state = make_state()
        plain = check_proposal(self.recipe, state, 3)
        for rule in RULES:
            proposal = check_proposal(replace(self.recipe, retirement=rule), state, 3)
            assert torch.equal(proposal.add, plain.add), f"{rule} must not change what is added"
            expected = {*plain.drop.tolist(), *rule.retire(state).tolist()}
            assert set(proposal.drop.tolist()) == expected, f"{rule} must be kept"

    def test_new_points_come_in_while_others_are_retired(self, rule: Retirement) -> None:
        """What was retired is not asked again."""
        asked = set(map(tuple, (state := make_state(n=6)).taken.tolist()))
        retiring = replace(self.recipe, retirement=rule, filling=0.25)
        for proposal in _rounds(retiring, state, 4, rounds=3):
            new = set(map(tuple, proposal.add.tolist()))
            assert not new & asked, f"points that were retired must not be asked again: {new}"
            asked |= new

    def _only_if_it_keeps_apart(self) -> None:
        """Skip strategies that do not claim that they do not crowd."""
        recipe = self.recipe
        if isinstance(recipe, PoolStrategy) and not isinstance(recipe.selection, Dispersed):
            does_not_apply(f"its selection is {type(recipe.selection).__name__}, not Dispersed")
        if _is_blind(recipe):
            does_not_apply("points are drawn at random, or in a sequence, whatever is near")

    def _only_if_it_has_features(self) -> FeatureStrategy[Any]:
        if not isinstance(self.recipe, FeatureStrategy):
            does_not_apply("the strategy does not choose by features")
        return self.recipe


def plan(strategy: Strategy[Any], state: State[Any], n: int) -> Proposal:
    """Return what a strategy proposes in a state, with the randomness of its round."""
    return strategy.plan(state, n, generator=derive_generator(5, "propose", state.round))


def check_proposal(strategy: Strategy[Any], state: State[Any], n: int) -> Proposal:
    """Check what holds for every proposal; those in a finite pool are moved there first.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    taken, values = state.taken.clone(), state.data.y.clone()
    with global_randomness_untouched():
        proposal = plan(strategy, state, n)
    x, drop = proposal.add, proposal.drop.tolist()
    assert torch.equal(state.taken, taken), "a strategy must leave the state's points as they are"
    assert torch.equal(state.data.y, values), "a strategy must leave the values as they are"
    assert x.shape[1:] == (state.domain.dimension,), (
        f"points must have {state.domain.dimension} coordinates, and have shape {tuple(x.shape)}"
    )
    assert x.dtype == torch.float64, f"points must be float64, and are {x.dtype}"
    assert bool(state.domain.contains(x).all()), "points must lie within the domain"
    assert len(set(drop)) == len(drop), "a point must be retired once"
    assert all(0 <= i < len(state.data) for i in drop), "only points of the data can be retired"
    assert proposal.gradient is None or proposal.gradient.shape == (len(x),), (
        "gradients must be asked for or not for each point"
    )
    if state.pool is None:
        assert len(x) == n, f"{n} points must be proposed, and {len(x)} are"
    else:
        if not (_is_blind(strategy) or strategy.filling):
            assert bool(is_among(x, state.pool).all()), "points must be rows of the pool"
            assert len(torch.unique(x, dim=0)) == len(x) == min(n, len(state.pool)), (
                "each row of the pool must be proposed once, and as many as there are"
            )
        x = nearest_rows(x, state.pool, state.domain)
        assert len(x) == min(n, len(state.pool)), "all that is left of a pool must be proposed"
    assert len(set(map(tuple, x.tolist()))) == len(x), "the points of a batch must be different"
    assert not bool(is_among(x, state.taken).any()), (
        "points that are evaluated, awaited or failed must not be proposed again"
    )
    return proposal


def _is_blind(strategy: Strategy[Any]) -> bool:
    """Whether points are drawn at random, or in a sequence, whatever is near."""
    return not isinstance(strategy, (CandidateStrategy, SearchStrategy))


def _rounds(strategy: Strategy[Any], state: State[Any], n: int, rounds: int) -> Iterator[Proposal]:
    """Yield the proposals of rounds in which all values arrive, each of them checked."""
    retired = state.data.x[:0]
    for i in range(1, rounds + 1):
        state = replace(state, round=i, retired=retired)
        proposal = check_proposal(strategy, state, n)
        yield proposal
        retired = torch.cat([retired, state.data.x[proposal.drop]])
        added = Dataset(proposal.add, state.model.predict(proposal.add))
        data = state.data.without(proposal.drop) + added
        model = replace(state.model, data=data, phase=0.1 * i)
        state = replace(state, data=data, model=model, previous=state.model)
