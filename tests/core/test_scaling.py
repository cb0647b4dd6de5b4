"""Scalings, and the spread in which errors of several outputs compare."""

import pytest
import torch

from adaptsample.core import Scaling, derive_generator, spread_of


def _values(n: int = 20) -> torch.Tensor:
    g = derive_generator(0, "values")
    return torch.rand(n, 3, dtype=torch.float64, generator=g) * torch.tensor([1.0, 1e-9, 1e9])


def test_a_spread_is_the_standard_deviation_of_a_column() -> None:
    y = _values()
    mean_square = (y - y.mean(dim=0)).square().mean(dim=0)
    torch.testing.assert_close(spread_of(y).square(), mean_square)


@pytest.mark.parametrize("factor", [1e300, 1e-300])
def test_spreads_of_huge_and_tiny_values_neither_overflow_nor_vanish(factor: float) -> None:
    y = _values()[:, :1]
    assert float(spread_of(y * factor)) == pytest.approx(float(spread_of(y)) * factor)


@pytest.mark.parametrize("level", [0.0, 3.7, -1e300])
def test_the_spread_of_what_is_constant_to_rounding_is_one(level: float) -> None:
    y = torch.full((9, 1), level, dtype=torch.float64)
    assert float(spread_of(y)) == 1
    y[4] = torch.nextafter(y[4], torch.tensor(torch.inf, dtype=torch.float64))
    assert float(spread_of(y)) == 1


@pytest.mark.parametrize("scaling", [Scaling.to_box, Scaling.to_moments])
def test_a_scaling_and_its_inverse_cancel(scaling) -> None:
    y = _values()
    torch.testing.assert_close(scaling(y).inverse(scaling(y).forward(y)), y)


def test_a_box_is_scaled_to_the_cube_and_moments_to_zero_and_one() -> None:
    y = _values()
    u, z = Scaling.to_box(y).forward(y), Scaling.to_moments(y).forward(y)
    one = torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(u.amin(dim=0), -one)
    torch.testing.assert_close(u.amax(dim=0), one)
    torch.testing.assert_close(z.mean(dim=0), 0 * one, atol=1e-12, rtol=0)
    torch.testing.assert_close(spread_of(z), one)
