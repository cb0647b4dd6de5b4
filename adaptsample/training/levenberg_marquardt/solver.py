"""The Levenberg-Marquardt iteration, one program for any residuals with a Jacobian.

The cost is |r(theta)|^2 + sum_p a_p theta_p^2, where a (zero unless a prior is wanted) is the prior
precision of each parameter in units of the noise precision. A step v solves

    (J^T J + diag(a) + lambda I) v = -(J^T r + a theta)

(see `normal`). Lambda follows the gain ratio, actual over predicted decrease (Nielsen 1999),
with the ratio clamped, as the cube in his rule overflows where the model is poor. Each step is bent
by the *geodesic acceleration*, the second derivative of r along v, at the price of one more
evaluation of r (Transtrum and Sethna 2012): in the curved valleys of a network that reaches much
lower residuals.

At some tens of rows an iteration is a few hundred small operations, which cost more to call for
than to compute. So B *runners*, different starts or problems, are carried along as one batch. A
*sweep* tries the lambda of each of them: where that lowers the cost the runner moves on, where it
does not the next sweep tries a larger one. Runners do not know of each other.

TorchScript has no generic functions. `compile_solver` therefore writes the program around the given
residuals, as a template would; a closure is compiled together with the functions that it names.

References:
    H. B. Nielsen (1999), Damping parameter in Marquardt's method, IMM-REP-1999-05.
    M. K. Transtrum and J. P. Sethna (2012), Improvements to the Levenberg-Marquardt algorithm for
    nonlinear least-squares minimization, arXiv:1201.5885, section 4.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from adaptsample.training.levenberg_marquardt.evidence import Prior, reestimate
from adaptsample.training.levenberg_marquardt.network import Problem
from adaptsample.training.levenberg_marquardt.normal import (
    Jacobian,
    Normal,
    factorise,
    normal_equations,
    solve,
    with_precision,
)
from adaptsample.training.torchscript import script


class State(NamedTuple):
    """Where B runners stand; everything they need to go on.

    Attributes:
        theta: the parameters (B, P).
        prior: their priors, and the noise that goes with them.
        cost: at ``theta``.
        damping: lambda.
        growth: by what lambda is multiplied at the next failure; 2 after a success.
        n_iterations: how many were made.
        n_calm: iterations in a row that hardly lowered the cost.
        done: whether a stopping rule was met.
        n_sweeps: how many the batch made.
    """

    theta: Tensor
    prior: Prior
    cost: list[float]
    damping: list[float]
    growth: list[float]
    n_iterations: list[int]
    n_calm: list[int]
    done: list[bool]
    n_sweeps: int


class Stop(NamedTuple):
    """When to stop: after ``patience`` iterations in a row whose relative decrease is small.

    Attributes:
        decrease: what is small.
        patience: how many iterations.
        promise: or when the linearised problem promises no larger relative decrease than this.
    """

    decrease: float
    patience: int
    promise: float


class Trial(NamedTuple):
    """What the runners try.

    Attributes:
        theta: where they would go (B, P).
        promised: by how much the linearised problem has their costs decrease (B,).
        solvable: whether there was a step (B,).
    """

    theta: Tensor
    promised: Tensor
    solvable: Tensor


def relax(damping: float, gain: float) -> float:
    """Return lambda after a success (Nielsen's rule, its ratio clamped)."""
    clamped = min(max(2 * gain - 1, -1.0), 2.0)
    return max(damping * max(0.2, 1 - clamped * clamped * clamped), 1e-20)


def bent(step: Tensor, acceleration: Tensor) -> Tensor:
    """Return the steps (B, P) with their accelerations, as far as expansions can be trusted."""
    max_bend = 0.75  # largest 2 |acceleration| / |v|
    length = torch.linalg.vector_norm(step, dim=1, keepdim=True)
    bend = torch.linalg.vector_norm(acceleration, dim=1, keepdim=True)
    curved = torch.add(step, acceleration, alpha=0.5)
    return torch.where(2 * bend < max_bend * length, curved, step)


def vector(values: list[float]) -> Tensor:
    """Return the values, all digits of them: compiled, `torch.tensor` rounds to float32 first."""
    return torch.stack([torch.scalar_tensor(value, dtype=torch.float64) for value in values])


def dots(a: Tensor, b: Tensor) -> Tensor:
    """Return the scalar products (B,) of rows."""
    return (a * b).sum(1)


Evaluate = Callable[[Tensor, Problem], Any]
Differentiate = Callable[[Tensor, Problem, Any], Jacobian]
Iterate = Callable[[State, Problem, Stop, list[int], int], tuple[State, list[list[float]]]]


def copied(state: State) -> State:
    """Return the same with lists of its own."""
    return State(
        state.theta,
        state.prior,
        state.cost.copy(),
        state.damping.copy(),
        state.growth.copy(),
        state.n_iterations.copy(),
        state.n_calm.copy(),
        state.done.copy(),
        state.n_sweeps,
    )


def judge(
    runners: State, trial: Trial, costs: Tensor, active: list[bool], stop: Stop
) -> list[bool]:
    """Return who moves to its trial, and write down what that means for each."""
    max_tries = 14  # of lambda in one iteration; its growth doubles each time
    solvable: list[bool] = trial.solvable.tolist()
    promised: list[float] = trial.promised.tolist()
    reached: list[float] = costs.tolist()
    accepted = [False for _ in active]
    for i, is_active in enumerate(active):
        decrease = runners.cost[i] - reached[i]
        gain = decrease / max(promised[i], 1e-300)
        if not is_active:
            continue
        if solvable[i] and abs(promised[i]) <= stop.promise * runners.cost[i]:
            runners.done[i] = True
        elif solvable[i] and decrease > 0 and gain > 1e-4:
            accepted[i] = True
            is_calm = decrease <= stop.decrease * runners.cost[i]
            runners.n_calm[i] = runners.n_calm[i] + 1 if is_calm else 0
            runners.cost[i] = reached[i]
            runners.damping[i] = relax(runners.damping[i], gain)
            runners.growth[i] = 2.0
            runners.n_iterations[i] += 1
            runners.done[i] = runners.n_calm[i] >= stop.patience
        else:
            runners.damping[i] *= runners.growth[i]
            runners.growth[i] *= 2
            runners.done[i] = runners.growth[i] > 2**max_tries
    return accepted


def make_solver(evaluate: Evaluate, differentiate: Differentiate) -> Iterate:
    """Return the iteration for these residuals, not compiled.

    It takes where the runners stand, the problem, the stopping rule, for each runner how many
    iterations it may have made at the end, and the number of sweeps. It returns where they stand
    then, and for each the mean squared residuals before its iterations.

    Args:
        evaluate: at theta (B, P), a named tuple with r (B, m) as ``residual``, and anything else
            that the derivatives need.
        differentiate: J at the same theta, given what ``evaluate`` returned.
    """

    def attempt(
        theta: Tensor, residual: Tensor, normal: Normal, damping: list[float], problem: Problem
    ) -> Trial:
        probe = 0.1  # length, in steps, over which the second derivative is taken
        no_pull: Tensor | None = None
        lambdas = vector(damping)
        system, solvable = factorise(normal, lambdas.unsqueeze(1))
        pull = normal.precision * theta
        step, along = solve(system, -residual, no_pull if normal.flat else -pull)
        ahead = evaluate(torch.add(theta, step, alpha=probe), problem).residual
        second = ((ahead - residual) / probe - along) * (-2 / probe)
        bend = solve(system, second, no_pull)[0]
        promised = lambdas * dots(step, step) - dots(residual, along) - dots(pull, step)
        return Trial(theta + bent(step, bend), promised, solvable)

    def iterate(
        state: State, problem: Problem, stop: Stop, limits: list[int], n_sweeps: int
    ) -> tuple[State, list[list[float]]]:
        every = 3  # sweeps between two estimates of the prior
        theta, prior, n_done = state.theta, state.prior, state.n_sweeps
        runners = copied(state)
        n_runners = theta.size(0)
        losses: list[list[float]] = [[0.0 for _ in range(0)] for _ in range(n_runners)]
        observed = problem.weights.flatten(1).count_nonzero(dim=1).expand(n_runners)
        n_observed: list[int] = observed.tolist()

        here = evaluate(theta, problem)
        normal = normal_equations(differentiate(theta, problem, here), prior.precision)
        for _ in range(n_sweeps):
            active = [
                not runners.done[i] and runners.n_iterations[i] < limits[i]
                for i in range(n_runners)
            ]
            if not any(active):
                break
            n_done += 1
            n_made = [runners.n_iterations[i] if active[i] else 0 for i in range(n_runners)]
            if prior.groups.size(0) > 0 and n_done % every == 0:
                prior = reestimate(prior, here.residual, normal, theta, n_made)
                normal = with_precision(normal, prior.precision)
            squares: list[float] = dots(here.residual, here.residual).tolist()
            penalties: list[float] = dots(prior.precision * theta, theta).tolist()
            for i, square in enumerate(squares):
                if active[i]:
                    runners.cost[i] = square + penalties[i]
                    if runners.growth[i] == 2:  # the first try of an iteration
                        losses[i].append(square / n_observed[i])

            trial = attempt(theta, here.residual, normal, runners.damping, problem)
            there = evaluate(trial.theta, problem)
            costs = dots(there.residual, there.residual)
            costs = costs + dots(prior.precision * trial.theta, trial.theta)
            accepted = judge(runners, trial, costs, active, stop)
            if any(accepted):
                moved = torch.tensor(accepted).unsqueeze(1)
                theta = trial.theta if all(accepted) else torch.where(moved, trial.theta, theta)
                # of runners that have stopped nothing is asked any more
                here = there if accepted == active else evaluate(theta, problem)
                normal = normal_equations(differentiate(theta, problem, here), prior.precision)
        return State(
            theta,
            prior,
            runners.cost,
            runners.damping,
            runners.growth,
            runners.n_iterations,
            runners.n_calm,
            runners.done,
            n_done,
        ), losses

    return iterate


@cache
def compile_solver(evaluate: Evaluate, differentiate: Differentiate) -> Iterate:
    """Return the iteration for these residuals as one compiled program."""
    return script(make_solver(evaluate, differentiate), is_tuned=False)
