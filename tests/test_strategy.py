"""The parts that strategies are made of, against exact answers."""

import pytest
import torch

from adaptsample import (
    Box,
    Dataset,
    DropAll,
    DropLowest,
    Highest,
    KeepAll,
    SoftmaxDraw,
    State,
    derive_generator,
    model_change,
)
from benchmarks._referee import PlaneModel

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


def test_retirements() -> None:
    state = _state(_model(2, 0))  # residuals 0, 0.5, 6; changes 1, 0, 1
    assert KeepAll().retire(state).tolist() == []
    assert DropAll().retire(state).tolist() == [0, 1, 2]
    assert DropLowest("residual").retire(state).tolist() == [0]
    assert DropLowest("residual", n=2).retire(state).tolist() == [0, 1]
    assert DropLowest("change").retire(state).tolist() == [1]
    assert len(DropLowest("change", n=9).retire(state)) == 2


def test_highest_takes_the_best_first() -> None:
    score = torch.tensor([1.0, 9.0, 3.0, 7.0])
    assert Highest().select(score, 2, generator=torch.Generator()).tolist() == [1, 3]


def test_softmax_draws_with_the_probabilities_it_says() -> None:
    score = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    draw = SoftmaxDraw(temperature=2.0, absolute=True)
    counts = torch.zeros(4)
    for i in range(4000):
        counts[draw.select(score, 1, generator=derive_generator(i, "draw"))] += 1
    expected = 4000 * torch.softmax(score / 2, dim=0)
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 16.3  # 0.1 % of draws with 3 degrees of freedom are above


def test_softmax_respects_the_quantile_and_still_finds_enough() -> None:
    score = torch.arange(10, dtype=torch.float64)
    draw = SoftmaxDraw(quantile=0.7)
    for i in range(50):
        chosen = draw.select(score, 2, generator=derive_generator(i, "draw"))
        assert min(chosen.tolist()) >= 7
        assert len(set(chosen.tolist())) == 2
    many = draw.select(score, 8, generator=derive_generator(0, "draw"))
    assert sorted(many.tolist()) == list(range(2, 10))


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e300])
def test_softmax_survives_scores_of_any_size(scale: float) -> None:
    score = torch.arange(10, dtype=torch.float64) * scale
    for absolute in (False, True):
        draw = SoftmaxDraw(absolute=absolute)
        chosen = draw.select(score, 3, generator=derive_generator(0, "draw"))
        assert len(set(chosen.tolist())) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SoftmaxDraw(quantile=1.0),
        lambda: SoftmaxDraw(temperature=0.0),
        lambda: DropLowest("nothing"),
        lambda: DropLowest(n=0),
    ],
)
def test_wrong_parts_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
