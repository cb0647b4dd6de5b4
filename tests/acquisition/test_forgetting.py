"""Which points leave the training set, against exact answers."""

from dataclasses import replace

import pytest
import torch

from adaptsample import Box, Dataset, State
from adaptsample.acquisition import Bounded, DropAll, DropLowest, KeepAll, Retirement, model_change
from adaptsample.core import derive_generator
from adaptsample.registry import make_strategy
from benchmarks.reliability.referee import Plane, PlaneModel

BOX = Box({"x": (0, 4)})


def _model(intercept: float, slope: float) -> PlaneModel:
    return PlaneModel(torch.tensor([[intercept], [slope]], dtype=torch.float64))


def _state(previous: PlaneModel | None = None) -> State[PlaneModel]:
    x = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    data = Dataset(x, torch.tensor([[1.0], [1.5], [9.0]], dtype=torch.float64))
    return State(BOX, data, _model(0, 1), previous, x[:0], round=2)


def test_model_change_is_the_absolute_difference_of_predictions() -> None:
    x = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    assert model_change(x, _state(_model(0, 2))).tolist() == [0, 2]
    assert model_change(x, _state()).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (KeepAll(), []),
        (DropAll(), [0, 1, 2]),
        (DropLowest("residual"), [0]),
        (DropLowest("residual", n=2), [0, 1]),
        (DropLowest("change"), [1]),
        (Bounded(5), []),
        (Bounded(3), []),
        (Bounded(2), [0]),
        (Bounded(1), [0, 1]),
        (Bounded(2, "change"), [1]),
    ],
)
def test_the_points_with_the_lowest_signal_leave(rule: Retirement, expected: list[int]) -> None:
    state = _state(_model(2, 0))  # residuals 0, 0.5, 6; changes 1, 0, 1
    assert sorted(rule.retire(state).tolist()) == expected


@pytest.mark.parametrize("rule", [DropLowest("change", n=9), DropLowest(n=3), Bounded(1)])
def test_one_point_stays(rule: Retirement) -> None:
    state = _state(_model(2, 0))
    assert len(rule.retire(state)) == 2
    alone = replace(state, data=state.data.without(torch.tensor([0, 1])))
    assert len(rule.retire(alone)) == 0


def test_something_leaves_before_anything_has_changed() -> None:
    assert len(DropLowest("change").retire(_state())) == 1
    assert len(Bounded(2, "change").retire(_state())) == 1


def test_only_rules_that_look_at_a_signal_look_at_the_model() -> None:
    blind = replace(_state(), model=None)
    assert [rule.uses_model for rule in (KeepAll(), DropAll())] == [False, False]
    assert [rule.uses_model for rule in (DropLowest(), Bounded())] == [True, True]
    assert len(DropAll().retire(blind)) == 3
    assert len(KeepAll().retire(blind)) == 0


@pytest.mark.parametrize("signal", ["residual", "change"])
def test_a_bounded_training_set_stays_as_small_as_it_says(signal: str) -> None:
    """After many rounds it has at most as many points as stay, and those that just came in."""
    strategy = make_strategy(f"random(retirement=bounded(8, '{signal}'))")
    x = BOX.sobol(10, generator=derive_generator(0, "initial"))
    data, previous = Dataset(x, x.sin()), None
    for i in range(1, 30):
        model = Plane().fit(data, generator=derive_generator(0, "fit"))
        state = State(BOX, data, model, previous, x[:0], round=i)
        proposal = strategy.plan(state, 3, generator=derive_generator(0, "propose", i))
        data = data.without(proposal.drop) + Dataset(proposal.add, proposal.add.sin())
        previous = model
        assert len(data) == 11
    assert not set(map(tuple, x.tolist())) <= set(map(tuple, data.x.tolist()))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DropLowest("nothing"),
        lambda: DropLowest(n=0),
        lambda: Bounded(0),
        lambda: Bounded(5, "nothing"),
    ],
)
def test_wrong_options_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
