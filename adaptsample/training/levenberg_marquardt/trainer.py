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
from typing import ClassVar, Literal, Self, final

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.core.deadline import Deadline
from adaptsample.training.levenberg_marquardt.evidence import Prior, flat_prior, grouped_prior
from adaptsample.training.levenberg_marquardt.linearisation import Linearisation
from adaptsample.training.levenberg_marquardt.network import (
    Problem,
    differentiate,
    evaluate,
    linearise,
    regression,
)
from adaptsample.training.levenberg_marquardt.solver import (
    Iterate,
    State,
    Stop,
    compile_solver,
    make_solver,
)
from adaptsample.training.losses import Samples
from adaptsample.training.network import CREASES, activations_of, count_parameters, split

_EXACT_BETA = 1e8  # noise below 1e-4 of the values' spread
_CHUNK = 25  # iterations between two looks at the clock
_SMOOTHING = (0.5, 0.1, 0.02, 0.0)


@final
@dataclass(frozen=True, eq=False)
class LeastSquaresTraining:
    """The result of training.

    Attributes:
        theta: the parameters.
        state: to continue from.
        train_loss: mean squared residual before each iteration of the start that won.
        converged: whether a stopping rule was met before iterations and seconds ran out.
        linearisation: leverages, leave-one-out residuals, uncertainty of theta. Its rows are
            (1 + d, n, k) flattened: values, then derivatives, if any were observed.
    """

    theta: Float[Tensor, " P"]
    state: State
    train_loss: Float[Tensor, " iterations"]
    converged: bool
    linearisation: Linearisation

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise that the evidence finds; 0 without a prior."""
        prior = self.state.prior
        return float(prior.beta) ** -0.5 if len(prior.groups) else 0.0

    @property
    def prior_std(self) -> Float[Tensor, " P"]:
        """Standard deviation of each parameter's prior, in units of the noise's."""
        return self.linearisation.scale

    @property
    def leverages(self) -> Float[Tensor, " m"]:
        """Leverages of the rows."""
        return self.linearisation.leverages

    def std(self, jacobian: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """Return the standard deviation of functions of theta that have these derivatives."""
        noise = float(self.state.prior.beta) ** -0.5
        std: Tensor = noise * self.linearisation.std(jacobian)
        return std


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
        seconds: stop soon after that time, or None; what is reached then depends on the machine.
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
    seconds: float | None = None
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
            "seconds": (self.seconds is None or self.seconds > 0, "positive, or None"),
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
        race = _Race(
            self._solver(),
            problem,
            Stop(self.tolerance, 20, 1e-12),
            Deadline.after(math.inf if self.seconds is None else self.seconds),
        )
        if state is not None and theta is not None:
            runner = race.run(self._continued(theta, problem, state), self.continued_iterations)
            (runner,) = self._without_prior_if_exact([runner], race, 2 * self.continued_iterations)
            return (runner.finish(problem),)

        n_drawn = self.starts if theta is None else self.starts - 1
        thetas = [] if theta is None else [theta.clone()]
        thetas += [initial_parameters(widths, generator=generator) for _ in range(n_drawn)]
        runners = [self._start(theta, problem, race) for theta in thetas]
        n_iterations = self.start_iterations
        while len(runners) > self.finalists:
            n_kept = max(self.finalists, len(runners) // 2)
            runners = sorted(runners, key=lambda runner: runner.badness(problem))[:n_kept]
            n_iterations *= 2
            if n_kept > self.finalists:
                runners = [race.run(runner, n_iterations) for runner in runners]
        runners = [race.run(runner, self.iterations) for runner in runners]
        runners = self._without_prior_if_exact(runners, race, 2 * self.iterations)
        runners.sort(key=lambda runner: runner.badness(problem))
        return tuple(runner.finish(problem) for runner in runners)

    def _solver(self) -> Iterate:
        make = compile_solver if self.compiled else make_solver
        return make(evaluate, differentiate)

    def _prior(self, problem: Problem) -> Prior:
        creased = bool(set(CREASES) & set(problem.activations))
        if self.evidence is None or (self.evidence == "auto" and creased):
            return flat_prior(count_parameters(problem.widths))
        groups = parameter_groups(problem.widths, by_input=self.evidence != "layer")
        return grouped_prior(groups, int(torch.count_nonzero(problem.weights)))

    def _without_prior_if_exact(
        self, runners: "list[_Runner]", race: "_Race", n_iterations: int
    ) -> "list[_Runner]":
        """Polish without a prior if the evidence found no noise in data of one variable."""
        one_variable = self.evidence == "auto" and race.problem.widths[0] == 1
        priors = [runner.state.prior for runner in runners]
        if one_variable and all(len(p.groups) > 0 and p.beta > _EXACT_BETA for p in priors):
            return [race.run(runner.without_prior(), n_iterations) for runner in runners]
        return runners

    def _start(self, theta: Float[Tensor, " P"], problem: Problem, race: "_Race") -> "_Runner":
        """Run the first stage, in which creases are sharpened."""
        state = State(theta, self._prior(problem), math.inf, 1e-2, 2.0, 0, 0, False)
        runner = _Runner(state, ())
        if not set(CREASES) & set(problem.activations):
            return race.run(runner, self.start_iterations)
        for smoothing in _SMOOTHING:
            smooth = race.on(problem._replace(smoothing=smoothing))
            runner = smooth.run(runner.renewed(damping=1e-2), self.start_iterations)
        return runner.renewed(damping=1e-4)

    def _continued(self, theta: Float[Tensor, " P"], problem: Problem, state: State) -> "_Runner":
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
            precision = prior.precision * prior.beta / _EXACT_BETA
            prior = prior._replace(precision=precision, beta=_EXACT_BETA)
        # counted from 0, so that the prior stays as it is until theta suits the new data
        state = state._replace(theta=theta.clone(), prior=prior, cost=math.inf, n_iterations=0)
        return _Runner(state, ()).renewed(damping=1e-4)


@final
@dataclass(frozen=True, eq=False)
class _Runner:
    """One of the competing networks."""

    state: State
    losses: tuple[float, ...]

    def renewed(self, *, damping: float) -> "_Runner":
        return _Runner(
            self.state._replace(damping=damping, growth=2.0, n_calm=0, done=False), self.losses
        )

    def without_prior(self) -> "_Runner":
        state = self.state._replace(prior=flat_prior(len(self.state.theta)), cost=math.inf)
        return _Runner(state, self.losses).renewed(damping=1e-4)

    def badness(self, problem: Problem) -> float:
        """Return what runners compete in: the cost, or minus the log evidence; lower is better."""
        if len(self.state.prior.groups) == 0:
            return self.state.cost
        return -self.linearise(problem).log_evidence(self.state.theta, self.state.prior.beta)

    def linearise(self, problem: Problem) -> Linearisation:
        residual, jacobian = linearise(self.state.theta, problem)
        n_observed = int(torch.count_nonzero(problem.weights))
        return Linearisation.of(residual, jacobian, self.state.prior.precision, n_observed)

    def finish(self, problem: Problem) -> LeastSquaresTraining:
        return LeastSquaresTraining(
            self.state.theta,
            self.state,
            torch.tensor(self.losses, dtype=torch.float64),
            self.state.done,
            self.linearise(problem),
        )


@final
@dataclass(frozen=True, eq=False)
class _Race:
    """The track: solver, problem, rules and clock."""

    iterate: Iterate
    problem: Problem
    stop: Stop
    deadline: Deadline

    def on(self, problem: Problem) -> Self:
        return type(self)(self.iterate, problem, self.stop, self.deadline)

    def run(self, runner: _Runner, n_iterations: int) -> _Runner:
        """Train in chunks, between which the clock is watched and Ctrl-C is heard."""
        state, losses = runner.state, runner.losses
        while n_iterations > 0 and not state.done:
            state, more = self.iterate(state, self.problem, self.stop, min(n_iterations, _CHUNK))
            losses += tuple(more)
            n_iterations -= _CHUNK
            if self.deadline.is_over:
                break
        # compiled programs return named tuples of classes of their own
        return _Runner(State(*state)._replace(prior=Prior(*state.prior)), losses)


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
    problem = Problem(x, outputs, torch.ones_like(outputs), widths, activations, 0.0)
    return linearise(theta, problem)[1].view(len(x), widths[-1], len(theta))
