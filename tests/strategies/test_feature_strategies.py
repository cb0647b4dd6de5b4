"""Strategies that choose by features, against exhaustive search and small examples by hand."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from adaptsample.acquisition import FeatureStrategy, Rows
from adaptsample.core import derive_generator
from adaptsample.registry import make_strategy
from tests.acquisition.test_linear_posterior import variances

NOISE = 1e-3


def _rows(n: int, f: int, seed: int, role: str) -> Tensor:
    return torch.randn(n, f, dtype=torch.float64, generator=derive_generator(seed, role))


def _line(*places: float) -> Tensor:
    return torch.tensor(places, dtype=torch.float64)[:, None]


def _choose(name: str, new: Tensor, known: Tensor, n: int, seed: int = 0) -> list[int]:
    strategy: Any = make_strategy(name)
    assert isinstance(strategy, FeatureStrategy)
    generator = derive_generator(seed, "choose")
    return strategy.choose_rows(Rows(new, known), n, generator=generator).tolist()


def _greedy(value: Callable[[Tensor], Tensor], new: Tensor, known: Tensor, n: int) -> list[int]:
    """Add the candidate with which the value of what is known is highest, again and again."""
    chosen: list[int] = []
    for _ in range(n):
        now = torch.cat([known, new[chosen]])
        left = [i for i in range(len(new)) if i not in chosen]
        values = {i: float(value(torch.cat([now, new[i : i + 1]]))) for i in left}
        chosen.append(max(left, key=values.__getitem__))
    return chosen


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_known", [1, 4, 15])
def test_max_det_has_the_greedily_largest_determinant(n_known: int, seed: int) -> None:
    new, known = _rows(12, 6, seed, "new"), _rows(n_known, 6, seed, "known")

    def determinant(rows: Tensor) -> Tensor:
        return torch.logdet(torch.eye(len(rows)).double() + rows @ rows.T / NOISE**2)

    assert _choose("max_det", new, known, 8) == _greedy(determinant, new, known, 8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_known", [1, 4, 15])
def test_integrated_variance_shrinks_the_variance_of_the_candidates_most(
    n_known: int, seed: int
) -> None:
    new, known = _rows(12, 6, seed, "new"), _rows(n_known, 6, seed, "known")
    expected = _greedy(lambda rows: -variances(new, rows, NOISE).sum(), new, known, 8)
    assert _choose("integrated_variance", new, known, 8) == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_known", [1, 4, 15])
def test_bait_shrinks_the_variance_of_candidates_and_known_points(n_known: int, seed: int) -> None:
    new, known = _rows(12, 6, seed, "new"), _rows(n_known, 6, seed, "known")
    everything = torch.cat([new, known])
    expected = _greedy(lambda rows: -variances(everything, rows, NOISE).sum(), new, known, 8)
    assert _choose("bait", new, known, 8) == expected


def test_core_set_takes_what_is_farthest_from_all_that_is_known_or_chosen() -> None:
    new, known = _line(1, 5, 6, 10), _line(0)
    assert _choose("core_set", new, known, 2) == [3, 1]  # 10; then 5 is 5 away, and 6 is 4
    assert _choose("core_set", _line(1, 4, 5.5, 10), _line(0), 4) == [3, 2, 1, 0]
    assert _choose("core_set", _line(1, -7, 6), known[:0], 1) == [1]  # the longest


def test_lcmd_takes_the_farthest_of_the_largest_cluster() -> None:
    # sums of squares: 4 + 4 + 9 around 0, and 16 around 100, where the farthest of all is;
    # then 16; then -2 alone around 0, and 2 around 3
    new, known = _line(-2, 2, 3, 96), _line(0, 100)
    assert _choose("lcmd", new, known, 4) == [2, 3, 0, 1]
    assert _choose("core_set", new, known, 1) == [3]


def test_lcmd_begins_with_the_longest_where_nothing_is_known() -> None:
    assert _choose("lcmd", _line(1, -7, 6), _line(), 1) == [1]


def test_k_means_plus_plus_draws_by_the_squared_distance() -> None:
    new, known = _line(1, 2, 4), _line(0)
    squares = {0: 1.0, 1: 4.0, 2: 16.0}
    left = {(0, 1): 1.0, (0, 2): 9.0, (1, 0): 1.0, (1, 2): 4.0, (2, 0): 1.0, (2, 1): 4.0}
    rest = {i: sum(v for pair, v in left.items() if pair[0] == i) for i in squares}
    share = {(i, j): squares[i] / 21 * v / rest[i] for (i, j), v in left.items()}
    draws = 3000
    counts = Counter(
        tuple(_choose("k_means_plus_plus", new, known, 2, seed=i)) for i in range(draws)
    )
    assert set(counts) <= set(share)
    chi_square = sum((counts[p] - draws * s) ** 2 / (draws * s) for p, s in share.items())
    assert chi_square < 20.5  # 0.1 %, at 5 degrees


def test_k_means_plus_plus_begins_anywhere_where_nothing_is_known() -> None:
    new = _line(0, 1, 100)
    counts = Counter(_choose("k_means_plus_plus", new, new[:0], 1, seed=i)[0] for i in range(900))
    assert sum((counts[i] - 300) ** 2 / 300 for i in range(3)) < 13.8  # 0.1 %, at 2 degrees


NAMES = ["bait", "core_set", "integrated_variance", "k_means_plus_plus", "lcmd", "max_det"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_chosen_twice_where_features_repeat(name: str) -> None:
    """Rounding makes distances of points that are the same, and they may come in any order."""
    for seed in range(60):
        generator = derive_generator(seed, "repeat")
        sizes = 10 ** (4 * torch.rand(4, 1, dtype=torch.float64, generator=generator) - 2)
        different = sizes * torch.randn(4, 5, dtype=torch.float64, generator=generator)
        new = different[torch.randint(4, (12,), generator=generator)]
        known = different[: 1 + seed % 4]
        assert sorted(_choose(name, new, known, 12, seed=seed)) == list(range(12))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_features_that_are_all_the_same_are_survived(name: str, value: float) -> None:
    new = torch.full((9, 3), value, dtype=torch.float64)
    assert sorted(_choose(name, new, new[:2], 9)) == list(range(9))
