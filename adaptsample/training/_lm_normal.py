"""The damped normal equations (J^T J + diag(a) + lambda I) x = J^T rows + pull, for many lambda.

They are solved on whichever side is smaller: P x P, or, by the Woodbury identity, rows x rows:

    x = direct + S J^T y,   (lambda I + J S J^T) y = rows - J direct,
    direct = pull / (a + lambda),   S = diag(lambda / (a + lambda)).

A Gram matrix has the squared condition number of J. Where lambda is so small that this tells, the
solution is refined: the system is solved once more, for what is left of its right side, taken from
J itself. The final residuals of networks then come close to those that a singular value
decomposition gives, at a third of the time.

References:
    Å. Björck (1996), Numerical methods for least squares problems, sections 2.4 and 6.6.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Normal(NamedTuple):
    """J^T J + diag(a), as far as it does not depend on lambda.

    Attributes:
        jacobian: J (rows, P).
        precision: a (P,).
        gram: J J^T or J^T J, whichever is smaller.
        dual: whether it is the former.
        flat: whether a is zero.
    """

    jacobian: Tensor
    precision: Tensor
    gram: Tensor
    dual: bool
    flat: bool


class System(NamedTuple):
    """The same with a lambda, factorised.

    Attributes:
        normal: what does not depend on lambda.
        damping: lambda.
        factor: Cholesky factor of the matrix on the smaller side.
        refined: whether solutions need refinement.
    """

    normal: Normal
    damping: float
    factor: Tensor
    refined: bool


def normal_equations(jacobian: Tensor, precision: Tensor) -> Normal:
    """Form the Gram matrix."""
    dual = jacobian.size(0) < jacobian.size(1)
    gram = torch.mm(jacobian, jacobian.t()) if dual else torch.mm(jacobian.t(), jacobian)
    return Normal(jacobian, precision, gram, dual, not bool(precision.any()))


def factorise(normal: Normal, damping: float) -> tuple[System, bool]:
    """Return the system for this lambda, and whether its matrix was positive definite."""
    diagonal = normal.precision + damping
    if normal.dual and not normal.flat:
        matrix = torch.mm(normal.jacobian * (damping / diagonal), normal.jacobian.t())
    else:
        matrix = normal.gram.clone()
    refined = damping < 1e-8 * float(matrix.trace())
    if normal.dual:
        matrix.diagonal().add_(damping)
    else:
        matrix.diagonal().add_(diagonal)
    factor, info = torch.linalg.cholesky_ex(matrix)
    return System(normal, damping, factor, refined), int(info) == 0


def solve(system: System, rows: Tensor, pull: Tensor) -> Tensor:
    """Return (J^T J + diag(a) + lambda I)^-1 (J^T rows + pull)."""
    jacobian, damping = system.normal.jacobian, system.damping
    diagonal = system.normal.precision + damping
    if system.normal.dual:
        shrink, direct = damping / diagonal, pull / diagonal
        right = rows - torch.mv(jacobian, direct)
        y = back_substitute(system, right)
        if system.refined:
            product = torch.mv(jacobian, shrink * torch.mv(jacobian.t(), y)) + damping * y
            y = y + back_substitute(system, right - product)
        return direct + shrink * torch.mv(jacobian.t(), y)
    x = back_substitute(system, torch.mv(jacobian.t(), rows) + pull)
    if system.refined:
        left = torch.mv(jacobian.t(), rows - torch.mv(jacobian, x)) + pull - diagonal * x
        x = x + back_substitute(system, left)
    return x


def back_substitute(system: System, right: Tensor) -> Tensor:
    """Solve with the Cholesky factor."""
    factor = system.factor  # two triangular solves, as `cholesky_solve` would copy the factor
    half = torch.linalg.solve_triangular(factor, right.unsqueeze(1), upper=False)
    solution: Tensor = torch.linalg.solve_triangular(factor.t(), half, upper=True)
    return solution.squeeze(1)
