"""The loop: ask for points, evaluate them, tell the values, until the budget is spent.

Everything random follows from (seed, role, round), and what is proposed is on disk before it is
paid for. A run is therefore resumed by replaying it: the loop starts again, takes proposals and
values from the run file as long as it has any, and goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, Self, final

from adaptsample.acquisition.state import Proposal, State
from adaptsample.acquisition.strategy import Strategy
from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.pool import nearest_rows
from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points
from adaptsample.errors import LedgerError, RunFailedError
from adaptsample.evaluation.dispatcher import Executors
from adaptsample.evaluation.evaluation import Evaluation
from adaptsample.evaluation.telling import Array, told, told_failed
from adaptsample.loop.batch import Asked
from adaptsample.loop.evaluator import Account, Existing
from adaptsample.loop.model_updater import Fitting
from adaptsample.loop.observations import Knowledge
from adaptsample.loop.run import Round, Run
from adaptsample.loop.specification import Design, Specification
from adaptsample.loop.stopping import Confirmation
from adaptsample.metrics.errors import errors, reference_set
from adaptsample.oracles import Finite, Oracle, SupportsExact
from adaptsample.record.run_file import read
from adaptsample.registry import make_strategy, make_surrogate
from adaptsample.surrogates.protocol import Model, SupportsChoice, Surrogate

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
        batch_size: points that the strategy proposes in a round; if asynchronous, evaluations under
            way at a time.
        design: of the initial points.
        gradient_cost: price of a gradient, in evaluations.
        retries: how often an evaluation that raised, or took too long, is tried again; each attempt
            is charged. One whose worker died is tried again at least twice.
        record_every: rounds between two measurements of the error, the last always included.
        run_file: where to keep the durable record; None keeps none.
        existing: what to do with a run file that is already there.
        executor: evaluates points in parallel: any `concurrent.futures.Executor`, or a function
            that makes one, by which a broken one is replaced.
        asynchronous: ask for one new point as each result arrives, not for batches.
        timeout: seconds that an evaluation may take; then it is killed, with all that it started.

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
        executor: Executors | None = None,
        asynchronous: bool = False,
        timeout: float | None = None,
    ) -> None:
        if not isinstance(oracle, (Box, Oracle)):
            raise ValueError(
                f"{oracle!r} is no oracle; wrap a function as FunctionOracle(function, Box(...))"
            )
        domain = oracle if isinstance(oracle, Box) else oracle.domain
        self.oracle = None if isinstance(oracle, Box) else oracle
        self.domain = domain
        self.spec = Specification(
            oracle=self.oracle,
            domain=domain,
            surrogate=make_surrogate(surrogate) if isinstance(surrogate, str) else surrogate,
            strategy=make_strategy(strategy) if isinstance(strategy, str) else strategy,
            seed=seed,
            n_initial=max(10, 5 * domain.dimension) if n_initial is None else n_initial,
            batch_size=batch_size,
            design=design,
            gradient_cost=gradient_cost,
            retries=retries,
            record_every=record_every,
            asynchronous=asynchronous,
            timeout=timeout,
        )
        self.run_file = None if run_file is None else Path(run_file)
        self.rounds: list[Round] = []
        self.seconds = dict.fromkeys(("fit", "propose", "evaluate", "total"), 0.0)
        self._account = Account(
            self.oracle,
            seed=seed,
            gradient_cost=gradient_cost,
            retries=retries,
            timeout=timeout,
            executor=executor,
            on_change=lambda: self._observer(self),
        )
        self._existing: Existing = existing
        self._observer: Callable[[Sampler], None] = lambda _: None
        pool = self.oracle.pool if isinstance(self.oracle, Finite) else None
        self._knowledge = Knowledge(domain.dimension, repeats=self._account.repeats, pool=pool)
        self._round = 0  # number of the next proposal
        self._n_asked = 0
        self._n_dropped = 0
        self._confirmation: Confirmation | None = None
        self._fitting = Fitting(self.spec.surrogate, seed)
        self._is_open = False
        self._started = perf_counter()
        if self.oracle is None:
            self._open()
            self._replay_told()

    @classmethod
    def resume(
        cls,
        run_file: Path | str,
        *,
        oracle: Oracle | None = None,
        surrogate: Surrogate | str | None = None,
        strategy: Strategy[Any] | str | None = None,
        executor: Executors | None = None,
    ) -> Self:
        """Return the sampler of a run file, to be continued by `run`.

        Args:
            run_file: the durable record of the run.
            oracle: needed where the file cannot say what it was, as of a Python function.
            surrogate: likewise, if it is not a registered one.
            strategy: likewise.
            executor: evaluates points in parallel.

        Raises:
            LedgerError: the file cannot be read.
            ValueError: something is needed and was not given.
        """
        recorded = read(Path(run_file))
        if not recorded.spec:
            raise LedgerError(
                f"the first line of {run_file} is damaged; make a Sampler with the settings of the "
                "run and existing='resume'"
            )
        given = {
            "oracle": oracle,
            "surrogate": make_surrogate(surrogate) if isinstance(surrogate, str) else surrogate,
            "strategy": make_strategy(strategy) if isinstance(strategy, str) else strategy,
        }
        spec = vars(Specification.from_record(recorded.spec, **given)).copy()
        domain = spec.pop("domain")
        sampler = cls(
            spec.pop("oracle") or domain,
            **spec,
            run_file=run_file,
            existing="resume",
            executor=executor,
        )
        sampler._account.budget = recorded.spec["budget"] or float("inf")
        return sampler

    def run(
        self,
        budget: float | None = None,
        *,
        tolerance: float | None = None,
        observer: Callable[["Sampler"], None] | None = None,
    ) -> Run:
        """Spend a budget of evaluations, the initial design included.

        Interrupted once (Ctrl-C), it waits for evaluations under way and records them; interrupted
        again, it ends them. In both cases the run file can be resumed.

        Args:
            budget: evaluations allowed; at least ``n_initial``. Of a resumed run, by default the
                budget that it had.
            tolerance: stop earlier, once enough new values in a row were foretold to within this,
                in the units of the output (`confirmation`); needs a fit in every round.
            observer: called after every evaluation and every round, e.g. to show progress.

        Raises:
            ValueError: no oracle, a budget below the initial design, or a tolerance that is not
                positive.
            RunFailedError: no evaluation succeeded.
            LedgerError: the run file cannot be used.
            ExecutorError: the executor cannot be used any more.
        """
        if self.oracle is None:
            raise ValueError("run() needs an oracle; with a Box alone use ask() and tell()")
        budget = self.budget if budget is None else budget
        if not self.spec.n_initial <= budget < float("inf"):
            raise ValueError(
                f"budget {budget} does not cover the initial design of {self.spec.n_initial} "
                "evaluations; raise the budget or lower n_initial"
            )
        self._confirmation = None if tolerance is None else Confirmation(tolerance)
        self._account.budget = budget
        self._observer = observer or self._observer
        self._started = perf_counter()
        self._open()
        step = self._step_asynchronously if self.spec.asynchronous else self._step
        try:
            status, idle = "done", 0
            while status == "done" and (self.budget_left > 0 or self._account.is_waiting):
                spent = self._account.spent
                n = step()
                idle = 0 if self._account.spent > spent else idle + 1
                if self._confirmation is not None and self._confirmation.is_met(
                    len(self._knowledge.data)
                ):
                    status = "confirmed"
                elif n == 0 or idle == _STALLED_AFTER:
                    status = "exhausted" if n == 0 else "stalled"
            self._learn([e for _, e in self._account.drain()])
            return self._finish(status)
        except KeyboardInterrupt:
            self._account.drain()
            raise
        finally:
            self.close()

    def _step(self) -> int:
        """Evaluate a batch; return how many points it had."""
        x = self.ask()
        self.tell(x, self.evaluate(x))
        return len(x)

    def _step_asynchronously(self) -> int:
        """Keep as many evaluations under way as there may be; return how many came in."""
        while self._knowledge.n_pending < self.spec.batch_size and self.budget_left > 0:
            x = self.ask(1)
            if len(x) == 0:
                break
            self._account.order(x, self._knowledge.wanted(x), number=self._round - 1)
        start = perf_counter()
        delivered = [evaluation for _, evaluation in self._account.deliver()]
        self.seconds["evaluate"] += perf_counter() - start
        self._learn(delivered)
        return len(delivered)

    def ask(self, n: int | None = None) -> Points:
        """Return points to evaluate next; they are pending until told.

        The first ``n_initial`` points are the initial design. After that the surrogate is fitted
        if the strategy looks at it, and the strategy proposes.

        Args:
            n: how many; by default the rest of the initial design, then ``batch_size``.

        Returns:
            Points (n, d); fewer if the budget or the strategy has no more. A resumed run returns
            what it had asked before, as long as it is not through with that.

        Raises:
            RunFailedError: no evaluation succeeded so far.
        """
        if n is not None and n < 1:
            raise ValueError(f"ask for at least 1 point, got n={n}")
        if self._knowledge.pool is not None and len(self._knowledge.pool) == 0:
            return self._knowledge.pool
        self._open()
        is_designing = self._n_asked < self.spec.n_initial or (
            not self._knowledge.has_values and self._knowledge.n_told < self.spec.n_initial
        )
        if not is_designing:
            self._prepare_round()
        recorded = self._account.proposal_on_file(self._round)
        if recorded is not None:
            asked = Asked.from_record(recorded, self.domain.dimension)
        elif is_designing:
            asked = self._asked(Proposal(self.spec.initial_points(self._n_asked, n)))
        else:
            asked = self._asked(self._propose(n or self.spec.batch_size))
        if len(asked.x):
            self._account.record_proposal(asked.to_record(self._round))
        self._knowledge.expect(asked)
        self._n_dropped = len(asked.drop)
        self._n_asked += len(asked.x)
        self._round += 1
        return asked.x

    def evaluate(self, x: Points) -> list[Evaluation]:
        """Pay for the values at x unless they are paid for already; each is recorded at once.

        Returns:
            One evaluation for each point, then any others that a resumed run file has of the round.
        """
        self._open()
        start = perf_counter()
        number = self._round - 1
        questions = self._account.order(x, self._knowledge.wanted(x), number=number)
        results: dict[int, Evaluation] = {}
        while len(results) < len(questions):
            results |= {question.asked: e for question, e in self._account.deliver()}
        self.seconds["evaluate"] += perf_counter() - start
        return [results[q.asked] for q in questions] + self._account.left_over(number)

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
        self._open()
        if isinstance(y, list) and all(isinstance(item, Evaluation) for item in y):
            self._learn(y)
        else:
            evaluations = told(
                self.domain,
                x,
                y,
                gradient,
                n_outputs=self._knowledge.data.y.shape[1] if len(self._knowledge.data) else None,
                gradient_cost=self.spec.gradient_cost,
                round=max(self._round - 1, 0),
            )
            self._account.record(evaluations)
            self._learn(evaluations)

    def tell_failed(self, x: Array, reason: str) -> None:
        """Record that somebody evaluated points (n, d) and got no values, and why.

        Raises:
            ValueError: a wrong shape, or points outside the domain.
        """
        self._open()
        evaluations = told_failed(self.domain, x, reason, round=max(self._round - 1, 0))
        self._account.record(evaluations)
        self._learn(evaluations)

    @property
    def model(self) -> Model:
        """The model fitted on everything told so far; fitted now if need be."""
        self._fitting.fit(self._knowledge.data, number=self._round)
        if self._fitting.model is None:
            failures = self._account.failures() or "nothing was told yet"
            raise RunFailedError(f"no value to fit a model on: {failures}")
        return self._fitting.model

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Every evaluation so far, failed ones included."""
        return tuple(self._account.evaluations)

    @property
    def data(self) -> Dataset:
        """The training set."""
        return self._knowledge.data

    @property
    def pending(self) -> Points:
        """Points asked and not told yet (p, d), also by an earlier process."""
        return self._knowledge.pending

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
        return self.spec.to_record(self.budget)

    def close(self) -> None:
        """Close the run file; another process may then continue it."""
        self._account.close()

    def _open(self) -> None:
        """Open the run file, if there is one to be kept, before anything is paid."""
        if self._is_open or self.run_file is None:
            return
        d = self.domain.dimension
        k = 1 if self.oracle is None else self.oracle.n_outputs
        line_bytes = 500 + 25 * (2 * d + 2 * k + d * k)
        self._account.open(
            self.run_file, self.specification(), self._existing, line_bytes=line_bytes
        )
        self._is_open = True
        model_file = self.run_file.with_suffix(".model.safetensors")
        self._fitting.keep_in(model_file, n_rounds=self._account.n_rounds)

    def _replay_told(self) -> None:
        """Take over what was asked and told before, where there is no oracle to ask."""
        while self._round < self._account.n_rounds:
            self.ask()
            self._learn(self._account.left_over(self._round - 1))
        rest = self._account.adopt()
        if rest and not self._account.says_what_was_asked:
            self._n_asked = len(rest)
            self._round = 1 + max(e.round for e in rest)
        self._learn(rest)

    def _prepare_round(self) -> None:
        """Fit and measure what the next proposal is to be made from."""
        if not self._knowledge.has_values:
            failures = self._account.failures() or "nothing was told yet"
            raise RunFailedError(f"no value to fit a model on: {failures}")
        due = (self._round - 1) % self.spec.record_every == 0
        if self.oracle is None and not self.spec.strategy.looks_at_model:
            due = False  # nobody looks at the fit
        due = due or self._account.round_on_file(self._round - 1) is not None
        if self.spec.strategy.looks_at_model or due or self._confirmation is not None:
            replayed = self._account.proposal_on_file(self._round) is not None
            self._fitting.fit(self._knowledge.data, number=self._round, replayed=replayed)
        if due:
            self._record_round()

    def _propose(self, n: int) -> Proposal:
        start = perf_counter()
        state: State[Any] = State(
            domain=self.domain,
            data=self._knowledge.data,
            model=self._fitting.model,
            previous=self._fitting.previous,
            pending=self._knowledge.pending,
            round=self._round,
            failed=self._knowledge.failed,
            seed=self.spec.seed,
            pool=self._knowledge.pool,
            gradient_cost=self.spec.gradient_cost,
            retired=self._knowledge.retired,
        )
        generator = derive_generator(self.spec.seed, "propose", self._round)
        proposal = self.spec.strategy.plan(state, n, generator=generator)
        self.spec.check_proposal(proposal, n)
        self.seconds["propose"] += perf_counter() - start
        return proposal

    def _asked(self, proposal: Proposal) -> Asked:
        return Asked.of(
            self._from_pool(proposal),
            self._fitting.model,
            budget=self.budget_left,
            gradient_cost=self.spec.gradient_cost,
        )

    def _from_pool(self, proposal: Proposal) -> Proposal:
        """Move proposed points to the nearest rows of a finite pool, each of them asked once."""
        pool = self._knowledge.pool
        if pool is None:
            return proposal
        x = nearest_rows(proposal.add, pool, self.domain)
        gradient = None if proposal.gradient is None else proposal.gradient[: len(x)]
        return replace(proposal, add=x, gradient=gradient)

    def _learn(self, evaluations: Sequence[Evaluation]) -> None:
        fresh = self._knowledge.learn(evaluations)
        if self._confirmation is not None:
            self._confirmation.observe(fresh)

    @cached_property
    def _reference(self) -> Dataset | None:
        oracle = self.oracle
        exact = oracle.exact if isinstance(oracle, SupportsExact) else None
        return None if exact is None else reference_set(exact)

    def _record_round(self) -> None:
        recorded = self._account.round_on_file(self._round - 1)
        now = self._measured() if recorded is None else Round.from_record(recorded)
        self._knowledge.forget_fresh()
        self.rounds.append(now)
        self._account.record_round(now.to_record())
        self._observer(self)

    def _measured(self) -> Round:
        measured, model = {}, self.model
        if self._reference is not None:
            measured = errors(model.predict(self._reference.x), self._reference.y)
        return Round(
            round=self._round - 1,
            n_evaluations=self.n_evaluations,
            errors=measured,
            training_set=len(self._knowledge.data),
            dropped=self._n_dropped,
            fresh_mae=self._knowledge.fresh_mae,
            choice=model.choice if isinstance(model, SupportsChoice) else None,
            seconds=perf_counter() - self._started,
        )

    def _finish(self, status: str) -> Run:
        _ = self.model
        if not self.rounds or self.rounds[-1].round < self._round - 1:
            self._record_round()
        self.seconds |= {"fit": self._fitting.seconds, "total": perf_counter() - self._started}
        run = Run(
            model=self.model,
            data=self._knowledge.data,
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
