"""The two array shapes that every part of the library speaks in."""

from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

Points: TypeAlias = Float[Tensor, "n d"]
"""n points of a d-dimensional domain, float64, in the units of the domain."""

Values: TypeAlias = Float[Tensor, "n k"]
"""k outputs at n points, float64, in the units of the oracle."""
