"""Fixtures and fakes that several tests share."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
import rich.console  # noqa: F401  # draws from random when it is first imported
import torch

from adaptsample import Box
from adaptsample.surrogates.auto import Auto, Member
from adaptsample.surrogates.crease import Crease
from adaptsample.surrogates.gaussian_process import GaussianProcess
from adaptsample.surrogates.jump import Jump
from adaptsample.surrogates.mlp import MLP
from adaptsample.surrogates.polynomial import Polynomial
from adaptsample.training import LevenbergMarquardt

torch.set_num_threads(1)  # the matrices are small: more threads are slower

QUICK_NETWORK = MLP((3,), training=LevenbergMarquardt(starts=2, iterations=10))

SMALL_AUTO = Auto(
    members=(
        Member("polynomial", Polynomial()),
        Member("crease", Crease(n_starts=10, n_climbs=0), Crease(n_starts=0)),
        Member("gaussian_process", GaussianProcess(), has_prior=True),
        Member("jump", Jump(operations=0), n_transforms=None, max_dimension=4),
        Member("network", QUICK_NETWORK, is_bold=True),
    ),
    transforms=("identity",),
)
"""All kinds of members, with less work than the default portfolio."""


class CountingFunction:
    """A function that counts the points it was asked, as its own referee."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, ...]] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the product of sines."""
        self.calls += map(tuple, x.tolist())
        return np.sin(3 * x).prod(axis=1)


@pytest.fixture
def box() -> Box:
    return Box({"x": (0, 1), "y": (-2, 3)})


@pytest.fixture(autouse=True)
def _global_randomness_is_untouched() -> Iterator[None]:
    """Hold for every test: the library never draws from a global generator."""
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]
