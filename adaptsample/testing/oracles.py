"""The contract that every oracle keeps."""

from typing import ClassVar

import torch
from torch import Tensor

from adaptsample.core.domain import Box
from adaptsample.core.pool import is_among
from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points
from adaptsample.oracles.protocol import (
    Differentiable,
    Finite,
    Joint,
    Oracle,
    Stochastic,
    SupportsExact,
)
from adaptsample.testing.contract import (
    Contract,
    check_gradient,
    check_numbers,
    does_not_apply,
    global_randomness_untouched,
)


class OracleContract(Contract):
    """What an oracle promises; derive a test class of yours and name the oracle.

    Attributes:
        oracle: the oracle.
        n_points: how many points each test asks, or somewhat more: few for an expensive oracle.
    """

    oracle: Oracle
    n_points: ClassVar[int] = 50

    def test_an_oracle_names_its_domain_and_the_number_of_its_outputs(self) -> None:
        """Both are known before anything is paid."""
        oracle = self.oracle
        assert isinstance(oracle, Oracle), (
            f"{type(oracle).__name__} must have domain, n_outputs and __call__"
        )
        domain, k = oracle.domain, oracle.n_outputs
        assert isinstance(domain, Box), f"domain must be a Box, and is a {type(domain).__name__}"
        assert isinstance(k, int), f"n_outputs must be an integer, and is {k!r}"
        assert k >= 1, f"n_outputs must be at least 1, and is {k}"

    def test_values_are_finite_on_the_closed_domain(self) -> None:
        """A value that is not finite is a failed evaluation, and charged."""
        x = torch.cat([self.points(), self._corners()])
        asked = x.clone()
        with global_randomness_untouched():
            y = self.oracle(x)
        check_numbers(y, (len(x), self.oracle.n_outputs), "the values")
        assert torch.equal(x, asked), "a call must leave the points as they are"

    def test_the_same_point_gets_the_same_value_in_any_batch(self) -> None:
        """Results are kept by point: none is paid twice."""
        x = self.points()
        y, i = self.oracle(x), len(x) // 2
        assert torch.equal(self.oracle(x.clone()), y), "the same points must get the same values"
        assert _close(self.oracle(x[i : i + 1]), y[i : i + 1]), (
            "a point must get the same value alone as among others"
        )
        assert _close(self.oracle(x.flip(0)), y.flip(0)), (
            "a point must get the same value in any order"
        )

    def test_the_gradient_is_the_slope_of_the_values(self) -> None:
        """Where the oracle is differentiable."""
        oracle = self.oracle
        if not isinstance(oracle, Differentiable) or isinstance(oracle, Finite):
            does_not_apply(f"{type(oracle).__name__} has no gradient between points")
        box = oracle.domain
        u = 0.01 + 0.98 * box.to_unit(self.points())
        atol = 1e-8 * max(float(oracle(self.points()).abs().max()), 1e-300)
        check_gradient(oracle, oracle.gradient, box, u, rtol=1e-6, atol=atol)

    def test_value_and_gradient_of_one_call_are_those_of_two(self) -> None:
        """Where both come from one call."""
        oracle = self.oracle
        if not isinstance(oracle, Joint):
            does_not_apply(f"{type(oracle).__name__} has no value_and_gradient")
        x = self.points()
        y, gradient = oracle.value_and_gradient(x)
        assert _close(y, oracle(x)), "value_and_gradient must give the values of a plain call"
        assert _close(gradient, oracle.gradient(x)), (
            "value_and_gradient must give the gradient that gradient gives"
        )

    def test_a_finite_pool_has_each_of_its_points_once(self) -> None:
        """Rows are struck out as they are asked."""
        oracle = self.oracle
        if not isinstance(oracle, Finite):
            does_not_apply(f"{type(oracle).__name__} has no finite pool")
        pool = oracle.pool
        assert len(pool) >= 1, "a pool must have a row"
        check_numbers(pool, (None, oracle.domain.dimension), "the pool")
        assert len(torch.unique(pool, dim=0)) == len(pool), "a pool must have each point once"
        assert bool(oracle.domain.contains(pool).all()), "a pool must lie within the domain"

    def test_samples_follow_from_their_generator(self) -> None:
        """Where the oracle has noise."""
        oracle = self.oracle
        if not isinstance(oracle, Stochastic):
            does_not_apply(f"{type(oracle).__name__} has no noise of its own")
        x = self.points()
        with global_randomness_untouched():
            first, again, other = (
                oracle.sample(x, generator=derive_generator(seed, "sample")) for seed in (0, 0, 1)
            )
        check_numbers(first, (len(x), oracle.n_outputs), "a sample")
        assert torch.equal(first, again), "equal generators must give equal samples"
        assert not torch.equal(first, other), "another generator must give another sample"

    def test_the_exact_version_is_of_the_same_kind_and_exact_itself(self) -> None:
        """Where exact values are known, errors are measured against them."""
        oracle = self.oracle
        exact = oracle.exact if isinstance(oracle, SupportsExact) else None
        if exact is None:
            does_not_apply(f"{type(oracle).__name__} knows no exact values")
        assert exact.domain == oracle.domain, "the exact version must have the same domain"
        assert exact.n_outputs == oracle.n_outputs, "the exact version must have as many outputs"
        assert isinstance(exact, SupportsExact), "the exact version must have exact"
        assert exact.exact is exact, "the exact version must be its own exact version"
        x = self.points()
        check_numbers(exact(x), (len(x), oracle.n_outputs), "the exact values")

    def points(self) -> Points:
        """Return points that may be asked, rows of the pool if there is one (n, d)."""
        generator, oracle = derive_generator(0, "points"), self.oracle
        if isinstance(oracle, Finite):
            order = torch.randperm(len(oracle.pool), generator=generator)
            return oracle.pool[order[: self.n_points]]
        return oracle.domain.uniform(self.n_points, generator=generator)

    def _corners(self) -> Points:
        """Return corners of the domain, all if they are few; of a pool, those that are in it."""
        domain, oracle = self.oracle.domain, self.oracle
        if 2**domain.dimension <= self.n_points:
            corners = domain.grid(2)
        else:
            shape, generator = (self.n_points, domain.dimension), derive_generator(0, "corners")
            corners = domain.from_unit(torch.randint(2, shape, generator=generator).double())
        return corners[is_among(corners, oracle.pool)] if isinstance(oracle, Finite) else corners


def _close(a: Tensor, b: Tensor) -> bool:
    """Tell whether numbers are equal but for the rounding of sums in another order."""
    return torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))
