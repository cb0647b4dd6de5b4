import pytest
import torch

from adaptsample import Dataset
from adaptsample.core import derive_generator


def _data(n: int, k: int = 1, *, gradient: bool = False) -> Dataset:
    x = torch.arange(2.0 * n, dtype=torch.float64).reshape(n, 2)
    y = torch.arange(float(k * n), dtype=torch.float64).reshape(n, k)
    return Dataset(x, y, torch.ones(n, k, 2, dtype=torch.float64) if gradient else None)


def test_it_grows_by_plus_and_shrinks_by_without() -> None:
    both = _data(3) + _data(2)
    assert len(both) == 5
    assert both.without(torch.tensor([0, 4])).x.tolist() == both.x[1:4].tolist()
    assert both.gradient is None
    assert len(_data(3)) == 3


def test_points_without_a_gradient_have_nan_rows() -> None:
    both = _data(2) + _data(1, gradient=True)
    assert both.gradient is not None
    assert torch.isnan(both.gradient[:2]).all()
    assert torch.equal(both.gradient[2], torch.ones(1, 2, dtype=torch.float64))
    assert both.without(torch.tensor([0])).gradient.shape == (2, 1, 2)


def test_empty_is_neutral_for_length() -> None:
    assert len(Dataset.empty(2)) == 0
    assert len(Dataset.empty(2) + _data(2)) == 2


@pytest.mark.parametrize(
    ("x", "y"),
    [((2, 2), (3, 1)), ((2,), (2, 1)), ((2, 2), (2,))],
)
def test_shapes_must_fit(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="same n"):
        Dataset(torch.zeros(x), torch.zeros(y))


def test_gradient_must_fit() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1, 2\)"):
        Dataset(torch.zeros(2, 2), torch.zeros(2, 1), torch.zeros(2, 2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_must_be_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Dataset(torch.zeros(1, 1), torch.full((1, 1), bad))


@pytest.mark.parametrize("shares", [(0.7, 0.15, 0.15), (0.85, 0.15), (1.0,), (0.5, 0.3, 0.2)])
def test_a_split_gives_each_point_to_one_part_and_keeps_the_order(
    shares: tuple[float, ...],
) -> None:
    data = _data(20, gradient=True)
    parts = data.split(*shares, generator=derive_generator(0, "split"))
    assert [len(part) for part in parts] == [round(20 * share) for share in shares]
    rows = [row for part in parts for row in part.x[:, 0].tolist()]
    assert sorted(rows) == data.x[:, 0].tolist()
    assert all(part.x[:, 0].diff().gt(0).all() for part in parts)
    assert all(torch.equal(part.gradient, torch.ones(len(part), 1, 2)) for part in parts)


def test_parts_of_a_split_are_drawn_anew_by_another_generator() -> None:
    one, other = (
        _data(20).split(0.5, 0.5, generator=derive_generator(seed, "split"))[0] for seed in (0, 1)
    )
    assert not torch.equal(one.x, other.x)


@pytest.mark.parametrize("shares", [(), (0.5,), (0.7, 0.7), (1.2, -0.2), (1.0, 0.0)])
def test_shares_of_a_split_are_positive_and_add_up_to_one(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        _data(3).split(*shares, generator=derive_generator(0, "split"))


def test_rows_come_in_the_order_in_which_they_are_named() -> None:
    assert _data(3).rows(torch.tensor([2, 0])).x[:, 0].tolist() == [4.0, 0.0]
