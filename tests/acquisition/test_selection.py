"""How a batch is selected, against exact answers and the laws that draws are said to follow."""

from collections import Counter
from collections.abc import Sequence
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adaptsample.acquisition import (
    Candidates,
    Dispersed,
    Highest,
    PowerDraw,
    Selection,
    SoftmaxDraw,
)
from adaptsample.core import derive_generator


def _select(
    selection: Selection,
    score: Sequence[float] | Tensor,
    n: int,
    *,
    x: Sequence[float] = (),
    taken: Sequence[float] = (),
    seed: int = 0,
) -> list[int]:
    """Select from candidates in one variable."""
    score = torch.as_tensor(score, dtype=torch.float64)
    places = torch.linspace(0, 1, len(score), dtype=torch.float64)
    if x:
        places = torch.tensor(x, dtype=torch.float64)
    known = torch.tensor(taken, dtype=torch.float64)
    candidates = Candidates(places[:, None], known[:, None])
    generator = derive_generator(seed, "select")
    return selection.select(score, n, candidates=candidates, generator=generator).tolist()


def _chi_square(selection: Selection, score: Sequence[float], shares: Tensor, draws: int) -> float:
    counts = torch.zeros(len(score), dtype=torch.float64)
    for i in range(draws):
        counts[_select(selection, score, 1, seed=i)] += 1
    expected = draws * shares
    return float(((counts - expected) ** 2 / expected).sum())


def test_highest_takes_the_best_first() -> None:
    assert _select(Highest(), [1.0, 9.0, 3.0, 7.0], 2) == [1, 3]


def test_softmax_draws_with_the_probabilities_it_says() -> None:
    score = [0.0, 1.0, 2.0, 3.0]
    shares = torch.softmax(torch.tensor(score).double() / 2, dim=0)
    draw = SoftmaxDraw(temperature=2.0, absolute=True)
    assert _chi_square(draw, score, shares, 4000) < 16.3  # 0.1 % of draws are above, at 3 degrees


def test_the_temperature_of_softmax_is_in_units_of_the_scores_spread() -> None:
    score = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    draws = [_select(SoftmaxDraw(), 1e9 * score + 7, 2, seed=i) for i in range(50)]
    assert draws == [_select(SoftmaxDraw(), score, 2, seed=i) for i in range(50)]
    assert draws != [_select(SoftmaxDraw(temperature=0.1), score, 2, seed=i) for i in range(50)]


def test_softmax_respects_the_quantile_and_still_finds_enough() -> None:
    draw = SoftmaxDraw(quantile=0.7)
    for i in range(50):
        chosen = _select(draw, range(10), 2, seed=i)
        assert min(chosen) >= 7
        assert len(set(chosen)) == 2
    assert sorted(_select(draw, range(10), 8)) == list(range(2, 10))


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e300])
@pytest.mark.parametrize(
    "selection",
    [SoftmaxDraw(), SoftmaxDraw(absolute=True), PowerDraw(), PowerDraw(2.0, 0.0), Dispersed()],
)
def test_scores_of_any_size_are_survived(selection: Selection, scale: float) -> None:
    score = torch.arange(10, dtype=torch.float64) / 10 * scale
    assert len(set(_select(selection, score, 10))) == 10


ERRORS = [0.1, 0.0, 0.7, 0.2, 3.0, 1.0]


@pytest.mark.parametrize(("power", "constant"), [(1.0, 1.0), (2.0, 0.5), (0.5, 0.0), (0.0, 0.0)])
def test_power_draw_follows_the_law_of_residual_based_adaptive_distribution(
    power: float, constant: float
) -> None:
    """p ~ err^k / mean(err^k) + c (Wu et al. 2023, equation 2)."""
    score = ERRORS if power == 1.0 else [e + 0.1 for e in ERRORS]
    weight = torch.tensor(score, dtype=torch.float64) ** power
    weight = weight / weight.mean() + constant
    draw = PowerDraw(power, constant)
    assert _chi_square(draw, score, weight / weight.sum(), 4000) < 20.5  # 0.1 %, at 5 degrees


def test_rar_d_is_power_2_without_a_constant() -> None:
    """k = 2, c = 0: a candidate without error is drawn only when nothing else is left."""
    weight = torch.tensor(ERRORS, dtype=torch.float64) ** 2
    known = weight > 0
    counts = torch.zeros(len(ERRORS), dtype=torch.float64)
    for i in range(4000):
        counts[_select(PowerDraw(2.0, 0.0), ERRORS, 1, seed=i)] += 1
    assert int(counts[1]) == 0
    expected = 4000 * (weight / weight.sum())[known]
    assert float(((counts[known] - expected) ** 2 / expected).sum()) < 18.5  # at 4 degrees
    assert _select(PowerDraw(2.0, 0.0), ERRORS, 6)[-1] == 1


def test_power_draw_without_replacement_repeats_nothing_and_keeps_the_law() -> None:
    """Each further draw is from what is left, with the same weights."""
    score = [0.5, 2.0, 1.0]
    weight = torch.tensor(score, dtype=torch.float64)
    p = (weight / weight.mean() + 1) / (weight / weight.mean() + 1).sum()
    counts = Counter(tuple(_select(PowerDraw(), score, 2, seed=i)) for i in range(4000))
    pairs = list(permutations(range(3), 2))
    assert set(counts) <= set(pairs)
    expected = {(i, j): 4000 * float(p[i] * p[j] / (1 - p[i])) for i, j in pairs}
    chi_square = sum((counts[pair] - e) ** 2 / e for pair, e in expected.items())
    assert chi_square < 20.5  # 0.1 %, at 5 degrees


def test_dispersed_weighs_the_score_by_the_distance_to_all_that_is_taken_or_chosen() -> None:
    score, x, taken = [1.0, 0.8, 0.5], [0.1, 0.2, 0.9], [0.0]
    # 0.1, 0.16, 0.45; then 0.1, 0.16; and the order of squared distances is the same
    assert _select(Dispersed(), score, 3, x=x, taken=taken) == [2, 1, 0]
    assert _select(Dispersed(power=2.0), score, 2, x=x, taken=taken) == [2, 1]
    assert _select(Dispersed(power=0.0), score, 3, x=x, taken=taken) == [0, 1, 2]
    assert _select(Dispersed(n_best=2), score, 2, x=x, taken=taken) == [1, 0]
    assert _select(Dispersed(n_best=1), score, 3, x=x, taken=taken) == [2, 1, 0]


def test_the_first_is_the_best_where_nothing_is_taken() -> None:
    assert _select(Dispersed(), [1.0, 3.0, 2.9], 2, x=[0.0, 0.5, 0.6]) == [1, 0]


@pytest.mark.parametrize("score", [[0.0] * 4, [-1.0] * 4])
def test_distance_decides_where_no_score_is_above_zero(score: list[float]) -> None:
    x, taken = [0.05, 0.5, 0.9, 1.0], [0.0]
    assert _select(Dispersed(), score, 4, x=x, taken=taken) == [3, 1, 2, 0]


def test_nothing_is_chosen_twice_where_the_rest_is_not_wanted() -> None:
    assert sorted(_select(Dispersed(), [1.0, 0.0, 0.0, 0.0], 4)) == [0, 1, 2, 3]
    x, taken = [0.0, 0.0, 0.5], [0.0, 0.5]
    assert sorted(_select(Dispersed(), [1.0, 1.0, 1.0], 3, x=x, taken=taken)) == [0, 1, 2]


_UNIT = st.floats(0, 1, allow_subnormal=False)


@settings(deadline=None, derandomize=True)
@given(
    rows=st.lists(st.tuples(st.floats(-1, 2), _UNIT), min_size=1, max_size=8),
    taken=st.lists(_UNIT, max_size=3),
    power=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    data=st.data(),
)
def test_dispersed_is_greedy(
    rows: list[tuple[float, float]], taken: list[float], power: float, data: st.DataObject
) -> None:
    score, x = [row[0] for row in rows], [row[1] for row in rows]
    n = data.draw(st.integers(1, len(rows)))
    chosen = _select(Dispersed(power=power), score, n, x=x, taken=taken)
    assert len(set(chosen)) == n
    weight = [max(s, 0.0) for s in score]
    weight = [w / max(weight) for w in weight] if max(weight) > 0 else [1.0] * len(rows)
    near = list(taken)
    for i in chosen:
        values = [
            w * min([abs(place - other) for other in near] + [1.0]) ** power
            for w, place in zip(weight, x, strict=True)
        ]
        left = [v for j, v in enumerate(values) if j not in chosen[: chosen.index(i)]]
        assert values[i] >= max(left) - 1e-3 * (power < 1) - 1e-7  # rounding of distances
        near.append(x[i])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SoftmaxDraw(quantile=1.0),
        lambda: SoftmaxDraw(temperature=0.0),
        lambda: PowerDraw(power=-1.0),
        lambda: PowerDraw(constant=-0.1),
        lambda: PowerDraw(power=float("nan")),
        lambda: Dispersed(power=-1.0),
        lambda: Dispersed(n_best=0),
    ],
)
def test_wrong_options_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
