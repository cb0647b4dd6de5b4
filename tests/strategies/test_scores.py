"""What pool strategies score by, against exact values."""

from dataclasses import dataclass, replace
from typing import Any, final

import pytest
import torch
from torch import Generator, Tensor

from adaptsample import Box, Dataset, State
from adaptsample.acquisition import PowerDraw
from adaptsample.core import derive_generator
from adaptsample.registry import make_strategy
from adaptsample.testing.fakes import FormulaModel

BOX = Box({"x": (0, 4), "y": (-1, 1)})
X = BOX.uniform(7, generator=derive_generator(0, "x"))


def _state(k: int = 2) -> State[Any]:
    x = BOX.sobol(8, generator=derive_generator(0, "initial"))
    data = Dataset(x, torch.stack([10.0 ** (3 * j) * x.sum(dim=1) for j in range(k)], dim=1))
    units = torch.tensor([1.0, 1e3], dtype=torch.float64)[:k]
    model = FormulaModel(BOX, data, units)
    return State(BOX, data, model, replace(model, phase=1.0), x[:0], round=2)


def _score(name: str, x: Tensor, state: State[Any]) -> Tensor:
    return make_strategy(name).score(x, state)


@final
@dataclass(frozen=True)
class Residuals:
    """Knows its held-out residuals, and nothing else."""

    residuals: tuple[float, ...]

    def predict(self, x: Tensor) -> Tensor:
        return x

    def held_out_residuals(self, *, generator: Generator) -> Tensor:
        return torch.tensor(self.residuals, dtype=torch.float64)[:, None]


def test_rad_interpolates_the_size_of_held_out_residuals_in_spreads() -> None:
    box = Box({"x": (0, 10)})
    places = torch.tensor([[0.0], [1.0], [3.0], [10.0]], dtype=torch.float64)
    y = torch.tensor([[0.0], [4.0], [0.0], [4.0]], dtype=torch.float64)  # of spread 2
    model = Residuals((2.0, -4.0, 6.0, 200.0))
    state = State(box, Dataset(places, y), model, None, places[:0], round=2)
    x = torch.tensor([[2.0], [1.0]], dtype=torch.float64)
    between, at = _score("rad", x, state).tolist()
    # distances 2, 1 and 1 to three points with 1, 2 and 3 spreads; the fourth is too far
    assert between == pytest.approx((1 / 2 + 2 + 3) / (1 / 2 + 1 + 1), rel=1e-9)
    assert at == pytest.approx(2, rel=1e-5)
    unknown = replace(state, model=Residuals((torch.nan, 0.0, 0.0, 0.0)))
    assert torch.isfinite(_score("rad", x, unknown)).all()


def test_rad_interpolates_between_as_many_points_as_there_are() -> None:
    places = torch.tensor([[0.5, 0.0]], dtype=torch.float64)
    state = State(BOX, Dataset(places, places), Residuals((3.0,)), None, places[:0], round=2)
    assert _score("rad", X, state).tolist() == pytest.approx([6.0] * 7)  # two outputs share it


def test_rad_draws_by_the_law_it_is_named_after() -> None:
    assert make_strategy("rad").selection == PowerDraw(power=1.0, constant=1.0)
    rar_d = make_strategy("rad(selection=power_draw(2.0, 0.0))")
    assert rar_d.selection == PowerDraw(power=2.0, constant=0.0)


@pytest.mark.parametrize("k", [1, 2])
def test_deviations_in_spreads_are_summed_over_outputs(k: int) -> None:
    state = _state(k)
    expected = (state.model.std(X) / state.spread).sum(dim=1)
    assert torch.equal(_score("max_std", X, state), expected)
    assert torch.equal(_score("disagreement", X, state), expected * state.distance(X))


@pytest.mark.parametrize("k", [1, 2])
def test_members_disagree_by_their_standard_deviation_in_spreads(k: int) -> None:
    state = _state(k)
    members = state.model.committee(X)
    off = (members - members.mean(dim=0)).square().mean(dim=0).sqrt() / state.data.y.std(
        dim=0, correction=0
    )
    assert torch.allclose(_score("query_by_committee", X, state), off.sum(dim=1))


def test_the_expected_change_of_a_model_is_deviation_times_length() -> None:
    state = _state()
    length = state.model.parameter_gradient(X).square().sum(dim=(1, 2)).sqrt()
    expected = (state.model.std(X) / state.spread).sum(dim=1) * length
    assert torch.allclose(_score("expected_model_change", X, state), expected)


@pytest.mark.parametrize("name", ["topk", "softmax", "swap", "gradient", "diverse_topk"])
def test_the_change_of_a_model_is_that_of_its_prediction(name: str) -> None:
    state = _state()
    change = (state.model.predict(X) - state.previous.predict(X)).abs().sum(dim=1)
    assert torch.equal(_score(name, X, state), change)


@final
@dataclass(frozen=True)
class Quadratic:
    """3 u^2 + 2 v of the unit cube's coordinates."""

    def predict(self, x: Tensor) -> Tensor:
        u, v = BOX.to_unit(x).T
        return (3 * u.square() + 2 * v)[:, None]


def test_the_gradient_is_weighed_in_the_unit_cube_and_in_spreads() -> None:
    state = replace(_state(1), model=Quadratic())
    inside = BOX.from_unit(0.1 + 0.8 * BOX.to_unit(X))
    slope = (36 * BOX.to_unit(inside)[:, 0].square() + 4).sqrt() / state.spread
    assert torch.allclose(_score("gradient_weighted", inside, state), slope)


@pytest.mark.parametrize("order", [1, 2])
def test_a_gap_counts_with_the_power_of_the_derivative(order: int) -> None:
    """The next point has the largest product among the candidates, and fills its gap."""
    pool = BOX.grid(6)
    state = replace(_state(1), model=Quadratic(), pool=pool)
    u = BOX.to_unit(pool)[:, 0].clamp(0.02, 0.98)
    derivative = (36 * u.square() + 4).sqrt() if order == 1 else torch.full_like(u, 6.0)
    strategy = make_strategy(f"gap_derivative(order={order})")
    x = strategy.plan(state, 4, generator=derive_generator(0, "propose")).add
    for i in range(4):
        value = replace(state, pending=x[:i]).distance(pool).pow(order) * derivative
        chosen = (pool == x[i]).all(dim=1)
        assert float(value[chosen]) == pytest.approx(float(value.max()))


@pytest.mark.parametrize("order", [0, 3])
def test_a_gap_has_derivatives_of_first_or_second_order(order: int) -> None:
    with pytest.raises(ValueError, match="order must be 1 or 2"):
        make_strategy(f"gap_derivative(order={order})")


def test_maximin_is_greedy_about_the_distance_alone() -> None:
    pool = BOX.grid(7)
    state = replace(_state(1), pool=pool, model=None)
    x = make_strategy("maximin").plan(state, 5, generator=derive_generator(0, "propose")).add
    for i in range(5):
        distance = replace(state, pending=x[:i]).distance(pool)
        chosen = (pool == x[i]).all(dim=1)
        assert float(distance[chosen]) == pytest.approx(float(distance.max()))


def test_a_latin_hypercube_covers_each_range_evenly() -> None:
    strategy = make_strategy("latin_hypercube")
    x = strategy.plan(_state(), 10, generator=derive_generator(0, "propose")).add
    slices = (BOX.to_unit(x) * 10).floor().sort(dim=0).values
    assert slices.T.tolist() == [list(range(10))] * 2


def test_the_sequence_of_the_initial_design_goes_on() -> None:
    state = _state()
    sequence = BOX.sobol(12, generator=derive_generator(0, "initial"))
    x = make_strategy("sobol").plan(state, 4, generator=derive_generator(0, "propose")).add
    assert torch.equal(x, sequence[8:])
