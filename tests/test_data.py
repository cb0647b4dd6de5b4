import pytest
import torch

from adaptsample import Dataset


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
