"""The race of several networks for one minimum, and what those that arrive know of themselves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.work import Work
from adaptsample.training.levenberg_marquardt.evidence import Prior, flat_prior
from adaptsample.training.levenberg_marquardt.linearisation import Linearisation
from adaptsample.training.levenberg_marquardt.network import Problem, linearise
from adaptsample.training.levenberg_marquardt.solver import Iterate, State, Stop

EXACT_BETA = 1e8  # noise below 1e-4 of the values' spread
_CHUNK = 25  # sweeps between two looks at who still runs; Ctrl-C is heard there as well
_CALLS = 4.0  # that a sweep costs besides its arithmetic


@final
@dataclass(frozen=True, eq=False)
class LeastSquaresTraining:
    """The result of training.

    Attributes:
        theta: the parameters.
        state: to continue from.
        train_loss: mean squared residual before each iteration of the start that won.
        converged: whether a stopping rule was met before iterations and operations ran out.
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
        return prior.beta[0] ** -0.5 if len(prior.groups) else 0.0

    @property
    def prior_std(self) -> Float[Tensor, " P"]:
        """Standard deviation of each parameter's prior, in units of the noise's."""
        return self.linearisation.scale

    @property
    def leverages(self) -> Float[Tensor, " m"]:
        """Leverages of the rows."""
        return self.linearisation.leverages

    @property
    def loo_residuals(self) -> Float[Tensor, " m"]:
        """Residuals of the rows, each left out of the linearised fit in turn."""
        return self.linearisation.loo_residuals

    def std(self, jacobian: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """Return the standard deviation of functions of theta that have these derivatives."""
        noise = self.state.prior.beta[0] ** -0.5
        std: Tensor = noise * self.linearisation.std(jacobian)
        return std


@final
@dataclass(frozen=True, eq=False)
class Runner:
    """One of the competing networks.

    Attributes:
        problem: what it is fitted to.
        state: where it stands; a batch of one.
        losses: mean squared residual before each of its iterations.
    """

    problem: Problem
    state: State
    losses: tuple[float, ...] = ()

    @classmethod
    def at(cls, theta: Float[Tensor, " P"], problem: Problem, prior: Prior) -> "Runner":
        """Return a runner that has not begun."""
        state = State(theta[None], prior, [math.inf], [1e-2], [2.0], [0], [0], [False], 0)
        return cls(problem, state)

    @property
    def finds_no_noise(self) -> bool:
        """Whether it has a prior whose evidence found the data exact."""
        prior = self.state.prior
        return len(prior.groups) > 0 and prior.beta[0] > EXACT_BETA

    def renewed(self, *, damping: float) -> "Runner":
        """Return it as ready to go on, whatever made it stop."""
        state = self.state._replace(damping=[damping], growth=[2.0], n_calm=[0], done=[False])
        return replace(self, state=state)

    def without_prior(self) -> "Runner":
        """Return it as ready to go on without a prior."""
        prior = flat_prior(self.state.theta.shape[1])
        state = self.state._replace(prior=prior, cost=[math.inf])
        return replace(self, state=state).renewed(damping=1e-4)

    def badness(self) -> float:
        """Return what runners compete in: the cost, or minus the log evidence; lower is better."""
        prior = self.state.prior
        if len(prior.groups) == 0:
            return self.state.cost[0]
        return -self._linearised().log_evidence(self.state.theta[0], prior.beta[0])

    def finish(self) -> LeastSquaresTraining:
        """Return what came of it."""
        return LeastSquaresTraining(
            self.state.theta[0],
            self.state,
            torch.tensor(self.losses, dtype=torch.float64),
            self.state.done[0],
            self._linearised(),
        )

    def _linearised(self) -> Linearisation:
        residual, jacobian = linearise(self.state.theta, self.problem)
        n_observed = int(torch.count_nonzero(self.problem.weights))
        precision = self.state.prior.precision[0]
        theta = self.state.theta[0]
        return Linearisation.of(residual[0], jacobian[0], theta, precision, n_observed)


@final
@dataclass(frozen=True, eq=False)
class Race:
    """The track: the compiled iteration, the stopping rule, and how much work may be done."""

    iterate: Iterate
    stop: Stop
    work: Work

    def run(
        self, runners: Sequence[Runner], n_iterations: int, *, smoothing: float = 0.0
    ) -> list[Runner]:
        """Let all make so many iterations, at most, in one batch; their problems share the points.

        Args:
            runners: who runs.
            n_iterations: of each.
            smoothing: of creases.
        """
        everyone = list(runners)
        limits = [runner.state.n_iterations[0] + n_iterations for runner in everyone]
        while not self.work.is_over:
            going = [
                i
                for i, (runner, limit) in enumerate(zip(everyone, limits, strict=True))
                if not runner.state.done[0] and runner.state.n_iterations[0] < limit
            ]
            if not going:
                break
            batch = [everyone[i] for i in going]
            advanced = self._advance(batch, [limits[i] for i in going], smoothing)
            for i, runner in zip(going, advanced, strict=True):
                everyone[i] = runner
        return everyone

    def _advance(self, runners: list[Runner], limits: list[int], smoothing: float) -> list[Runner]:
        weights = torch.cat([runner.problem.weights for runner in runners])
        problem = runners[0].problem._replace(weights=weights, smoothing=smoothing)
        state = _stack([runner.state for runner in runners])
        n_rows, n_parameters = problem.targets.numel(), state.theta.shape[1]
        if n_rows < n_parameters:
            sweep = n_rows * n_rows * (n_rows + n_parameters / 4)
        else:
            sweep = n_parameters * n_parameters * (n_parameters + n_rows)
        sweep *= len(runners)
        left = (self.work.limit - self.work.done) / sweep
        n_sweeps = math.ceil(min(left, _CHUNK))
        with torch.inference_mode():
            batch, losses = self.iterate(state, problem, self.stop, limits, n_sweeps)
        n_made = batch.n_sweeps - state.n_sweeps
        self.work.count(sweep * n_made, calls=_CALLS * n_made)
        return [
            Runner(runner.problem, _runner(batch, i), (*runner.losses, *losses[i]))
            for i, runner in enumerate(runners)
        ]


def _stack(states: list[State]) -> State:
    """Return the batch of these runners; their priors are for the same groups."""
    priors = [state.prior for state in states]
    return State(
        torch.cat([state.theta for state in states]),
        Prior(
            torch.cat([prior.precision for prior in priors]),
            [prior.beta[0] for prior in priors],
            priors[0].groups,
            [prior.n_observed[0] for prior in priors],
        ),
        cost=[state.cost[0] for state in states],
        damping=[state.damping[0] for state in states],
        growth=[state.growth[0] for state in states],
        n_iterations=[state.n_iterations[0] for state in states],
        n_calm=[state.n_calm[0] for state in states],
        done=[state.done[0] for state in states],
        n_sweeps=states[0].n_sweeps,
    )


def _runner(batch: State, i: int) -> State:
    """Return one of the batch, in memory of its own."""
    prior = batch.prior
    return State(
        batch.theta[i : i + 1].clone(),
        Prior(
            prior.precision[i : i + 1].clone(),
            [prior.beta[i]],
            prior.groups.clone(),
            [prior.n_observed[i]],
        ),
        cost=[batch.cost[i]],
        damping=[batch.damping[i]],
        growth=[batch.growth[i]],
        n_iterations=[batch.n_iterations[i]],
        n_calm=[batch.n_calm[i]],
        done=[batch.done[i]],
        n_sweeps=batch.n_sweeps,
    )
