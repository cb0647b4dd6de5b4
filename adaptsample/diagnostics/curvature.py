"""What the loss of a network looks like around its parameters: which directions matter.

The sum of squares S(theta) = sum of r_i^2 over the training set has the Hessian

    H = 2 (J^T J + sum of r_i H_i),

J being the Jacobian of the residuals r and H_i the Hessian of r_i. At a minimum its eigenvalues say
how sharply S rises along each of its eigenvectors; along those of eigenvalue zero the data do not
determine the parameters, and others fit as well. At a saddle some are negative.
"""

from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from adaptsample.core.dataset import Dataset
from adaptsample.surrogates.mlp import NetworkModel
from adaptsample.training.network import split


@final
@dataclass(frozen=True, eq=False)
class Curvature:
    """First and second derivatives of the sum of squares at a network's parameters.

    Attributes:
        sum_of_squares: S, in the network's own units: those of the data if it was not scaled.
        gradient: dS / dtheta (P,).
        hessian: d^2S / dtheta^2 (P, P), exact and symmetric.
        eigenvalues: of the Hessian (P,), ascending.
    """

    sum_of_squares: float
    gradient: Float[Tensor, " P"]
    hessian: Float[Tensor, "P P"]
    eigenvalues: Float[Tensor, " P"]

    @property
    def gradient_norm(self) -> float:
        """Euclidean norm of the gradient."""
        return float(self.gradient.norm())

    @property
    def determinant(self) -> float:
        """Determinant of the Hessian; of many parameters it underflows, and its log does not."""
        return float(self.eigenvalues.prod())

    @property
    def log10_determinant(self) -> float:
        """Decimal logarithm of the determinant's absolute value; -inf if it is zero."""
        return float(self.eigenvalues.abs().log10().sum())

    @property
    def condition_number(self) -> float:
        """Largest absolute eigenvalue over the least; inf if that is zero."""
        sizes = self.eigenvalues.abs()
        return float(sizes.max() / sizes.min())

    def effective_rank(self, threshold: float = 1e-6) -> int:
        """Return how many directions matter.

        Args:
            threshold: an eigenvalue counts if it is above this share of the largest in size.
        """
        return int((self.eigenvalues > threshold * self.eigenvalues.abs().max()).sum())


def curvature(model: NetworkModel[Any], data: Dataset) -> Curvature:
    """Return the derivatives of the sum of squares of a fitted network.

    Gradients in the data are left aside, and so is a prior. Memory and time grow as the square of
    the number of parameters, P: for a thousand of them some hundred megabytes and seconds.

    Args:
        model: the network.
        data: what the errors are measured on, as a rule the training set.

    Raises:
        ValueError: no data, or data of another shape than the network's.
    """
    network = model.network
    n_inputs, n_outputs = network.widths[0], network.widths[-1]
    if not len(data) or (data.x.shape[1], data.y.shape[1]) != (n_inputs, n_outputs):
        raise ValueError(
            f"the network wants at least one point of {n_inputs} coordinates and {n_outputs} "
            f"outputs, got x {tuple(data.x.shape)} and y {tuple(data.y.shape)}"
        )
    x, y = network.inputs.forward(data.x), network.outputs.forward(data.y)
    widths, activations = list(network.widths), network.activations

    def sum_of_squares(theta: Float[Tensor, " P"]) -> Float[Tensor, ""]:
        layers = split(theta, widths)
        a = x
        for i, activation in enumerate(activations):
            a = _activated(activation, a @ layers.weights[i] + layers.biases[i])
        return (a @ layers.weights[-1] + layers.biases[-1] - y).square().sum()

    theta = network.theta.detach().double().cpu()
    gradient, value = torch.func.grad_and_value(sum_of_squares)(theta)
    # reverse mode twice: torch's forward mode compiles something, with a deprecation warning
    hessian = torch.func.jacrev(torch.func.grad(sum_of_squares))(theta)
    hessian = (hessian + hessian.T) / 2
    return Curvature(float(value), gradient, hessian, torch.linalg.eigvalsh(hessian))


def _activated(activation: str, z: Float[Tensor, "n h"]) -> Float[Tensor, "n h"]:
    """Return s(z) so that torch can differentiate it twice."""
    if activation == "crease":
        return torch.cat([z[:, :1].abs(), z[:, 1:]], dim=1)
    functions = {
        "tanh": torch.tanh,
        "relu": torch.relu,
        "silu": functional.silu,
        "gelu": functional.gelu,
        "abs": torch.abs,
    }
    return functions[activation](z)
