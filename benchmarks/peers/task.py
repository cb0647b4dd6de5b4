"""A function to be approximated with a number of evaluations, each of them counted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias, final

import numpy as np
import torch

from adaptsample import Box
from adaptsample.core import derive_generator
from adaptsample.oracles.protocol import Oracle
from benchmarks.peers.approximations import Array, Predict

Checkpoint: TypeAlias = tuple[int, Mapping[str, Predict]]
"""A number of evaluations, and what was made of them, by name."""


@final
class Task:
    """An exact function, and numbers of evaluations at which somebody shows an approximation.

    Args:
        oracle: the function; one output.
        sizes: the numbers of evaluations, ascending.
        seed: of everything random.
        first: evaluations of the initial design of those who choose their points.
    """

    def __init__(self, oracle: Oracle, sizes: Sequence[int], seed: int, first: int) -> None:
        self._oracle = oracle
        self.sizes, self.seed, self.first = tuple(sizes), seed, first
        self.spent = 0

    def __call__(self, x: Array) -> Array:
        """Evaluate n points (n, d), and charge them."""
        self.spent += len(x)
        value = self._oracle(torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64)))
        return np.asarray(value[:, 0])

    def afresh(self) -> None:
        """Forget what was spent: what comes knows nothing of it."""
        self.spent = 0

    @property
    def domain(self) -> Box:
        """The box of all points."""
        return self._oracle.domain

    @property
    def bounds(self) -> Array:
        """Lower and upper bounds (d, 2)."""
        return np.array(self.domain.bounds)

    def sobol(self, n: int) -> Array:
        """Return the first n points of the Sobol sequence with which samplers of the seed begin."""
        points = self.domain.sobol(n, generator=derive_generator(self.seed, "initial"))
        return np.asarray(points)

    def chebyshev(self, n: int) -> Array:
        """Return Chebyshev points."""
        generator = derive_generator(self.seed, "initial")
        return np.asarray(self.domain.chebyshev(n, generator=generator))

    def totals(self, growth: float) -> Iterator[int]:
        """Yield numbers of evaluations that grow by a factor, all sizes among them."""
        total = min(self.first, self.sizes[0])
        yield total
        for size in self.sizes:
            while total < size:
                grown = max(total + 1, round(growth * total))
                is_rest_small = size - grown < (grown - total) / 2
                total = size if is_rest_small else grown
                yield total


Run: TypeAlias = Callable[[Task], Iterator[Checkpoint]]
"""Spends evaluations on a task; shows approximations at its sizes, and at others if it likes."""
