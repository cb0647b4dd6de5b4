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

Everything is done for a batch of B systems at once: a small matrix costs more to call for than to
compute.

References:
    Å. Björck (1996), Numerical methods for least squares problems, sections 2.4 and 6.6.
    A. Jacot, F. Gabriel and C. Hongler (2018), Neural tangent kernel (J J^T of a network).
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Jacobian(NamedTuple):
    """B matrices J (rows, P), and their structure if they have one that is worth while.

    Attributes:
        matrix: J (B, rows, P).
        inputs: H (B, n_in, rows) for each layer; none for a matrix without structure.
        slopes: G (B, n_out, rows) for each layer. The columns of the layer in J are those of its
            weights (n_in, n_out), h g^T, and then those of its biases (n_out), g.
    """

    matrix: Tensor
    inputs: list[Tensor]
    slopes: list[Tensor]


class Normal(NamedTuple):
    """J^T J + diag(a), as far as it does not depend on lambda.

    Attributes:
        jacobian: J.
        precision: a (B, P).
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
    """The same with a lambda for each of the batch, factorised.

    Attributes:
        normal: what does not depend on lambda.
        damping: lambda (B, 1).
        factor: Cholesky factors of the matrices on the smaller side.
        refined: whether solutions need refinement.
    """

    normal: Normal
    damping: Tensor
    factor: Tensor
    refined: bool


def dense(inputs: list[Tensor], slopes: list[Tensor]) -> Tensor:
    """Return J (B, rows, P) from its structure."""
    n_batch, n_rows, n_parameters = slopes[0].size(0), slopes[0].size(2), 0
    for i, h in enumerate(inputs):
        n_parameters += (h.size(1) + 1) * slopes[i].size(1)
    matrix = torch.empty([n_batch, n_parameters, n_rows], dtype=slopes[0].dtype)
    position = 0
    for i, h in enumerate(inputs):
        g = slopes[i]
        end = position + h.size(1) * g.size(1)
        block = matrix[:, position:end].view(n_batch, h.size(1), g.size(1), n_rows)
        torch.mul(h.unsqueeze(2), g.unsqueeze(1), out=block)
        position = end + g.size(1)
        matrix[:, end:position] = g
    return matrix.transpose(1, 2)


def dual_gram(jacobian: Jacobian, scale: Tensor) -> Tensor:
    """Return J diag(scale) J^T; within a layer the scale (B, P) may differ by input only."""
    if len(jacobian.inputs) == 0:
        j = jacobian.matrix
        return torch.bmm(j * scale.unsqueeze(1), j.transpose(1, 2))
    total = torch.zeros([0])
    position = 0
    for i, h in enumerate(jacobian.inputs):
        g = jacobian.slopes[i]
        end = position + h.size(1) * g.size(1)
        of_weights = scale[:, position : end : g.size(1)].unsqueeze(2)
        of_bias = scale[:, end : end + 1].unsqueeze(2)
        of_inputs = torch.baddbmm(of_bias, (h * of_weights).transpose(1, 2), h)
        of_slopes = torch.bmm(g.transpose(1, 2), g)
        total = of_inputs.mul_(of_slopes) if i == 0 else total.addcmul_(of_inputs, of_slopes)
        position = end + g.size(1)
    return total


def lower_gram(matrix: Tensor) -> Tensor:
    """Return J^T J on and below the diagonal, which is all that a Cholesky factor needs."""
    block = 48  # columns at a time; less work is left out with more, and less is done at once
    n_columns = matrix.size(2)
    gram = torch.empty([matrix.size(0), n_columns, n_columns], dtype=matrix.dtype)
    for b in range(matrix.size(0)):
        j, lower = matrix[b], gram[b]
        for start in range(0, n_columns, block):
            width = min(block, n_columns - start)
            rows, columns = j.narrow(1, start, width), j.narrow(1, 0, start + width)
            out = lower.narrow(0, start, width).narrow(1, 0, start + width)
            torch.mm(rows.t(), columns, out=out)
    return gram


def products(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Return the products (B, p) of matrices (B, p, q) and vectors (B, q)."""
    # one by one: a batched product with vectors takes three times as long
    columns = vectors.unbind(0)
    found: list[Tensor] = []
    for i, matrix in enumerate(matrices.unbind(0)):
        found.append(torch.mv(matrix, columns[i]))
    return torch.stack(found)


def normal_equations(jacobian: Jacobian, precision: Tensor) -> Normal:
    """Form the Gram matrix."""
    n_rows, n_parameters = jacobian.matrix.size(1), jacobian.matrix.size(2)
    dual, flat = n_rows < n_parameters, not bool(precision.any())
    if dual:
        gram = dual_gram(jacobian, torch.ones_like(precision)) if flat else precision[:0]
    else:
        gram = lower_gram(jacobian.matrix)
    return Normal(jacobian, precision, gram, dual, flat)


def with_precision(normal: Normal, precision: Tensor) -> Normal:
    """Return the same with another precision, zero only where it was."""
    return Normal(normal.jacobian, precision, normal.gram, normal.dual, normal.flat)


def factorise(normal: Normal, damping: Tensor) -> tuple[System, Tensor]:
    """Return the systems for these lambda (B, 1), and which matrices were positive definite."""
    diagonal = normal.precision + damping
    if normal.dual and not normal.flat:
        matrix = dual_gram(normal.jacobian, damping / diagonal)
    else:
        matrix = normal.gram.clone()
    on_diagonal = matrix.diagonal(dim1=1, dim2=2)
    refined = bool((damping < 1e-8 * on_diagonal.sum(1, keepdim=True)).any())
    on_diagonal.add_(damping if normal.dual else diagonal)
    factor, info = torch.linalg.cholesky_ex(matrix)
    return System(normal, damping, factor, refined), info == 0


def solve(system: System, rows: Tensor, pull: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return x = (J^T J + diag(a) + lambda I)^-1 (J^T rows + pull) (B, P), and J x (B, rows)."""
    j, damping = system.normal.jacobian.matrix, system.damping
    transposed, diagonal = j.transpose(1, 2), system.normal.precision + damping
    if not system.normal.dual:
        right = products(transposed, rows)
        if pull is not None:
            right = right + pull
        x = back_substitute(system, right)
        along = products(j, x)
        if system.refined:
            left = products(transposed, rows - along) - diagonal * x
            if pull is not None:
                left = left + pull
            x = x + back_substitute(system, left)
            along = products(j, x)
        return x, along
    shrink = damping / diagonal
    direct = torch.zeros_like(diagonal) if pull is None else pull / diagonal
    right = rows if pull is None else rows - products(j, direct)
    y = back_substitute(system, right)
    x = shrink * products(transposed, y)
    if system.refined:
        more = back_substitute(system, right - products(j, x) - damping * y)
        y = y + more
        x = x + shrink * products(transposed, more)
    return direct + x, rows - damping * y


def back_substitute(system: System, right: Tensor) -> Tensor:
    """Solve with the Cholesky factors."""
    factor = system.factor  # two triangular solves, as `cholesky_solve` would copy the factor
    half = torch.linalg.solve_triangular(factor, right.unsqueeze(2), upper=False)
    solution: Tensor = torch.linalg.solve_triangular(factor.transpose(1, 2), half, upper=True)
    return solution.squeeze(2)
