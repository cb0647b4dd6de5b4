"""The loop: ask for points, evaluate them, tell the values, until the budget is spent.

Everything random follows from (seed, role, round). A run is therefore resumed by replaying it: the
loop starts again, and whatever the run file already holds is not paid a second time.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import cached_property
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, TypeAlias, final, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from adaptsample._types import Points
from adaptsample.account import Account, Existing, point_key
from adaptsample.confirmation import Confirmation
from adaptsample.data import Dataset
from adaptsample.domain import Box
from adaptsample.evaluation import Array, Evaluation, Status, told
from adaptsample.metrics import errors, reference_set
from adaptsample.oracles import Differentiable, Oracle, SupportsExact
from adaptsample.provenance import commit, versions
from adaptsample.randomness import derive_generator
from adaptsample.registry import describe, make_strategy, make_surrogate
from adaptsample.run import Round, Run, RunFailedError
from adaptsample.strategy import Proposal, State, Strategy
from adaptsample.surrogates.protocol import Model, SupportsChoice, Surrogate

Design: TypeAlias = Literal["sobol", "uniform", "latin_hypercube", "chebyshev", "mapped_chebyshev"]
_STALLED_AFTER = 100  # rounds in a row in which nothing new was asked


@final
class Sampler:
    """Alternates fitting a surrogate with asking the points that a strategy proposes.

    Args:
        oracle: the function to approximate, or a `Box` if you evaluate it yourself through `ask`
            and `tell`.
        surrogate: a recipe, or its name, e.g. ``"mlp"`` or ``"mlp(hidden=(30, 30))"``.
        strategy: a strategy, or its name, e.g. ``"topk"`` or ``"topk(n_candidates=500)"``.
        seed: of everything random in the run.
        n_initial: points of the initial design, charged to the budget; by default 5 for each
            variable and at least 10.
        batch_size: points that the strategy proposes in a round.
        design: of the initial points.
        gradient_cost: price of a gradient, in evaluations.
        retries: how often an evaluation that raised is tried again; each attempt is charged.
        record_every: rounds between two measurements of the error, the last always included.
        run_file: where to keep the durable record; None keeps none.
        existing: what to do with a run file that is already there.
        executor: evaluates points in parallel.

    Raises:
        ValueError: an argument that cannot be used; the message names it and the remedy.
    """

    def __init__(
        self,
        oracle: Oracle | Box,
        *,
        surrogate: Surrogate | str = "mlp",
        strategy: Strategy[Any] | str = "topk",
        seed: int = 0,
        n_initial: int | None = None,
        batch_size: int = 10,
        design: Design = "sobol",
        gradient_cost: float = 1.0,
        retries: int = 0,
        record_every: int = 1,
        run_file: Path | str | None = None,
        existing: Existing = "refuse",
        executor: Executor | None = None,
    ) -> None:
        if not isinstance(oracle, (Box, Oracle)):
            raise ValueError(
                f"{oracle!r} is no oracle; wrap a function as FunctionOracle(function, Box(...))"
            )
        self.oracle = None if isinstance(oracle, Box) else oracle
        self.domain = oracle if isinstance(oracle, Box) else oracle.domain
        self.surrogate = make_surrogate(surrogate) if isinstance(surrogate, str) else surrogate
        self.strategy = make_strategy(strategy) if isinstance(strategy, str) else strategy
        self.seed = seed
        self.n_initial = max(10, 5 * self.domain.dimension) if n_initial is None else n_initial
        self.batch_size = batch_size
        self.design = design
        self.gradient_cost = gradient_cost
        self.retries = retries
        self.record_every = record_every
        self.run_file = None if run_file is None else Path(run_file)
        self._check_arguments()

        self.rounds: list[Round] = []
        self.seconds = dict.fromkeys(("fit", "propose", "evaluate", "total"), 0.0)
        self._account = Account(
            self.oracle,
            seed=seed,
            gradient_cost=gradient_cost,
            retries=retries,
            executor=executor,
            on_change=lambda: self._observer(self),
        )
        self._existing: Existing = existing
        self._observer: Callable[[Sampler], None] = lambda _: None
        self._data = Dataset.empty(self.domain.dimension)
        self._failed = self._data.x
        self._pending: dict[bytes, tuple[Float[Tensor, " d"], bool]] = {}
        self._round = 0  # number of the next proposal
        self._n_asked = 0
        self._n_dropped = 0
        self._confirmation: Confirmation | None = None
        self._fresh: list[float] = []  # errors of predictions since the last recorded round
        self._model: Model | None = None
        self._previous: Model | None = None
        self._fitted_on: Dataset | None = None
        self._started = perf_counter()
        if self.oracle is None and self.run_file is not None:
            self._account.open(self.run_file, self.specification(), existing)
            self._continue_from(self._account.adopt())

    def run(
        self,
        budget: float,
        *,
        tolerance: float | None = None,
        observer: Callable[["Sampler"], None] | None = None,
    ) -> Run:
        """Spend a budget of evaluations, the initial design included.

        Args:
            budget: evaluations allowed; at least ``n_initial``.
            tolerance: stop earlier, once enough new values in a row were foretold to within this,
                in the units of the output (`confirmation`); needs a fit in every round.
            observer: called after every evaluation and every round, e.g. to show progress.

        Raises:
            ValueError: no oracle, a budget below the initial design, or a tolerance that is not
                positive.
            RunFailedError: no evaluation succeeded.
            LedgerError: the run file cannot be used.
        """
        if self.oracle is None:
            raise ValueError("run() needs an oracle; with a Box alone use ask() and tell()")
        if not self.n_initial <= budget < float("inf"):
            raise ValueError(
                f"budget {budget} does not cover the initial design of {self.n_initial} "
                "evaluations; raise the budget or lower n_initial"
            )
        self._confirmation = None if tolerance is None else Confirmation(tolerance)
        self._account.budget = budget
        self._observer = observer or self._observer
        self._started = perf_counter()
        if self.run_file is not None:
            self._account.open(self.run_file, self.specification(), self._existing)
        try:
            status, idle = "done", 0
            while self.budget_left > 0 and status == "done":
                spent = self._account.spent
                x = self.ask()
                self.tell(x, self.evaluate(x))
                idle = 0 if self._account.spent > spent else idle + 1
                if self._confirmation is not None and self._confirmation.is_met(len(self._data)):
                    status = "confirmed"
                elif len(x) == 0 or idle == _STALLED_AFTER:
                    status = "exhausted" if len(x) == 0 else "stalled"
            return self._finish(status)
        finally:
            self.close()

    def ask(self, n: int | None = None) -> Points:
        """Return points to evaluate next; they are pending until told.

        The first ``n_initial`` points are the initial design. After that the surrogate is fitted
        if the strategy looks at it, and the strategy proposes.

        Args:
            n: how many; by default the rest of the initial design, then ``batch_size``.

        Returns:
            Points (n, d); fewer if the budget or the strategy has no more.

        Raises:
            RunFailedError: no evaluation succeeded so far.
        """
        if n is not None and n < 1:
            raise ValueError(f"ask for at least 1 point, got n={n}")
        if self._n_asked < self.n_initial or (self._pending and len(self._data) == 0):
            proposal = Proposal(self._design_points(n))
        else:
            proposal = self._propose(n or self.batch_size)
        x, gradient = self._affordable(proposal)
        self._data = self._data.without(proposal.drop)
        self._n_dropped = len(proposal.drop)
        for point, wanted in zip(x, gradient.tolist(), strict=True):
            self._pending[point_key(point)] = point, wanted
        self._n_asked += len(x)
        self._round += 1
        return x

    def evaluate(self, x: Points) -> list[Evaluation]:
        """Pay for the values at x unless they are paid for already; each is recorded at once."""
        start = perf_counter()
        wanted = [self._pending.get(point_key(point), (point, False))[1] for point in x]
        gradient = torch.tensor(wanted, dtype=torch.bool)
        evaluations = self._account.buy(x, gradient, number=self._round - 1)
        self.seconds["evaluate"] += perf_counter() - start
        return evaluations

    def tell(self, x: Array, y: Array | list[Evaluation], *, gradient: Array | None = None) -> None:
        """Add results to the run file first and then to the training set.

        Args:
            x: points (n, d), asked or not.
            y: values (n,) or (n, k); non-finite ones are recorded as failed evaluations. Or what
                `evaluate` returned, which is recorded already.
            gradient: d y_k / d x_d as (n, k, d), if you have it.

        Raises:
            ValueError: wrong shapes, or points outside the domain.
        """
        if isinstance(y, list) and all(isinstance(item, Evaluation) for item in y):
            self._learn(y)
        else:
            evaluations = told(
                self.domain,
                x,
                y,
                gradient,
                n_outputs=self._data.y.shape[1] if len(self._data) else None,
                gradient_cost=self.gradient_cost,
                round=max(self._round - 1, 0),
            )
            self._account.record(evaluations)
            self._learn(evaluations)

    @property
    def model(self) -> Model:
        """The model fitted on everything told so far; fitted now if need be."""
        self._fit()
        if self._model is None:
            failures = self._account.failures() or "nothing was told yet"
            raise RunFailedError(f"no value to fit a model on: {failures}")
        return self._model

    @property
    def data(self) -> Dataset:
        """The training set."""
        return self._data

    @property
    def budget(self) -> float:
        """Evaluations allowed; infinite outside `run`."""
        return self._account.budget

    @property
    def budget_left(self) -> float:
        """Evaluations that may still be paid."""
        return self._account.left

    @property
    def n_evaluations(self) -> float:
        """Evaluations charged so far, gradients and failures included."""
        spent = self._account.spent
        return int(spent) if float(spent).is_integer() else spent

    def specification(self) -> dict[str, Any]:
        """Return everything needed to repeat the run, as plain JSON values."""
        return {
            "oracle": None if self.oracle is None else describe(self.oracle),
            "domain": dict(zip(self.domain.names, map(list, self.domain.bounds), strict=True)),
            "surrogate": describe(self.surrogate),
            "strategy": describe(self.strategy),
            "seed": self.seed,
            "n_initial": self.n_initial,
            "batch_size": self.batch_size,
            "design": self.design,
            "gradient_cost": self.gradient_cost,
            "retries": self.retries,
            "record_every": self.record_every,
            "budget": self.budget if isfinite(self.budget) else None,
            "versions": versions(),
            "commit": commit(),
        }

    def close(self) -> None:
        """Close the run file; another process may then continue it."""
        self._account.close()

    def _design_points(self, n: int | None) -> Points:
        first = self._n_asked
        rest = self.n_initial - first
        last = first + (n or (rest if rest > 0 else self.batch_size))
        draw = {
            "sobol": self.domain.sobol,
            "uniform": self.domain.uniform,
            "latin_hypercube": self.domain.latin_hypercube,
            "chebyshev": self.domain.chebyshev,
            "mapped_chebyshev": self.domain.mapped_chebyshev,
        }[self.design]
        points = draw(self.n_initial, generator=derive_generator(self.seed, "initial"))
        if last > self.n_initial:  # asked for more before anything was told
            more = derive_generator(self.seed, "more")
            points = torch.cat([points, self.domain.sobol(last - self.n_initial, generator=more)])
        return points[first:last]

    def _propose(self, n: int) -> Proposal:
        due = (self._round - 1) % self.record_every == 0
        if self.strategy.uses_model or due or self._confirmation is not None:
            _ = self.model
        if due:
            self._record_round()
        start = perf_counter()
        pending = [point for point, _ in self._pending.values()]
        state: State[Any] = State(
            domain=self.domain,
            data=self._data,
            model=self._model,
            previous=self._previous,
            pending=torch.stack(pending) if pending else self._data.x[:0],
            round=self._round,
            failed=self._failed,
            seed=self.seed,
        )
        generator = derive_generator(self.seed, "propose", self._round)
        proposal = self.strategy.propose(state, n, generator=generator)
        self._check_proposal(proposal, n)
        self.seconds["propose"] += perf_counter() - start
        return proposal

    def _affordable(self, proposal: Proposal) -> tuple[Points, Bool[Tensor, " n"]]:
        """Return the part of a proposal that the budget pays for, with the wanted gradients."""
        x, gradient = proposal.add, proposal.gradient
        if gradient is None or self.budget_left < 1 + self.gradient_cost:
            gradient = torch.zeros(len(x), dtype=torch.bool)  # too little left for a gradient
        price = torch.cumsum(1 + self.gradient_cost * gradient, dim=0)
        n = max(int((price <= self.budget_left + 1e-9).sum()), min(1, len(x)))
        return x[:n], gradient[:n]

    def _learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Let ok values into the training set, once for each point of a deterministic oracle."""
        for evaluation in evaluations:
            self._pending.pop(point_key(evaluation.x), None)
        failed = [e.x for e in evaluations if e.status is not Status.OK]
        good = [e for e in evaluations if e.status is Status.OK]
        if failed:
            self._failed = torch.cat([self._failed, torch.stack(failed)])
        if not self._account.repeats:
            good = list({point_key(e.x): e for e in good}.values())
        if not good:
            return
        new = _dataset(good)
        self._compare(new)
        if len(self._data) == 0:
            self._data = new
            return
        if not self._account.repeats:
            again = (self._data.x[:, None] == new.x).all(dim=2).any(dim=1)
            self._data = self._data.without(again.nonzero()[:, 0])
        self._data = self._data + new

    def _compare(self, new: Dataset) -> None:
        """Compare values with what the last model foretold."""
        if self._model is not None:
            fresh = (self._model.predict(new.x) - new.y).abs().amax(dim=1).tolist()
            self._fresh += fresh
            if self._confirmation is not None:
                self._confirmation.observe(fresh)

    def _continue_from(self, evaluations: Sequence[Evaluation]) -> None:
        self._learn(evaluations)
        self._n_asked = len(evaluations)
        self._round = 1 + max((e.round for e in evaluations), default=-1)

    def _fit(self) -> None:
        if self._fitted_on is self._data or len(self._data) == 0:
            return
        start = perf_counter()
        generator = derive_generator(self.seed, "fit", self._round)
        model = self.surrogate.fit(self._data, generator=generator, start=self._model)
        self._previous, self._model, self._fitted_on = self._model, model, self._data
        self.seconds["fit"] += perf_counter() - start

    @cached_property
    def _reference(self) -> Dataset | None:
        exact = self.oracle.exact if isinstance(self.oracle, SupportsExact) else None
        return None if exact is None else reference_set(exact)

    def _record_round(self) -> None:
        measured, model = {}, self.model
        if self._reference is not None:
            measured = errors(model.predict(self._reference.x), self._reference.y)
        now = Round(
            round=self._round - 1,
            n_evaluations=self.n_evaluations,
            errors=measured,
            training_set=len(self._data),
            dropped=self._n_dropped,
            fresh_mae=sum(self._fresh) / len(self._fresh) if self._fresh else None,
            choice=model.choice if isinstance(model, SupportsChoice) else None,
            seconds=perf_counter() - self._started,
        )
        self._fresh = []
        self.rounds.append(now)
        self._account.record_round(now.to_record())
        self._observer(self)

    def _finish(self, status: str) -> Run:
        _ = self.model
        if not self.rounds or self.rounds[-1].round < self._round - 1:
            self._record_round()
        self.seconds["total"] = perf_counter() - self._started
        run = Run(
            model=self.model,
            data=self._data,
            evaluations=tuple(self._account.evaluations),
            rounds=tuple(self.rounds),
            seconds=dict(self.seconds),
            status=status,
            run_file=self.run_file,
        )
        tolerance = None if self._confirmation is None else self._confirmation.tolerance
        end = {"kind": "end", "status": status, "budget": self.budget, "tolerance": tolerance}
        counts = {"n_evaluations": run.n_evaluations, "errors": dict(run.errors)}
        self._account.record_end({**end, **counts, "seconds": dict(self.seconds)})
        return run

    def _check_arguments(self) -> None:
        if not isinstance(self.surrogate, Surrogate):
            raise ValueError(f"{self.surrogate!r} is no surrogate: it has no fit(data, generator)")
        if not isinstance(self.strategy, Strategy):
            raise ValueError(f"{self.strategy!r} is no strategy; derive it from Strategy")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ValueError(f"seed must be a whole number, got {self.seed!r}")
        least = {"n_initial": 1, "batch_size": 1, "retries": 0, "record_every": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"{name} must be a whole number of at least {low}, got {value!r}")
        if self.design not in get_args(Design):
            raise ValueError(f"design must be one of {get_args(Design)}, got {self.design!r}")
        if not 0 <= self.gradient_cost < float("inf"):
            raise ValueError(f"gradient_cost must be at least 0, got {self.gradient_cost}")

    def _check_proposal(self, proposal: Proposal, n: int) -> None:
        """Refuse a broken strategy's proposal before it is paid for."""
        x, d = proposal.add, self.domain.dimension
        name = type(self.strategy).__name__
        if x.ndim != 2 or x.shape[1] != d or len(x) > n:
            raise ValueError(f"{name} proposed shape {tuple(x.shape)}, expected at most ({n}, {d})")
        if not bool(self.domain.contains(x).all()):
            bad = x[~self.domain.contains(x)][0].tolist()
            raise ValueError(f"{name} proposed {bad}, outside the domain {self.domain}")
        if proposal.gradient is None:
            return
        if proposal.gradient.shape != (len(x),):
            raise ValueError(f"{name} proposed gradients of shape {tuple(proposal.gradient.shape)}")
        if self.oracle is not None and not isinstance(self.oracle, Differentiable):
            raise ValueError(
                f"{name} asks for gradients, and {self.oracle!r} has none; "
                "give the oracle a gradient or choose another strategy"
            )


def _dataset(evaluations: Sequence[Evaluation]) -> Dataset:
    y = torch.stack([e.y for e in evaluations if e.y is not None])
    x = torch.stack([e.x for e in evaluations])
    if all(e.gradient is None for e in evaluations):
        return Dataset(x, y)
    missing = torch.full((y.shape[1], x.shape[1]), torch.nan, dtype=torch.float64)
    slopes = [missing if e.gradient is None else e.gradient for e in evaluations]
    return Dataset(x, y, torch.stack(slopes))
