"""The Levenberg-Marquardt iteration, one program for any residuals with a Jacobian.

The cost is |r(theta)|^2 + sum_p a_p theta_p^2, where a (zero unless a prior is wanted) is the prior
precision of each parameter in units of the noise precision. A step v solves

    (J^T J + diag(a) + lambda I) v = -(J^T r + a theta)

(see `normal`). Lambda follows the gain ratio, actual over predicted decrease (Nielsen 1999),
with the ratio clamped, as the cube in his rule overflows where the model is poor. Each step is bent
by the *geodesic acceleration*, the second derivative of r along v, at the price of one more
evaluation of r (Transtrum and Sethna 2012): in the curved valleys of a network that reaches much
lower residuals.

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
    factorise,
    normal_equations,
    solve,
)
from adaptsample.training.torchscript import script


class State(NamedTuple):
    """Where the iteration stands; everything it needs to go on.

    Attributes:
        theta: the parameters (P,).
        prior: their prior, and the noise that goes with it.
        cost: at ``theta``.
        damping: lambda.
        growth: by what lambda is multiplied at the next failure.
        n_iterations: how many were made.
        n_calm: iterations in a row that hardly lowered the cost.
        done: whether a stopping rule was met.
    """

    theta: Tensor
    prior: Prior
    cost: float
    damping: float
    growth: float
    n_iterations: int
    n_calm: int
    done: bool


class Stop(NamedTuple):
    """When to stop: after ``patience`` iterations in a row whose relative decrease is small.

    Attributes:
        decrease: what is small.
        patience: how many iterations.
        gradient: or when the cosine between r and the range of J is at most this.
    """

    decrease: float
    patience: int
    gradient: float


def relax(damping: float, gain: float) -> float:
    """Return lambda after a success (Nielsen's rule, its ratio clamped)."""
    clamped = min(max(2 * gain - 1, -1.0), 2.0)
    return max(damping * max(0.2, 1 - clamped * clamped * clamped), 1e-20)


def bent(step: Tensor, acceleration: Tensor) -> Tensor:
    """Return the step with the acceleration, as far as the expansion can be trusted."""
    max_bend = 0.75  # largest 2 |acceleration| / |v|
    if 2 * float(acceleration.norm()) < max_bend * float(step.norm()):
        return torch.add(step, acceleration, alpha=0.5)
    return step


Evaluate = Callable[[Tensor, Problem], Any]
Differentiate = Callable[[Tensor, Problem, Any], Jacobian]
Iterate = Callable[[State, Problem, Stop, int], tuple[State, list[float]]]


def make_solver(evaluate: Evaluate, differentiate: Differentiate) -> Iterate:
    """Return the iteration for these residuals, not compiled.

    Args:
        evaluate: at theta, a named tuple with r (m,) as ``residual``, and anything else that the
            derivatives need.
        differentiate: J at the same theta, given what ``evaluate`` returned.
    """

    def iterate(
        state: State, problem: Problem, stop: Stop, n_iterations: int
    ) -> tuple[State, list[float]]:
        max_tries = 14  # of lambda in one iteration; its growth doubles each time
        probe = 0.1  # length, in steps, over which the second derivative is taken
        theta, prior = state.theta, state.prior
        cost, damping, growth = state.cost, state.damping, state.growth
        done, n_calm, n_done = state.done, state.n_calm, 0
        losses: list[float] = []
        no_pull = torch.zeros_like(theta)
        here = evaluate(theta, problem)
        while n_done < n_iterations and not done:
            residual, jacobian = here.residual, differentiate(theta, problem, here)
            prior = reestimate(prior, residual, jacobian, theta, state.n_iterations + n_done)
            precision = prior.precision
            pull = precision * theta
            square = float(residual.dot(residual))
            losses.append(square / residual.numel())
            cost = square + float(pull.dot(theta))
            gradient = torch.mv(jacobian.matrix.t(), residual) + pull
            n_done += 1
            small = stop.gradient * float(jacobian.matrix.norm()) * cost**0.5
            if float(gradient.norm()) <= small:
                done = True
                break

            normal = normal_equations(jacobian, precision)
            accepted = False
            for _ in range(max_tries):
                system, solvable = factorise(normal, damping)
                if solvable:
                    step = -solve(system, residual, pull)
                    slope = torch.mv(jacobian.matrix, step)
                    predicted = damping * float(step.dot(step)) - float(gradient.dot(step))
                    ahead = evaluate(torch.add(theta, step, alpha=probe), problem).residual
                    second = (2 / probe) * ((ahead - residual) / probe - slope)
                    trial = theta + bent(step, -solve(system, second, no_pull))
                    there = evaluate(trial, problem)
                    rows = there.residual
                    trial_cost = float(rows.dot(rows) + (precision * trial).dot(trial))
                    gain = (cost - trial_cost) / max(predicted, 1e-300)
                    if trial_cost < cost and gain > 1e-4:
                        accepted = True
                        n_calm = n_calm + 1 if cost - trial_cost <= stop.decrease * cost else 0
                        theta, here, cost = trial, there, trial_cost
                        damping, growth = relax(damping, gain), 2.0
                        break
                damping *= growth
                growth *= 2
            done = not accepted or n_calm >= stop.patience
        n_done += state.n_iterations
        return State(theta, prior, cost, damping, growth, n_done, n_calm, done), losses

    return iterate


@cache
def compile_solver(evaluate: Evaluate, differentiate: Differentiate) -> Iterate:
    """Return the iteration for these residuals as one compiled program."""
    return script(make_solver(evaluate, differentiate))
