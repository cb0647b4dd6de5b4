import pytest
import torch

from adaptsample import Box
from adaptsample.metrics.errors import errors, reference_points, reference_set
from adaptsample.oracles import ExpressionOracle


def test_the_reference_set_is_fixed_by_the_dimension() -> None:
    sizes = {1: 2001, 2: 10_000, 3: 8192, 6: 8192}
    for d, n in sizes.items():
        box = Box({f"x{i}": (0, 1) for i in range(d)})
        x = reference_points(box)
        assert x.shape == (n, d)
        assert torch.equal(x, reference_points(box))


def test_points_without_an_exact_value_are_left_out() -> None:
    data = reference_set(ExpressionOracle("log(x)", {"x": (-1, 1)}))
    assert len(data) == 1000
    assert bool((data.x > 0).all())


def test_errors_are_the_textbook_ones() -> None:
    predicted = torch.tensor([[1.0], [2.0], [5.0]], dtype=torch.float64)
    exact = torch.tensor([[1.0], [1.0], [1.0]], dtype=torch.float64)
    assert errors(predicted, exact) == pytest.approx(
        {"mae": 5 / 3, "rmse": (17 / 3) ** 0.5, "max": 4.0}
    )
    assert errors(exact, exact) == {"mae": 0.0, "rmse": 0.0, "max": 0.0}


def test_squares_of_large_errors_do_not_overflow() -> None:
    huge = torch.full((3, 1), 1e300, dtype=torch.float64)
    assert errors(huge, torch.zeros_like(huge))["rmse"] == pytest.approx(1e300)
