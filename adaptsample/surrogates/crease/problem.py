"""The least-squares problem of a crease at given bases.

The search sees the inner polynomials only (`_crease_minimise`). All bases are in orthonormal
coordinates, which makes plain Levenberg damping scale-free.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adaptsample.core.shapes import Points
from adaptsample.surrogates.chebyshev import (
    Degrees,
    Orthonormal,
    Rule,
    box_points,
    chebyshev,
    multi_indices,
)
from adaptsample.surrogates.crease.forms import Form, Signs
from adaptsample.surrogates.crease.minimise import Target, compiled_minimiser

Indices: TypeAlias = tuple[Int64[Tensor, "p d"], ...]
"""Multi-indices of each basis."""
Thetas: TypeAlias = Float[Tensor, "*batch p"]
"""Coordinates of all inner polynomials, one after the other."""


@final
@dataclass(frozen=True)
class Structure:
    """Which bases a crease uses: those of a, then one for each group of inner polynomials."""

    rule: Rule
    degrees: tuple[Degrees, ...]

    @classmethod
    def isotropic(cls, rule: Rule, degrees: tuple[int, ...], dimension: int) -> "Structure":
        """Return a structure with the same degree on each axis."""
        return cls(rule, tuple((degree,) * dimension for degree in degrees))

    def indices(self, limit: int) -> Indices | None:
        """Return the multi-indices of each basis, or None where one exceeds ``limit``."""
        sets = [multi_indices(self.rule, degrees, limit) for degrees in self.degrees]
        return None if any(s is None for s in sets) else tuple(s for s in sets if s is not None)

    def grown(self) -> Iterator["Structure"]:
        """Yield larger structures: a, one inner basis or all of them; on one axis or on all."""
        n_bases, dimension = len(self.degrees), len(self.degrees[0])
        parts = [{basis} for basis in range(n_bases)]
        parts += [set(range(n_bases))]
        axes = [set(range(dimension))]
        if dimension > 1:
            axes += [{axis} for axis in range(dimension)]
        for part in parts:
            for raised in axes:
                yield Structure(
                    self.rule,
                    tuple(
                        tuple(k + (b in part and j in raised) for j, k in enumerate(degrees))
                        for b, degrees in enumerate(self.degrees)
                    ),
                )


@final
@dataclass(frozen=True, eq=False)
class Problem:
    """Fit z by a form in given bases."""

    form: Form
    structure: Structure
    indices: Indices
    columns: tuple[Float[Tensor, "n p"], ...]  # each basis at the points
    z: Float[Tensor, " n"]
    outer: Orthonormal
    inner: tuple[Orthonormal, ...]  # one for each inner polynomial

    @classmethod
    def of(
        cls, form: Form, structure: Structure, indices: Indices, u: Points, z: Float[Tensor, " n"]
    ) -> "Problem":
        """Evaluate the bases at scaled points."""
        columns = tuple(chebyshev(u, index) for index in indices)
        bases = [Orthonormal.of(column) for column in columns]
        inner = tuple(bases[1 + group] for group in form.groups)
        return cls(form, structure, indices, columns, z, bases[0], inner)

    @cached_property
    def elsewhere(self) -> tuple[Float[Tensor, "m p"], ...]:
        """Each basis at points that fill the box."""
        points = box_points(self.indices[0].shape[1])
        return tuple(chebyshev(points, index) for index in self.indices)

    def coordinates(self, levels: Float[Tensor, "b n"]) -> Thetas:
        """Return the coordinates of inner polynomials with these values at the points."""
        return torch.cat([b.q.T @ level for b, level in zip(self.inner, levels, strict=True)])

    def split(self, thetas: Thetas) -> tuple[Thetas, ...]:
        """Return the coordinates of each inner polynomial."""
        return torch.split(thetas, [basis.rank for basis in self.inner], dim=-1)

    @property
    def target(self) -> Target:
        """The data in the orthonormal bases."""
        return Target(self.z, self.outer.q, [basis.q for basis in self.inner])

    def minimise(
        self, thetas: Thetas, signs: Signs, n_steps: int, *, damping: float = 1e-2
    ) -> tuple[Thetas, Float[Tensor, " batch"]]:
        """Return what so many steps from each start reach, and the root mean square residuals."""
        minimise = compiled_minimiser(self.form.evaluate)
        return minimise(thetas, signs.contiguous(), self.target, n_steps, damping)
