"""For which points gradients are bought, against what they teach by regressions from scratch."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from adaptsample import Box, Dataset, State
from adaptsample.acquisition import AllGradients, Gradients, Inputs, NoGradients, WorthIt
from adaptsample.acquisition.gradients import _N_TARGET
from adaptsample.core import derive_generator
from adaptsample.testing.fakes import FormulaModel
from benchmarks.reliability.referee import PlaneModel

BOX = Box({"x": (0, 4), "y": (-1e-3, 1e-3)})
NOISE = 0.05


def _state(*, price: float = 1.0, k: int = 1) -> State[FormulaModel]:
    x = BOX.sobol(11, generator=derive_generator(0, "initial"))
    data = Dataset(x[:8], x[:8, :1].expand(-1, k))
    model = FormulaModel(BOX, data)
    return State(BOX, data, model, None, x[8:], round=2, gradient_cost=price)


X = BOX.uniform(6, generator=derive_generator(1, "x"))


def _features(x: Tensor, state: State[FormulaModel]) -> Tensor:
    return state.model.parameter_gradient(x).flatten(1)


def _summed_variance(target: Tensor, known: Tensor) -> Tensor:
    information = torch.eye(known.shape[1], dtype=known.dtype) + known.T @ known / NOISE**2
    return (target @ torch.linalg.inv(information) * target).sum()


def _gains(state: State[FormulaModel]) -> list[tuple[float, float]]:
    """Return what the value, and value and gradient, of each point teach, by regressions."""
    known = _features(torch.cat([state.data.x, state.pending]), state)
    scale = known.square().sum(dim=1).mean().sqrt()
    target = state.domain.sobol(_N_TARGET, generator=state.generator("target"))
    known, target = known / scale, _features(target, state) / scale
    gains = []
    for x in X:
        slopes = torch.autograd.functional.jacobian(lambda v: _features(v[None], state)[0], x)
        slopes = slopes * (BOX.upper - BOX.lower)
        value = _features(x[None], state) / scale
        before = _summed_variance(target, known)
        one = before - _summed_variance(target, torch.cat([known, value]))
        both = before - _summed_variance(target, torch.cat([known, value, slopes.T / scale]))
        gains.append((float(one), float(both)))
    return gains


@pytest.mark.parametrize("k", [1, 2])
def test_a_gradient_is_wanted_exactly_while_it_teaches_more_for_the_price(k: int) -> None:
    gains = _gains(_state(k=k))
    thresholds = [both / one - 1 for one, both in gains]
    assert len({round(threshold, 3) for threshold in thresholds}) == len(X)  # points differ
    for i, threshold in enumerate(thresholds):
        for price, expected in ((0.999 * threshold, True), (1.001 * threshold, False)):
            wanted = WorthIt(noise=NOISE).wanted(X, _state(price=price, k=k))
            assert wanted is not None
            assert bool(wanted[i]) == expected


def test_free_gradients_are_wanted_and_dear_ones_are_not() -> None:
    for rule in (WorthIt(), WorthIt(Inputs()), WorthIt(noise=1.0)):
        free, dear = (rule.wanted(X, _state(price=price)) for price in (0.0, 100.0))
        assert free is not None
        assert dear is not None
        assert free.all()
        assert not dear.any()


def test_points_at_the_edge_have_slopes_too() -> None:
    corners = BOX.grid(2)
    free = WorthIt().wanted(corners, _state(price=0.0))
    assert free is not None
    assert free.all()


def test_nothing_is_wanted_where_features_are_constant() -> None:
    state = _state(price=0.5)
    wanted = WorthIt().wanted(X, replace(state, model=replace(state.model, size=0.0)))
    assert wanted is not None
    assert not wanted.any()


def test_models_that_do_not_learn_gradients_want_none() -> None:
    plane = PlaneModel(torch.zeros(3, 1, dtype=torch.float64))
    assert WorthIt().wanted(X, replace(_state(price=0.0), model=plane)) is None


def test_no_point_wants_no_gradient() -> None:
    assert WorthIt().wanted(X[:0], _state()) is None


@pytest.mark.parametrize(
    ("rule", "expected"), [(NoGradients(), None), (AllGradients(), [True] * len(X))]
)
def test_all_or_none_need_no_model(rule: Gradients, expected: object) -> None:
    wanted = rule.wanted(X, replace(_state(), model=None))
    assert (None if wanted is None else wanted.tolist()) == expected
    assert not rule.uses_model
    assert WorthIt().uses_model


@pytest.mark.parametrize("noise", [0.0, -1.0, float("nan")])
def test_wrong_noise_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match="noise must be positive"):
        WorthIt(noise=noise)
