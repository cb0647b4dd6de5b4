"""Levenberg-Marquardt: nonlinear least squares for networks of up to some thousand parameters.

A first-order method stalls at a relative error of some 1e-5; this second-order one goes on to
1e-8 and below, where the data allow it, in a fraction of the time. It works in float64.

Minima differ, so several starts compete in *successive halving*: all train for a while, the worse
half is dropped, the others go on for twice as long, and so forth; the last are polished. Networks
with creases (layers ``abs`` or ``crease``) begin with rounded creases, for they find their place
more easily, and sharpen them within the first stage.

Noise, or more variables than the points can fill, call for the Bayesian *evidence*, which finds
noise level and smoothness by itself. Exact data of one variable is fitted best as it is, and so are
creases, which the prior would rather round. The choice "auto" keeps these apart: with one variable
it trains with evidence first, and where that finds no noise, it polishes without a prior.

References:
    K. Levenberg (1944); D. W. Marquardt (1963); further ones in `solver` and `evidence`.
    K. Jamieson and A. Talwalkar (2016), Non-stochastic best arm identification (halving).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from adaptsample.core.work import Work
from adaptsample.training.levenberg_marquardt.evidence import Prior, flat_prior, grouped_prior
from adaptsample.training.levenberg_marquardt.network import (
    Problem,
    differentiate,
    evaluate,
    linearise,
    regression,
)
from adaptsample.training.levenberg_marquardt.race import (
    EXACT_BETA,
    LeastSquaresTraining,
    Race,
    Runner,
)
from adaptsample.training.levenberg_marquardt.solver import (
    State,
    Stop,
    compile_solver,
    make_solver,
)
from adaptsample.training.losses import Samples
from adaptsample.training.network import CREASES, activations_of, count_parameters, split

_SMOOTHING = (0.5, 0.1, 0.02, 0.0)


@final
@dataclass(frozen=True)
class LevenbergMarquardt:
    """Nonlinear least squares with geodesic acceleration, from several starts.

    Args:
        starts: how many networks compete at first.
        finalists: how many of them are polished.
        start_iterations: iterations of each in the first stage; twice as many in the next.
        iterations: iterations of polishing, at most; twice as many more without prior.
        continued_iterations: of a fit that continues an earlier one, from its parameters alone;
            those of a model's cross-validation do.
        evidence: None, or the groups of parameters that share a prior: "layer" for the weights and
            the biases of each layer, or "ard" to part the first layer's weights by input. "auto" is
            None where there are creases, and else "ard", with an end without prior for exact data
            of one variable.
        gradient_weight: weight of the gradient's mean squared error in the loss, where the data has
            gradients.
        tolerance: stop when 20 iterations in a row lower the cost by less than this share each.
        operations: begin no more sweeps after so many modelled multiply-adds, or None. A billion
            take about a second.
        compiled: run as TorchScript. False runs the same code in Python, for debugging.

    Raises:
        ValueError: a hyper-parameter outside of its range; the message names both.
    """

    # One that is only continued is caught in what it made of fewer points: in a loop, errors end 10
    # times higher, and a network that once took everything for noise learns no more.
    continues: ClassVar[bool] = False

    starts: int = 4
    finalists: int = 1
    start_iterations: int = 60
    iterations: int = 600
    continued_iterations: int = 200
    evidence: Literal["auto", "layer", "ard"] | None = "auto"
    gradient_weight: float = 1.0
    tolerance: float = 1e-6
    operations: float | None = None
    compiled: bool = True

    def __post_init__(self) -> None:
        ranges = {
            "starts": (self.starts >= 1, "at least 1"),
            "finalists": (1 <= self.finalists <= self.starts, f"within 1 ... {self.starts}"),
            "start_iterations": (self.start_iterations >= 1, "at least 1"),
            "iterations": (self.iterations >= 0, "at least 0"),
            "continued_iterations": (self.continued_iterations >= 0, "at least 0"),
            "evidence": (
                self.evidence in (None, "auto", "layer", "ard"),
                "None, 'auto', 'layer' or 'ard'",
            ),
            "gradient_weight": (0 <= self.gradient_weight < math.inf, "a number of at least 0"),
            "tolerance": (0 <= self.tolerance < 1, "within [0, 1)"),
            "operations": (self.operations is None or self.operations > 0, "positive, or None"),
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
        state: State | None = None,
    ) -> tuple[LeastSquaresTraining, ...]:
        """Let the starts compete, or continue; the rest is as `Trainer` has it.

        Where finalists agree that come from different starts, they can be trusted more.

        Raises:
            ValueError: an unknown activation, samples that are not float64 on the CPU, or a state
                that this recipe cannot continue from.
        """
        activations = activations_of(activation, len(widths) - 2)
        if samples.x.dtype != torch.float64 or samples.x.device.type != "cpu":
            raise ValueError(
                f"Levenberg-Marquardt works in float64 on the CPU, got {samples.x.dtype} on "
                f"{samples.x.device.type}; ask for dtype='float64', device='cpu'"
            )
        problem = regression(widths, activations, samples, self.gradient_weight)
        race = self._race()
        if state is not None and theta is not None:
            runner = self._continued(theta, problem, state)
            return (self._continue([runner], race)[0].finish(),)

        n_drawn = self.starts if theta is None else self.starts - 1
        thetas = [] if theta is None else [theta.clone()]
        thetas += [initial_parameters(widths, generator=generator) for _ in range(n_drawn)]
        prior = self._prior(problem)
        runners = self._start([Runner.at(theta, problem, prior) for theta in thetas], race)
        n_iterations = self.start_iterations
        while len(runners) > self.finalists:
            n_kept = max(self.finalists, len(runners) // 2)
            runners = sorted(runners, key=Runner.badness)[:n_kept]
            n_iterations *= 2
            if n_kept > self.finalists:
                runners = race.run(runners, n_iterations)
        runners = race.run(runners, self.iterations)
        if all(self._is_exact(runner) for runner in runners):
            runners = race.run([r.without_prior() for r in runners], 2 * self.iterations)
        return tuple(runner.finish() for runner in sorted(runners, key=Runner.badness))

    def refit(
        self,
        theta: Float[Tensor, "B P"],
        widths: list[int],
        activation: str | Sequence[str],
        samples: Samples,
        *,
        held_out: Bool[Tensor, "B n"],
        state: State,
    ) -> tuple[LeastSquaresTraining, ...]:
        """Continue B fits without the points held out, all in one batch; see `SupportsFolds`.

        The rows of points held out have weight 0, residual 0 and leverage 0.

        Raises:
            ValueError: as `train`.
        """
        activations = activations_of(activation, len(widths) - 2)
        problem = regression(widths, activations, samples, self.gradient_weight)
        runners = []
        for start, held in zip(theta, held_out, strict=True):
            weights = problem.weights * (~held)[:, None]
            runners.append(self._continued(start, problem._replace(weights=weights), state))
        return tuple(runner.finish() for runner in self._continue(runners, self._race()))

    def _race(self) -> Race:
        make = compile_solver if self.compiled else make_solver
        limit = math.inf if self.operations is None else self.operations
        return Race(make(evaluate, differentiate), Stop(self.tolerance, 20, 1e-16), Work(limit))

    def _prior(self, problem: Problem) -> Prior:
        creased = bool(set(CREASES) & set(problem.activations))
        if self.evidence is None or (self.evidence == "auto" and creased):
            return flat_prior(count_parameters(problem.widths))
        groups = parameter_groups(problem.widths, by_input=self.evidence != "layer")
        return grouped_prior(groups, int(torch.count_nonzero(problem.weights)))

    def _is_exact(self, runner: Runner) -> bool:
        """Return whether it is to be polished without a prior."""
        one_variable = self.evidence == "auto" and runner.problem.widths[0] == 1
        return one_variable and runner.finds_no_noise

    def _start(self, runners: list[Runner], race: Race) -> list[Runner]:
        """Run the first stage, in which creases are sharpened."""
        if not set(CREASES) & set(runners[0].problem.activations):
            return race.run(runners, self.start_iterations)
        for smoothing in _SMOOTHING:
            runners = [runner.renewed(damping=1e-2) for runner in runners]
            runners = race.run(runners, self.start_iterations, smoothing=smoothing)
        return [runner.renewed(damping=1e-4) for runner in runners]

    def _continued(self, theta: Float[Tensor, " P"], problem: Problem, state: State) -> Runner:
        """Take prior and noise over from an earlier fit, perhaps to other data."""
        prior = self._prior(problem)
        if not isinstance(state, State) or (
            not torch.equal(state.prior.groups, prior.groups)
            and not (self.evidence == "auto" and len(state.prior.groups) == 0)
        ):
            raise ValueError(
                f"cannot continue: the earlier fit was not by Levenberg-Marquardt with evidence="
                f"{self.evidence!r}; continue with the recipe that it was made with"
            )
        if torch.equal(state.prior.groups, prior.groups):
            prior = state.prior._replace(n_observed=prior.n_observed)
        else:  # it ended without a prior, as its data looked exact; the new data may not
            precision = prior.precision * prior.beta[0] / EXACT_BETA
            prior = prior._replace(precision=precision, beta=[EXACT_BETA])
        # counted from 0, so that the prior stays as it is until theta suits the new data
        return Runner.at(theta.clone(), problem, prior).renewed(damping=1e-4)

    def _continue(self, runners: list[Runner], race: Race) -> list[Runner]:
        """Run on, and polish without a prior what is exact."""
        runners = race.run(runners, self.continued_iterations)
        exact = [i for i, runner in enumerate(runners) if self._is_exact(runner)]
        polished = race.run(
            [runners[i].without_prior() for i in exact], 2 * self.continued_iterations
        )
        for i, runner in zip(exact, polished, strict=True):
            runners[i] = runner
        return runners


def initial_parameters(widths: list[int], *, generator: Generator) -> Float[Tensor, " P"]:
    """Draw theta: weights normal with standard deviation 1/2 / sqrt(in), biases zero.

    Smaller than usual: from here creases form within the domain, and not outside of it.
    """
    theta = torch.zeros(count_parameters(widths), dtype=torch.float64)
    for weight in split(theta, widths).weights:
        drawn = torch.randn(weight.shape, dtype=torch.float64, generator=generator)
        weight.copy_(drawn * 0.5 / math.sqrt(len(weight)))
    return theta


def parameter_groups(widths: list[int], *, by_input: bool) -> Int64[Tensor, " P"]:
    """Return the group of each parameter: weights and biases of each layer.

    Args:
        widths: the network's widths.
        by_input: part the first layer's weights by input.
    """
    groups = torch.empty(count_parameters(widths), dtype=torch.long)
    layers = split(groups, widths)
    n_groups = 0
    for i, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        parts = weight if by_input and i == 0 else weight[None]
        for part in (*parts, bias):
            part.fill_(n_groups)
            n_groups += 1
    return groups


def parameter_jacobian(
    theta: Float[Tensor, " P"],
    widths: list[int],
    activation: str | Sequence[str],
    x: Float[Tensor, "n d"],
) -> Float[Tensor, "n k P"]:
    """Return the derivatives of the outputs at n points with respect to theta."""
    outputs = torch.zeros(1, len(x), widths[-1], dtype=torch.float64)
    activations = activations_of(activation, len(widths) - 2)
    problem = Problem(x, outputs, torch.ones_like(outputs)[None], widths, activations, 0.0)
    _, jacobian = linearise(theta[None], problem)
    return jacobian.reshape(len(x), widths[-1], len(theta))
