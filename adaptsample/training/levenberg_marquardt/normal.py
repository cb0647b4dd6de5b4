"""The damped normal equations (J^T J + diag(a) + lambda I) x = J^T rows + pull, for many lambda.

They are solved on whichever side is smaller: P x P, or, by the Woodbury identity, rows x rows:

    x = direct + S J^T y,   (lambda I + J S J^T) y = rows - J direct,
    direct = pull / (a + lambda),   S = diag(lambda / (a + lambda)).

The rows of a network's Jacobian are outer products of what enters a layer and of what the output
makes of its exit. On the side of the rows its Gram matrix is therefore a sum, over the layers, of
elementwise products of two much smaller ones.

A Gram matrix has the squared condition number of J. Where lambda is so small that this tells, the
solution is refined: the system is solved once more, for what is left of its right side, taken from
J itself. The final residuals of networks then come close to those that a singular value
decomposition gives, at a third of the time.

References:
    Å. Björck (1996), Numerical methods for least squares problems, sections 2.4 and 6.6.
    A. Jacot, F. Gabriel and C. Hongler (2018), Neural tangent kernel (J J^T of a network).
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Jacobian(NamedTuple):
    """J (rows, P), and its structure if it has one.

    Attributes:
        matrix: J itself.
        inputs: H (rows, n_in) for each layer; none for a matrix without structure.
        slopes: G (rows, n_out) for each layer. The columns of the layer in J are those of its
            weights (n_in, n_out), h g^T, and then those of its biases (n_out), g.
    """

    matrix: Tensor
    inputs: list[Tensor]
    slopes: list[Tensor]


class Normal(NamedTuple):
    """J^T J + diag(a), as far as it does not depend on lambda.

    Attributes:
        jacobian: J.
        precision: a (P,).
        gram: J J^T, or J^T J on and below its diagonal, whichever is smaller; J S J^T has to be
            formed for each lambda.
        dual: whether it is the former.
        flat: whether a is zero.
    """

    jacobian: Jacobian
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


def dual_gram(jacobian: Jacobian, scale: Tensor) -> Tensor:
    """Return J diag(scale) J^T; within a layer the scale may differ by input only."""
    j = jacobian.matrix
    if len(jacobian.inputs) == 0:
        return torch.mm(j * scale, j.t())
    total = torch.zeros([j.size(0), j.size(0)], dtype=j.dtype)
    position = 0
    for i, h in enumerate(jacobian.inputs):
        g = jacobian.slopes[i]
        end = position + h.size(1) * g.size(1)
        of_inputs = torch.mm(h * scale[position : end : g.size(1)], h.t()).add_(scale[end])
        total.addcmul_(of_inputs, torch.mm(g, g.t()))
        position = end + g.size(1)
    return total


def lower_gram(matrix: Tensor) -> Tensor:
    """Return J^T J on and below the diagonal, which is all that a Cholesky factor needs."""
    block = 48  # columns at a time; less work is left out with more, and less is done at once
    n_columns = matrix.size(1)
    gram = torch.empty([n_columns, n_columns], dtype=matrix.dtype)
    for start in range(0, n_columns, block):
        width = min(block, n_columns - start)
        rows, columns = matrix.narrow(1, start, width), matrix.narrow(1, 0, start + width)
        torch.mm(rows.t(), columns, out=gram.narrow(0, start, width).narrow(1, 0, start + width))
    return gram


def normal_equations(jacobian: Jacobian, precision: Tensor) -> Normal:
    """Form the Gram matrix."""
    j = jacobian.matrix
    dual, flat = j.size(0) < j.size(1), not bool(precision.any())
    if dual:
        gram = dual_gram(jacobian, torch.ones_like(precision)) if flat else j[:0]
    else:
        gram = lower_gram(j)
    return Normal(jacobian, precision, gram, dual, flat)


def factorise(normal: Normal, damping: float) -> tuple[System, bool]:
    """Return the system for this lambda, and whether its matrix was positive definite."""
    diagonal = normal.precision + damping
    if normal.dual and not normal.flat:
        matrix = dual_gram(normal.jacobian, damping / diagonal)
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
    jacobian, damping = system.normal.jacobian.matrix, system.damping
    if system.normal.dual:
        diagonal = system.normal.precision + damping
        shrink, direct = damping / diagonal, pull / diagonal
        right = rows - torch.mv(jacobian, direct)
        y = back_substitute(system, right)
        if system.refined:
            product = torch.mv(jacobian, shrink * torch.mv(jacobian.t(), y)) + damping * y
            y = y + back_substitute(system, right - product)
        return direct + shrink * torch.mv(jacobian.t(), y)
    x = back_substitute(system, torch.mv(jacobian.t(), rows) + pull)
    if system.refined:
        left = torch.mv(jacobian.t(), rows - torch.mv(jacobian, x)) + pull
        left = left - (system.normal.precision + damping) * x
        x = x + back_substitute(system, left)
    return x


def back_substitute(system: System, right: Tensor) -> Tensor:
    """Solve with the Cholesky factor."""
    factor = system.factor  # two triangular solves, as `cholesky_solve` would copy the factor
    half = torch.linalg.solve_triangular(factor, right.unsqueeze(1), upper=False)
    solution: Tensor = torch.linalg.solve_triangular(factor.t(), half, upper=True)
    return solution.squeeze(1)
