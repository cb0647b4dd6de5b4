"""Measure Levenberg-Marquardt against scipy, and against its own algorithm written the usual way.

1. scipy.optimize.least_squares (trf, the dense exact solver) gets the same residuals and the same
   exact Jacobian, from the same start, on the same data. The time that it takes for a number of
   evaluations is compared with the time that the library takes to reach the same residual.
2. One iteration (residuals, Jacobian, a damped step with geodesic acceleration) is compared with
   the same iteration in eager PyTorch: the Jacobian from torch.func (vmap of jacrev), the Cholesky
   factor of the P x P normal matrix. Both make the same steps; the residuals they reach must agree.

All on one thread of one process, turn and turn about; the medians are compared. Times are CPU
times, which on one thread are the wall-clock times of a machine with nothing else to do.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.optimize import least_squares
from torch import Tensor
from torch.func import jacrev, vmap

from adaptsample.core import derive_generator
from adaptsample.training.levenberg_marquardt import (
    Problem,
    State,
    Stop,
    compile_solver,
    differentiate,
    evaluate,
    flat_prior,
    initial_parameters,
    linearise,
)

STOP = Stop(0.0, 10**9, 0.0)  # never
CHUNK = 10


@dataclass(frozen=True)
class Case:
    """A smooth function of two variables, and a network to fit to it."""

    points: int
    hidden: tuple[int, ...]

    @property
    def widths(self) -> list[int]:
        """Widths of all layers."""
        return [2, *self.hidden, 1]

    def problem(self) -> Problem:
        """Return exp(x) sin(3 y) + x y, standardised, at uniform points of [-1, 1]^2."""
        generator = derive_generator(0, "points")
        x = 2 * torch.rand(self.points, 2, dtype=torch.float64, generator=generator) - 1
        y = torch.exp(x[:, :1]) * torch.sin(3 * x[:, 1:]) + x.prod(dim=1, keepdim=True)
        y = ((y - y.mean()) / y.std())[None]
        tanh = ["tanh"] * len(self.hidden)
        return Problem(x, y, torch.ones_like(y)[None], self.widths, tanh, 0.0)

    def start(self) -> Tensor:
        """Return the parameters that everyone starts from."""
        return initial_parameters(self.widths, generator=derive_generator(0, "theta"))


@dataclass(frozen=True)
class Race:
    """Against scipy; seconds are medians."""

    points: int
    parameters: int
    scipy_rmse: float
    rmse: float
    scipy_seconds: float
    seconds: float
    speedup: float


@dataclass(frozen=True)
class Iteration:
    """Against eager PyTorch; milliseconds are medians."""

    points: int
    parameters: int
    eager_ms: float
    compiled_ms: float
    speedup: float
    difference: float


CASES = [Case(n, h) for h in ((8, 4), (10, 8), (16, 17)) for n in (200, 300)]


def first_state(theta: Tensor) -> State:
    """Return where the library starts."""
    prior = flat_prior(len(theta))
    return State(theta[None], prior, [math.inf], [1e-2], [2.0], [0], [0], [False], 0)


def cpu_seconds(function: Callable[..., float], *arguments: object) -> tuple[float, float]:
    """Return what a function returns, and the time it takes."""
    start = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - start


def fit_scipy(case: Case, max_evaluations: int) -> float:
    """Return the root mean square residual that scipy reaches."""
    problem = case.problem()

    def values(theta: np.ndarray) -> np.ndarray:
        return evaluate(torch.from_numpy(theta)[None], problem).residual[0].numpy()

    def jacobian(theta: np.ndarray) -> np.ndarray:
        return linearise(torch.from_numpy(theta)[None], problem)[1][0].numpy()

    solution = least_squares(
        values,
        case.start().numpy(),
        jac=jacobian,
        method="trf",
        tr_solver="exact",
        ftol=1e-15,
        xtol=1e-15,
        gtol=1e-15,
        max_nfev=max_evaluations,
    )
    return math.sqrt(2 * float(solution.cost) / case.points)


def fit_to(case: Case, rmse: float, max_iterations: int) -> float:
    """Return the root mean square residual when it first falls to ``rmse``."""
    problem, state = case.problem(), first_state(case.start())
    iterate = compile_solver(evaluate, differentiate)
    reached = math.inf
    while reached > rmse and not state.done[0] and state.n_iterations[0] < max_iterations:
        state, _ = iterate(state, problem, STOP, [max_iterations], CHUNK)
        reached = math.sqrt(state.cost[0] / case.points)
    return reached


def race(case: Case, max_evaluations: int, repetitions: int) -> Race:
    """Let scipy run, then see how long the library needs to come as far."""
    pairs = []
    for turn in range(1 + repetitions):
        scipy_rmse, scipy_seconds = cpu_seconds(fit_scipy, case, max_evaluations)
        rmse, seconds = cpu_seconds(fit_to, case, scipy_rmse, max_evaluations)
        if turn > 0:
            pairs.append((scipy_seconds, seconds))
    return Race(
        case.points,
        len(case.start()),
        scipy_rmse,
        rmse,
        round(median(a for a, _ in pairs), 3),
        round(median(b for _, b in pairs), 3),
        round(median(a / b for a, b in pairs), 2),
    )


def eager_iterations(problem: Problem, theta: Tensor, n_iterations: int) -> float:
    """Make the library's iterations in eager PyTorch; return the root mean square residual."""
    y, widths = problem.targets[0, :, 0], problem.widths

    def output(theta: Tensor, x: Tensor) -> Tensor:
        position = 0
        for layer, (n_in, n_out) in enumerate(pairwise(widths)):
            weight = theta[position : position + n_in * n_out].view(n_in, n_out)
            position += n_in * n_out
            z = x @ weight + theta[position : position + n_out]
            position += n_out
            x = torch.tanh(z) if layer < len(widths) - 2 else z
        return x[0]

    outputs = vmap(output, in_dims=(None, 0))
    jacobians = vmap(jacrev(output), in_dims=(None, 0))
    identity = torch.eye(len(theta), dtype=theta.dtype)
    damping, growth = 1e-2, 2.0
    residual = outputs(theta, problem.x) - y
    cost = residual.dot(residual)
    for _ in range(n_iterations):
        jacobian = jacobians(theta, problem.x)
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ residual
        for _ in range(14):
            factor, _ = torch.linalg.cholesky_ex(normal + damping * identity)
            step = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            slope = jacobian @ step
            predicted = slope.dot(slope) + 2 * damping * step.dot(step)
            ahead = outputs(theta + 0.1 * step, problem.x) - y
            second = jacobian.T @ (20 * ((ahead - residual) / 0.1 - slope))
            acceleration = -torch.cholesky_solve(second[:, None], factor)[:, 0]
            if 2 * acceleration.norm() < 0.75 * step.norm():
                step = step + 0.5 * acceleration
            trial = outputs(theta + step, problem.x) - y
            trial_cost = trial.dot(trial)
            gain = float((cost - trial_cost) / predicted)
            if trial_cost < cost and gain > 1e-4:
                theta, residual, cost = theta + step, trial, trial_cost
                damping *= max(0.2, 1 - min(max(2 * gain - 1, -1.0), 2.0) ** 3)
                growth = 2.0
                break
            damping, growth = damping * growth, 2 * growth
    return math.sqrt(float(cost) / len(y))


def compiled_iterations(problem: Problem, theta: Tensor, n_iterations: int) -> float:
    """Return the root mean square residual after these iterations of the library."""
    iterate = compile_solver(evaluate, differentiate)
    n_sweeps = 14 * n_iterations  # more than enough
    state, _ = iterate(first_state(theta), problem, STOP, [n_iterations], n_sweeps)
    return math.sqrt(state.cost[0] / len(problem.x))


def compare_iterations(case: Case, n_iterations: int, repetitions: int) -> Iteration:
    """Time both, turn and turn about, after one unmeasured turn."""
    pairs, task = [], (case.problem(), case.start(), n_iterations)
    for turn in range(1 + repetitions):
        expected, eager = cpu_seconds(eager_iterations, *task)
        found, compiled = cpu_seconds(compiled_iterations, *task)
        if turn > 0:
            pairs.append((eager, compiled))
    difference = abs(found - expected) / expected
    assert difference < 0.01, f"the residuals differ by {difference:.1%} in {case}"
    return Iteration(
        case.points,
        len(case.start()),
        round(median(a for a, _ in pairs) / n_iterations * 1e3, 3),
        round(median(b for _, b in pairs) / n_iterations * 1e3, 3),
        round(median(a / b for a, b in pairs), 2),
        difference,
    )


def tables(races: list[Race], iterations: list[Iteration]) -> list[Table]:
    """Return the results for people."""
    first = Table(
        title="CPU time to the residual that scipy reaches (trf, exact Jacobian), one thread"
    )
    for heading in ("points", "parameters", "scipy rmse", "rmse", "scipy", "library", "speedup"):
        first.add_column(heading, justify="right")
    for r in races:
        first.add_row(
            str(r.points),
            str(r.parameters),
            f"{r.scipy_rmse:.1e}",
            f"{r.rmse:.1e}",
            f"{r.scipy_seconds:.2f} s",
            f"{r.seconds:.2f} s",
            f"{r.speedup:.1f}x",
        )
    second = Table(title="CPU time of an iteration with geodesic acceleration, one thread")
    for heading in ("points", "parameters", "torch.func", "compiled", "speedup", "agree to"):
        second.add_column(heading, justify="right")
    for i in iterations:
        second.add_row(
            str(i.points),
            str(i.parameters),
            f"{i.eager_ms:.2f} ms",
            f"{i.compiled_ms:.2f} ms",
            f"{i.speedup:.1f}x",
            f"{i.difference:.0e}",
        )
    return [first, second]


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.levenberg_marquardt_speed",
        description=__doc__,
        epilog="A busy machine slows all of them, so trust the speedups more than the times.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="two cases, fewer turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    options = parser.parse_args()
    cases = CASES[::3] if options.quick else CASES
    repetitions, max_evaluations = (1, 100) if options.quick else (3, 400)

    torch.set_num_threads(1)
    progress = Console(stderr=True, quiet=not sys.stderr.isatty())
    races, iterations = [], []
    for case in cases:
        progress.print(f"measuring {case} ...")
        iterations.append(compare_iterations(case, 20, 2 * repetitions + 1))
        races.append(race(case, max_evaluations, repetitions))
    if options.json:
        print(
            json.dumps(
                {
                    "benchmark": "levenberg_marquardt_speed",
                    "torch": torch.__version__,
                    "races": [asdict(r) for r in races],
                    "iterations": [asdict(i) for i in iterations],
                }
            )
        )
    else:
        Console().print(*tables(races, iterations))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
