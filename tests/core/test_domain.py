import math

import numpy as np
import pytest
import torch

from adaptsample import Box
from adaptsample.core import derive_generator


@pytest.fixture
def generator() -> torch.Generator:
    return derive_generator(0, "test")


@pytest.mark.parametrize(
    ("pair", "word"),
    [
        ((1, 0), "reversed"),
        ((1, 1), "equal"),
        ((math.nan, 1), "not finite"),
        ((0, math.inf), "not finite"),
        ((-1e308, 1e308), "not finite"),
        ((0,), "low < high"),
        ((0, 1, 2), "low < high"),
        ("01", "low < high"),
        (("0", "1"), "not numbers"),
        (None, "low < high"),
        (5, "low < high"),
    ],
)
def test_bad_bounds_are_refused_by_the_name_of_their_variable(pair: object, word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        Box({"x": (0, 1), "pressure": pair})  # type: ignore[dict-item]
    assert "'pressure'" in str(caught.value)


@pytest.mark.parametrize("bounds", [{}, None, [(0, 1)], "x"])
def test_a_box_needs_named_variables(bounds: object) -> None:
    with pytest.raises(ValueError, match="at least one variable"):
        Box(bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", " x", "x\n", "a\x00b", 3])
def test_odd_names_are_refused(name: object) -> None:
    with pytest.raises(ValueError, match="name"):
        Box({name: (0, 1)})  # type: ignore[dict-item]


@pytest.mark.parametrize("method", ["uniform", "sobol", "latin_hypercube"])
@pytest.mark.parametrize("d", [1, 2, 7])
def test_points_lie_in_the_box_and_follow_from_the_generator(method: str, d: int) -> None:
    box = Box({f"x{i}": (-10.0 * i - 1, 0.1) for i in range(d)})
    draw = getattr(box, method)
    x = draw(37, generator=derive_generator(1, "a"))
    assert x.shape == (37, d)
    assert x.dtype == torch.float64
    assert bool(box.contains(x).all())
    assert torch.equal(x, draw(37, generator=derive_generator(1, "a")))
    assert not torch.equal(x, draw(37, generator=derive_generator(2, "a")))


def test_a_longer_sobol_sequence_begins_with_the_shorter_one(box: Box) -> None:
    short = box.sobol(10, generator=derive_generator(3, "a"))
    long = box.sobol(25, generator=derive_generator(3, "a"))
    assert torch.equal(long[:10], short)


@pytest.mark.parametrize("method", ["sobol", "latin_hypercube"])
def test_designs_put_one_point_in_each_slice(method: str, generator: torch.Generator) -> None:
    box = Box({"x": (0, 1), "y": (0, 1), "z": (0, 1)})
    x = getattr(box, method)(64, generator=generator)
    for column in x.T:
        assert sorted((column * 64).long().tolist()) == list(range(64))


def test_grid_has_corners_and_the_last_variable_runs_fastest(box: Box) -> None:
    grid = box.grid(3)
    assert grid[0].tolist() == [0, -2]
    assert grid[1].tolist() == [0, 0.5]
    assert grid[-1].tolist() == [1, 3]
    assert grid.shape == (9, 2)
    assert Box({"x": (0, 1)}).grid(5).shape == (5, 1)
    with pytest.raises(ValueError, match="at least 2"):
        box.grid(1)


def test_unit_cube_round_trip_never_leaves_the_box(generator: torch.Generator) -> None:
    box = Box({"a": (0.1, 0.3), "b": (-1e-300, 1e300), "c": (1, 1 + 1e-15)})
    corners = torch.tensor([[0.0, 0, 0], [1, 1, 1]], dtype=torch.float64)
    assert torch.equal(box.from_unit(corners), torch.stack([box.lower, box.upper]))
    u = torch.rand(1000, 3, dtype=torch.float64, generator=generator)
    assert bool(box.contains(box.from_unit(u)).all())
    assert torch.allclose(box.to_unit(box.from_unit(u))[:, :2], u[:, :2], atol=1e-12)


def test_membership(box: Box) -> None:
    assert torch.tensor([0.0, 3.0]) in box
    assert torch.tensor([0.0, 3.1]) not in box
    assert torch.tensor([math.nan, 0.0]) not in box
    assert Box({"x": (0, 1)}) == Box({"x": (0.0, 1.0)})
    assert hash(box) == hash(Box({"x": (0, 1), "y": (-2, 3)}))


def test_chebyshev_points_of_one_variable_are_the_classical_ones(
    generator: torch.Generator,
) -> None:
    box = Box({"x": (-1, 1)})
    expected = np.polynomial.chebyshev.chebpts2(9)
    assert np.allclose(box.chebyshev(9, generator=generator)[:, 0], expected, atol=1e-15)
    assert abs(float(box.chebyshev(1, generator=generator))) < 1e-15


def test_mapped_chebyshev_points_keep_the_ends_and_are_more_even_inside(
    generator: torch.Generator,
) -> None:
    box = Box({"x": (-1, 3)})
    plain, mapped = (
        draw(40, generator=generator)[:, 0] for draw in (box.chebyshev, box.mapped_chebyshev)
    )
    assert mapped[0] == -1
    assert mapped[-1] == 3
    assert float(mapped.diff().min()) > 2 * float(plain.diff().min())
    assert float(mapped.diff().max()) < 0.8 * float(plain.diff().max())
    assert abs(float(box.mapped_chebyshev(1, generator=generator)) - 1) < 1e-12


def test_chebyshev_points_of_several_variables_crowd_at_the_ends_of_each(
    generator: torch.Generator,
) -> None:
    x = Box({"x": (0, 1), "y": (0, 1)}).chebyshev(1024, generator=generator)
    share = ((x < 0.1) | (x > 0.9)).double().mean(dim=0)  # arcsine law: 2/pi * arccos(0.8)
    assert torch.allclose(share, torch.tensor(0.4097, dtype=torch.float64), atol=0.01)
