from typing import get_args

import pytest
import torch

from adaptsample import Box
from adaptsample.loop.initial_design import initial_points
from adaptsample.loop.specification import Design, Specification

BOX = Box({"x": (0, 1), "y": (-2, 3)})


@pytest.mark.parametrize("design", get_args(Design))
def test_a_design_asked_in_parts_is_the_design(design: Design) -> None:
    spec = Specification(BOX, surrogate="polynomial", n_initial=9, design=design, seed=3)
    whole = initial_points(spec, 0, None)
    assert whole.shape == (9, 2)
    assert bool(BOX.contains(whole).all())
    parts = [initial_points(spec, 0, 4), initial_points(spec, 4, 4), initial_points(spec, 8, None)]
    assert torch.equal(torch.cat(parts), whole)


def test_who_asks_for_more_gets_points_that_fill_the_space() -> None:
    spec = Specification(BOX, surrogate="polynomial", n_initial=4, batch_size=3)
    assert len(initial_points(spec, 4, None)) == 3
    more = initial_points(spec, 2, 5)
    assert len(more) == 5
    assert torch.equal(more[2:], initial_points(spec, 4, 3))
