"""What a strategy sees."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from adaptsample import Box, Dataset, State
from adaptsample.core import derive_generator
from adaptsample.core.pool import is_among

BOX = Box({"x": (0, 4), "y": (-1, 1)})
SEQUENCE = BOX.sobol(40, generator=derive_generator(7, "initial"))


def _state(**parts: Any) -> State[None]:
    data = Dataset(SEQUENCE[:4], torch.stack([SEQUENCE[:4, 0] * 1e6, torch.ones(4)], dim=1))
    state = State(BOX, data, None, None, SEQUENCE[4:6], round=1, seed=7)
    return replace(state, **parts)


def test_what_is_evaluated_pending_or_failed_is_taken() -> None:
    assert torch.equal(_state().taken, SEQUENCE[:6])
    assert torch.equal(_state(failed=SEQUENCE[9:11]).taken, SEQUENCE[[0, 1, 2, 3, 4, 5, 9, 10]])


def test_candidates_are_points_of_the_box_or_rows_of_the_pool() -> None:
    x = _state().candidates(50, generator=derive_generator(0, "x"))
    assert x.shape == (50, 2)
    assert bool(BOX.contains(x).all())
    pool = SEQUENCE[10:30]
    some = _state(pool=pool).candidates(5, generator=derive_generator(0, "x"))
    assert bool(is_among(some, pool).all())
    assert len(torch.unique(some, dim=0)) == 5
    assert len(_state(pool=pool).candidates(50, generator=derive_generator(0, "x"))) == 20


def test_the_sequence_goes_on_with_what_was_not_asked_yet() -> None:
    assert torch.equal(_state().sobol(3), SEQUENCE[6:9])
    assert torch.equal(_state(failed=SEQUENCE[7:8]).sobol(3), SEQUENCE[[6, 8, 9]])
    elsewhere = BOX.uniform(5, generator=derive_generator(0, "elsewhere"))
    assert torch.equal(_state(failed=elsewhere).sobol(3), SEQUENCE[6:9])


def test_the_sequence_does_not_come_back_to_what_left_the_training_set() -> None:
    assert torch.equal(_state(retired=SEQUENCE[6:9]).sobol(3), SEQUENCE[9:12])
    rest = Dataset(SEQUENCE[3:4], SEQUENCE[3:4])
    assert torch.equal(_state(data=rest, retired=SEQUENCE[:3]).sobol(2), SEQUENCE[6:8])


def test_in_a_pool_the_sequence_goes_on_by_as_many_points_as_were_taken() -> None:
    assert torch.equal(_state(pool=BOX.grid(5)).sobol(3), SEQUENCE[6:9])


def test_distance_is_that_to_the_nearest_point_taken_in_the_unit_cube() -> None:
    x = BOX.uniform(30, generator=derive_generator(0, "x"))
    state = _state(failed=SEQUENCE[9:11])
    expected = torch.cdist(BOX.to_unit(x), BOX.to_unit(state.taken)).amin(dim=1)
    assert torch.allclose(state.distance(x), expected, rtol=0, atol=1e-7)
    assert float(state.distance(state.taken).max()) < 1e-7


def test_spread_is_the_standard_deviation_of_each_output_and_never_zero() -> None:
    expected = float((SEQUENCE[:4, 0] * 1e6).std(correction=0))
    assert _state().spread.tolist() == pytest.approx([expected, 1.0])


def test_everything_is_feasible_until_something_fails() -> None:
    x = BOX.grid(3)
    assert _state().feasibility(x).tolist() == [1.0] * 9
    assert _state(failed=x[:0]).feasibility(x).tolist() == [1.0] * 9
    assert float(_state(failed=x[:1]).feasibility(x).min()) < 1


def test_a_role_has_the_same_numbers_in_all_rounds() -> None:
    first, later, other = _state(), _state(round=9), _state(seed=8)
    draws = [torch.rand(4, generator=s.generator("target")) for s in (first, later, other)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
