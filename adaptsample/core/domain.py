"""The box of points that may be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import asin, isfinite
from numbers import Real
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.quasirandom import SobolEngine

from adaptsample.core.randomness import draw_seed
from adaptsample.core.shapes import Points


@final
@dataclass(frozen=True, init=False)
class Box:
    """A product of named, closed, finite intervals.

    Args:
        bounds: the variables' names and ranges, in the order of a point's coordinates,
            e.g. ``{"x": (0, 1), "y": (-2, 2)}``.

    Raises:
        ValueError: no variable, or a range that is not two finite increasing numbers; the message
            names the variable.
    """

    names: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]

    def __init__(self, bounds: Mapping[str, Sequence[float]]) -> None:
        if not isinstance(bounds, Mapping) or not bounds:
            raise ValueError(
                f"a Box needs at least one variable, as in Box({{'x': (0, 1)}}); got {bounds!r}"
            )
        object.__setattr__(self, "names", tuple(_checked_name(name) for name in bounds))
        object.__setattr__(
            self, "bounds", tuple(_checked_range(name, pair) for name, pair in bounds.items())
        )

    @property
    def dimension(self) -> int:
        """Number of variables, d."""
        return len(self.names)

    @property
    def lower(self) -> Float[Tensor, " d"]:
        """Lower bounds."""
        return torch.tensor([low for low, _ in self.bounds], dtype=torch.float64)

    @property
    def upper(self) -> Float[Tensor, " d"]:
        """Upper bounds."""
        return torch.tensor([high for _, high in self.bounds], dtype=torch.float64)

    def __repr__(self) -> str:
        return f"Box({dict(zip(self.names, self.bounds, strict=True))})"

    def __contains__(self, point: Float[Tensor, " d"]) -> bool:
        return bool(self.contains(torch.as_tensor(point, dtype=torch.float64)[None])[0])

    def contains(self, x: Points) -> Bool[Tensor, " n"]:
        """Tell for each point whether all coordinates lie within the closed bounds (NaN: no)."""
        return ((x >= self.lower) & (x <= self.upper)).all(dim=1)

    def to_unit(self, x: Points) -> Points:
        """Map the box to the unit cube."""
        return (x - self.lower) / (self.upper - self.lower)

    def from_unit(self, u: Points) -> Points:
        """Map the unit cube to the box; rounding never leaves the box."""
        x = self.lower + u * (self.upper - self.lower)
        return torch.clamp(x, min=self.lower, max=self.upper)

    def uniform(self, n: int, *, generator: Generator) -> Points:
        """Draw n independent uniform points."""
        u = torch.rand(n, self.dimension, dtype=torch.float64, generator=generator)
        return self.from_unit(u)

    def sobol(self, n: int, *, generator: Generator) -> Points:
        """Draw the first n points of a scrambled Sobol sequence (Owen 1998; Joe and Kuo 2008).

        An equal generator gives an equal sequence, of which a larger n shows more.
        """
        return self.from_unit(self._unit_sobol(n, generator))

    def _unit_sobol(self, n: int, generator: Generator) -> Points:
        engine = SobolEngine(  # type: ignore[no-untyped-call]  # torch ships it untyped
            self.dimension, scramble=True, seed=draw_seed(generator)
        )
        return engine.draw(n, dtype=torch.float64)

    def latin_hypercube(self, n: int, *, generator: Generator) -> Points:
        """Draw a Latin hypercube of n points (McKay, Beckman and Conover 1979)."""
        shape = (n, self.dimension)
        slices = torch.rand(shape, dtype=torch.float64, generator=generator).argsort(dim=0)
        within = torch.rand(shape, dtype=torch.float64, generator=generator)
        return self.from_unit((slices + within) / n)

    def chebyshev(self, n: int, *, generator: Generator) -> Points:
        """Return n points as dense towards the ends of each axis as polynomials want them.

        In one variable these are the Chebyshev points cos(pi j / (n - 1)), ends included; in
        several, Sobol points of the same density on each axis (Cohen and Migliorati 2017).
        """
        return self.from_unit((1 - torch.cos(self._angles(n, generator))) / 2)

    def mapped_chebyshev(self, n: int, *, generator: Generator) -> Points:
        """Return Chebyshev points drawn apart until they are almost evenly spaced inside.

        Networks want them: they need the ends as polynomials do, but not at the price of the
        middle. The map is u = arcsin(a cos t) / arcsin(a) with a = 0.99 (Kosloff and Tal-Ezer
        1993, A modified Chebyshev pseudospectral method).
        """
        a = 0.99
        u = torch.asin(-a * torch.cos(self._angles(n, generator))) / asin(a)
        return self.from_unit((1 + u) / 2)

    def _angles(self, n: int, generator: Generator) -> Points:
        """Return angles in [0, pi], evenly spaced in one variable and Sobol points in several."""
        if self.dimension > 1:
            return torch.pi * self._unit_sobol(n, generator)
        if n == 1:
            return torch.full((1, 1), torch.pi / 2, dtype=torch.float64)
        return torch.linspace(0, torch.pi, n, dtype=torch.float64)[:, None]

    def grid(self, per_axis: int) -> Points:
        """Return the per_axis ** d points of a regular grid, corners included.

        The last variable runs fastest. ``per_axis`` is at least 2.
        """
        if per_axis < 2:
            raise ValueError(f"a grid needs at least 2 points per axis, got {per_axis}")
        axes = [torch.linspace(a, b, per_axis, dtype=torch.float64) for a, b in self.bounds]
        return torch.cartesian_prod(*axes).reshape(-1, self.dimension)


def parse_bounds(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Read bounds as they are written on a command line, each as ``NAME=LOW:HIGH``.

    Raises:
        ValueError: one reads otherwise, or a variable is bound twice.
    """
    bounds = dict(map(_parsed_bound, texts))
    if len(bounds) < len(texts):
        raise ValueError(f"a variable is bound twice in {' '.join(texts)}")
    return bounds


def _parsed_bound(text: str) -> tuple[str, tuple[float, float]]:
    name, equals, limits = text.partition("=")
    low, colon, high = limits.partition(":")
    try:
        if not equals or not colon:
            raise ValueError
        return name.strip(), (float(low), float(high))
    except ValueError:
        raise ValueError(f"--bound {text!r} must read NAME=LOW:HIGH, as in x=0:1") from None


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name or not name.isprintable() or name != name.strip():
        raise ValueError(f"a variable's name must be printable text, got {name!r}")
    return name


def _checked_range(name: str, pair: object) -> tuple[float, float]:
    hint = f"give {name!r} a range (low, high) of two finite numbers with low < high"
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise ValueError(f"bounds of {name!r} are {pair!r}: {hint}")
    if not all(isinstance(end, Real) and not isinstance(end, bool) for end in pair):
        raise ValueError(f"bounds of {name!r} are {pair!r}, not numbers: {hint}")
    low, high = (float(end) for end in pair)
    if not (isfinite(low) and isfinite(high) and isfinite(high - low)):
        raise ValueError(f"bounds of {name!r} are ({low}, {high}), not finite: {hint}")
    if low >= high:
        problem = "equal" if low == high else "reversed"
        raise ValueError(f"bounds of {name!r} are ({low}, {high}), {problem}: {hint}")
    return low, high
