"""SciPy's nonlinear least squares, for small networks and for comparison with what others publish.

Residuals and their exact Jacobian are those of `LevenbergMarquardt`; steps and stopping rules are
SciPy's. There is no prior: a network with more parameters than data just passes through them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import least_squares
from torch import Generator, Tensor

from adaptsample.training.levenberg_marquardt import Problem, evaluate, linearise, regression
from adaptsample.training.losses import Samples
from adaptsample.training.network import activations_of, count_parameters

_Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@final
@dataclass(frozen=True, eq=False)
class ScipyTraining:
    """The result of training.

    Attributes:
        theta: the parameters.
        cost: half the sum of squared residuals, as SciPy has it.
        gradient: derivative of the cost with respect to theta.
        train_loss: mean squared residual at each iterate of the start that won.
        converged: whether one of SciPy's tolerances was met.
    """

    theta: Float[Tensor, " P"]
    cost: float
    gradient: Float[Tensor, " P"]
    train_loss: Float[Tensor, " iterations"]
    converged: bool

    @property
    def state(self) -> None:
        """None: it continues from theta alone."""


@final
@dataclass(frozen=True)
class ScipyLeastSquares:
    """Nonlinear least squares by ``scipy.optimize.least_squares``, from normal random starts.

    Args:
        method: "trf", a trust region, or "lm", MINPACK's Levenberg-Marquardt, which wants at least
            as many residuals as parameters.
        starts: how many networks are trained; the one of lowest cost is kept.
        initial_scale: standard deviation of the initial parameters, biases included.
        tolerance: SciPy's ftol, xtol and gtol.
        max_evaluations: of the residuals, by each start; None for SciPy's own limit.
        gradient_weight: weight of the gradient's mean squared error in the loss, where the data has
            gradients.

    Raises:
        ValueError: a hyper-parameter outside of its range; the message names both.

    References:
        J. J. More (1978), The Levenberg-Marquardt algorithm: implementation and theory.
        M. A. Branch, T. F. Coleman and Y. Li (1999), A subspace, interior, and conjugate gradient
        method for large-scale bound-constrained minimization problems (trf).
    """

    continues: ClassVar[bool] = True

    method: Literal["trf", "lm"] = "trf"
    starts: int = 1
    initial_scale: float = 0.1
    tolerance: float = 1e-8
    max_evaluations: int | None = None
    gradient_weight: float = 1.0

    def __post_init__(self) -> None:
        most = self.max_evaluations
        ranges = {
            "method": (self.method in ("trf", "lm"), "'trf' or 'lm'"),
            "starts": (self.starts >= 1, "at least 1"),
            "initial_scale": (0 < self.initial_scale < math.inf, "a positive number"),
            "tolerance": (2.3e-16 <= self.tolerance < 1, "within [2.3e-16, 1)"),
            "max_evaluations": (most is None or most >= 1, "at least 1, or None"),
            "gradient_weight": (0 <= self.gradient_weight < math.inf, "a number of at least 0"),
        }
        for name, (holds, expected) in ranges.items():
            if not holds:
                raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")

    def train(
        self,
        theta: Float[Tensor, " P"] | None,
        widths: list[int],
        activation: str | Sequence[str],
        samples: Samples,
        *,
        generator: Generator,
        state: Any = None,
    ) -> tuple[ScipyTraining]:
        """Minimise from all starts; the best is the one finalist. The rest is as `Trainer` has it.

        Raises:
            ValueError: an unknown activation, samples that are not float64 on the CPU, or for "lm"
                fewer residuals than parameters.
        """
        del state
        activations = activations_of(activation, len(widths) - 2)
        if samples.x.dtype != torch.float64 or samples.x.device.type != "cpu":
            raise ValueError(
                f"SciPy's least squares work in float64 on the CPU, got {samples.x.dtype} on "
                f"{samples.x.device.type}; ask for dtype='float64', device='cpu'"
            )
        problem = regression(widths, activations, samples, self.gradient_weight)
        n_parameters, n_residuals = count_parameters(widths), problem.targets.numel()
        if self.method == "lm" and n_residuals < n_parameters:
            raise ValueError(
                f"method 'lm' wants at least as many residuals as parameters, got {n_residuals} "
                f"and {n_parameters}; use method='trf'"
            )
        n_drawn = self.starts if theta is None else self.starts - 1
        thetas = [] if theta is None else [theta]
        for _ in range(n_drawn):
            drawn = torch.randn(n_parameters, dtype=torch.float64, generator=generator)
            thetas.append(drawn * self.initial_scale)
        trainings = (self._minimise(theta, problem) for theta in thetas)
        return (min(trainings, key=lambda training: training.cost),)

    def _minimise(self, theta: Float[Tensor, " P"], problem: Problem) -> ScipyTraining:
        losses: list[float] = []

        def residuals(theta: _Array) -> _Array:
            return evaluate(torch.from_numpy(theta)[None], problem).residual[0].numpy()

        def jacobian(theta: _Array) -> _Array:  # asked for once at each iterate
            residual, matrix = linearise(torch.from_numpy(theta)[None], problem)
            losses.append(float(residual.square().mean()))
            return matrix[0].numpy()

        found = least_squares(
            residuals,
            theta.double().numpy(),
            jacobian,
            method=self.method,
            ftol=self.tolerance,
            xtol=self.tolerance,
            gtol=self.tolerance,
            max_nfev=self.max_evaluations,
        )
        return ScipyTraining(
            torch.from_numpy(found.x.copy()),
            float(found.cost),
            torch.from_numpy(found.grad.copy()),
            torch.tensor(losses, dtype=torch.float64),
            found.status > 0,
        )
