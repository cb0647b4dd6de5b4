"""Distances in blocks, against the definition."""

from math import inf

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adaptsample.acquisition import DistancesToOne, distances, k_nearest, nearest
from adaptsample.core import derive_generator


def _points(n: int, f: int, seed: int, role: str) -> Tensor:
    """Draw points of which some coincide."""
    generator = derive_generator(seed, role)
    return torch.randint(-3, 4, (n, f), generator=generator).double() * 0.7 + 5


def _by_definition(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, None] - b).square().sum(dim=2)


def _assert_same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@settings(deadline=None, derandomize=True)
@given(
    n=st.integers(1, 9),
    m=st.integers(1, 40),
    f=st.integers(1, 4),
    block=st.sampled_from([1, 2, 7, 50, 2**16]),
    seed=st.integers(0, 999),
)
def test_the_nearest_are_found_in_blocks_of_any_size(
    n: int, m: int, f: int, block: int, seed: int
) -> None:
    x, others = _points(n, f, seed, "x"), _points(m, f, seed, "others")
    expected, k = _by_definition(x, others), 1 + seed % m
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_BLOCK", block)
        squares, positions = k_nearest(x, others, k)
        lowest, position = nearest(x, others)
    assert positions.dtype == position.dtype == torch.int64
    _assert_same(squares, expected.sort(dim=1).values[:, :k])
    _assert_same(squares, expected.gather(1, positions))
    assert all(len(set(row)) == k for row in positions.tolist())
    _assert_same(lowest, expected.amin(dim=1))
    _assert_same(lowest, expected.gather(1, position[:, None])[:, 0])


def test_a_squared_distance_is_never_negative() -> None:
    x = torch.full((5, 3), 1e8 / 3, dtype=torch.float64)
    assert bool((nearest(x, x)[0] >= 0).all())
    assert bool((k_nearest(x, x, 3)[0] >= 0).all())


def test_nothing_is_near_where_there_are_no_others() -> None:
    x = _points(3, 2, 0, "x")
    squares, positions = nearest(x, x[:0])
    assert squares.tolist() == [inf] * 3
    assert positions.tolist() == [0] * 3


def test_nothing_has_no_neighbours() -> None:
    x = _points(3, 2, 0, "x")
    assert [len(found) for found in nearest(x[:0], x)] == [0, 0]
    assert [tuple(found.shape) for found in k_nearest(x[:0], x, 2)] == [(0, 2), (0, 2)]


def test_distances_to_one_after_another_are_those_of_a_table() -> None:
    x = torch.randn(50, 7, dtype=torch.float64, generator=derive_generator(0, "x"))
    away, table = DistancesToOne(x), _by_definition(x, x)
    for i in (0, 7, 49):
        torch.testing.assert_close(away(i), table[i], atol=1e-12, rtol=0)
    torch.testing.assert_close(away.squares, x.norm(dim=1).square())
