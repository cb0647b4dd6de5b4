"""Boundary, with a committee that is known exactly."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from adaptsample import Box, Dataset, State
from adaptsample.core import derive_generator
from adaptsample.registry import make_strategy

BOX = Box({"x": (0, 1)})
EIGHT = tuple(i / 9 for i in range(1, 9))


@final
@dataclass(frozen=True)
class ThresholdModel:
    """Steps from 0 to 1 at each of several places, all as likely: a committee about one jump.

    Args:
        thresholds: where, in one variable.
    """

    thresholds: tuple[float, ...]

    def predict(self, x: Tensor) -> Tensor:
        return self.committee(x).mean(dim=0)

    def committee(self, x: Tensor) -> Tensor:
        places = torch.tensor(self.thresholds, dtype=torch.float64)
        return (x > places).T[:, :, None].double()


def _state(thresholds: tuple[float, ...] = EIGHT, *, pending: Tensor | None = None) -> State:
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    awaited = x[:0] if pending is None else pending
    return State(BOX, Dataset(x, x), ThresholdModel(thresholds), None, awaited, round=1)


def _votes(state: State, x: Tensor) -> list[int]:
    """Return how many members vote for the upper side at each point."""
    return state.model.committee(x)[:, :, 0].sum(dim=0).int().tolist()


def _plan(state: State, n: int, seed: int = 0) -> Tensor:
    strategy = make_strategy("boundary(n_candidates=300)")
    return strategy.plan(state, n, generator=derive_generator(seed, "propose")).add


def test_the_first_point_halves_the_version_space() -> None:
    for seed in range(5):
        assert _votes(_state(), _plan(_state(), 1, seed)) == [4]
    uneven = _state((0.1, 0.11, 0.12, 0.13, 0.14, 0.9))
    assert _votes(uneven, _plan(uneven, 1)) == [3]


def test_a_batch_asks_different_questions() -> None:
    """Whatever the answers are, three points leave two of eight members."""
    votes = _votes(_state(), _plan(_state(), 3))
    assert votes[0] == 4
    assert sorted(votes) == [2, 4, 6]


def test_seven_points_tell_eight_members_apart() -> None:
    assert sorted(_votes(_state(), _plan(_state(), 7))) == [1, 2, 3, 4, 5, 6, 7]


def test_a_question_that_is_awaited_is_not_asked_again() -> None:
    half = torch.tensor([[0.5]], dtype=torch.float64)
    state = _state(pending=half)
    assert _votes(state, _plan(state, 1))[0] in (2, 6)


def test_what_is_at_stake_counts() -> None:
    """Of two doubts as large in bits, the one about the higher jump goes first."""

    @final
    @dataclass(frozen=True)
    class TwoJumps:
        def predict(self, x: Tensor) -> Tensor:
            return self.committee(x).mean(dim=0)

        def committee(self, x: Tensor) -> Tensor:
            low = [ThresholdModel(((0.2, 0.3)[i % 2],)).predict(x) for i in range(4)]
            high = [ThresholdModel(((0.7, 0.8)[i // 2],)).predict(x) for i in range(4)]
            return torch.stack([a + 3 * b for a, b in zip(low, high, strict=True)])

    state = replace(_state(), model=TwoJumps())
    x = _plan(state, 2)[:, 0].tolist()
    assert 0.7 < x[0] <= 0.8
    assert 0.2 < x[1] <= 0.3


def test_the_deviation_decides_where_no_side_is_in_doubt() -> None:
    @final
    @dataclass(frozen=True)
    class Certain:
        def predict(self, x: Tensor) -> Tensor:
            return x

        def committee(self, x: Tensor) -> Tensor:
            return x.expand(3, -1, -1)

        def std(self, x: Tensor) -> Tensor:
            return torch.exp(-200 * (x - 0.3).square())

    state = replace(_state(), model=Certain())
    assert abs(float(_plan(state, 1)) - 0.3) < 0.02
