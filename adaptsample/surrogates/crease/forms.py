"""The piecewise forms that a crease surrogate can take.

Every form is y = a(x) + g(phi_1(x), ..., phi_B(x)) with polynomials a and phi_b and a simple g that
has a crease: the polynomials stay smooth, g breaks. A form evaluates g and its derivatives for a
whole batch of candidate phi at once, as a part of a compiled program. A new kind of crease is a
function and a line in ``FORMS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor

Kind: TypeAlias = Literal["abs", "abs2", "max", "product"]
Signs: TypeAlias = Float[Tensor, "*batch b"]
"""A fixed +1 or -1 for each inner polynomial, drawn with the start."""
Evaluate: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From the values (..., b, n) of the inner polynomials and their signs (..., b), returns g (..., n)
and its derivatives (..., b, n) with respect to these values."""


@final
@dataclass(frozen=True)
class Form:
    """A function g of the values of inner polynomials.

    Attributes:
        evaluate: g and its derivatives.
        groups: for each inner polynomial, the number of the basis that it uses.
        is_piecewise_linear: whether g is linear in the inner values on each piece.
    """

    evaluate: Evaluate
    groups: tuple[int, ...]
    is_piecewise_linear: bool


def _sum_of_abs(inner: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    slopes = signs.unsqueeze(-1) * torch.sign(inner)
    return (slopes * inner).sum(dim=-2), slopes


def _maximum(inner: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    highest, branch = inner.max(dim=-2, keepdim=True)
    is_branch = torch.arange(inner.size(-2)).unsqueeze(1) == branch
    slopes = signs[..., :1].unsqueeze(-1) * (is_branch & (highest > 0))
    return (slopes * inner).sum(dim=-2), slopes


def _product(inner: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    del signs  # the strength has a sign of its own
    strength, level = inner.unbind(dim=-2)
    slopes = torch.stack([level.abs(), strength * torch.sign(level)], dim=-2)
    return strength * level.abs(), slopes


FORMS: dict[Kind, Form] = {
    "abs": Form(_sum_of_abs, groups=(0,), is_piecewise_linear=True),
    "abs2": Form(_sum_of_abs, groups=(0, 0), is_piecewise_linear=True),
    "max": Form(_maximum, groups=(0, 0), is_piecewise_linear=True),
    "product": Form(_product, groups=(0, 1), is_piecewise_linear=False),
}
