"""The loop: ask for points, evaluate them, tell the values, until the budget is spent.

Everything random follows from (seed, role, round), and what is proposed is on disk before it is
paid for. A run is therefore resumed by replaying it: the loop starts again, takes proposals and
values from its journal as long as that has any, and goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, final

from adaptsample.acquisition import Strategy
from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.shapes import Points
from adaptsample.errors import LedgerError
from adaptsample.evaluation.dispatcher import Executors
from adaptsample.evaluation.evaluation import Evaluation
from adaptsample.evaluation.spool import Spool
from adaptsample.evaluation.telling import Array, check_told, told, told_failed
from adaptsample.loop.evaluator import Evaluator
from adaptsample.loop.journal import Existing, Journal
from adaptsample.loop.model_updater import ModelUpdater
from adaptsample.loop.observations import Observations
from adaptsample.loop.rounds import Rounds
from adaptsample.loop.run import Round, Run
from adaptsample.loop.specification import Specification, check_names, takes_settings
from adaptsample.loop.stopping import Confirmation
from adaptsample.oracles import Finite, Oracle
from adaptsample.record.run_file import read
from adaptsample.surrogates import Model, Surrogate

_STALLED_AFTER = 100  # rounds in a row in which nothing new was asked


@final
class Sampler:
    """Alternates fitting a surrogate with asking the points that a strategy proposes.

    Args:
        oracle: the function to approximate, or a `Box` if you evaluate it yourself through `ask`
            and `tell`; or a whole `Specification`.
        run_file: where to keep the durable record; None keeps none.
        existing: what to do with a run file that is already there.
        executor: evaluates points in parallel: any `concurrent.futures.Executor`, or a function
            that makes one, by which a broken one is replaced.
        settings: ``surrogate``, ``strategy``, ``seed`` and all others of a `Specification`, which
            says what they are.

    Raises:
        TypeError: a setting that there is not.
        ValueError: an argument that cannot be used; the message names it and the remedy.
    """

    @takes_settings
    def __init__(
        self,
        oracle: Oracle | Box | Specification,
        *,
        run_file: Path | str | None = None,
        existing: Existing = "refuse",
        executor: Executors | None = None,
        **settings: Any,
    ) -> None:
        check_names(settings)
        if isinstance(oracle, Specification):
            self.spec = replace(oracle, **settings)
        else:
            self.spec = Specification(oracle, **settings)
        self.run_file = None if run_file is None else Path(run_file)
        self._existing: Existing = existing
        self._observer: Callable[[Sampler], None] = lambda _: None
        self._evaluator = Evaluator(
            self.spec, executor=executor, on_change=lambda: self._observer(self)
        )
        pool = self.oracle.pool if isinstance(self.oracle, Finite) else None
        repeats = self._evaluator.repeats
        self._observations = Observations(self.domain.dimension, repeats=repeats, pool=pool)
        self._updater = ModelUpdater(self.spec.surrogate, self.spec.seed)
        self._rounds = Rounds(
            *(self.spec, self._observations, self._evaluator, self._updater),
            on_record=lambda: self._observer(self),
        )
        self._confirmation: Confirmation | None = None
        self._is_open = False
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
        given = {"oracle": oracle, "surrogate": surrogate, "strategy": strategy}
        spec = Specification.from_record(recorded.spec, **given)
        sampler = cls(spec, run_file=run_file, existing="resume", executor=executor)
        sampler._evaluator.budget = recorded.spec["budget"] or float("inf")
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
            tolerance: stop earlier, once enough new values in a row were predicted to within this,
                in the units of the output (see `Confirmation`); needs a fit in every round.
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
        self.spec.check_budget(budget)
        self._confirmation = None if tolerance is None else Confirmation(tolerance)
        self._evaluator.budget = budget
        self._observer = observer or self._observer
        self._rounds.measurement.begin()
        self._open()
        step = self._step_asynchronously if self.spec.asynchronous else self._step
        try:
            status, idle = "done", 0
            while status == "done" and (self.budget_left > 0 or self._evaluator.is_waiting):
                spent = self._evaluator.spent
                n = step()
                idle = 0 if self._evaluator.spent > spent else idle + 1
                if self._confirmation is not None and self._confirmation.is_met(
                    len(self._observations.data)
                ):
                    status = "confirmed"
                elif n == 0 or idle == _STALLED_AFTER:
                    status = "exhausted" if n == 0 else "stalled"
            self._learn([e for _, e in self._evaluator.drain()])
            return self._finish(status)
        except KeyboardInterrupt:
            self._evaluator.drain()
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
        while self._observations.n_pending < self.spec.batch_size and self.budget_left > 0:
            x = self.ask(1)
            if len(x) == 0:
                break
            self._evaluator.order(x, self._observations.wanted(x), number=self._rounds.number - 1)
        delivered = [evaluation for _, evaluation in self._evaluator.deliver()]
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
        pool = self._observations.pool
        if pool is not None and len(pool) == 0:
            return pool
        self._open()
        is_confirming = self._confirmation is not None
        return self._rounds.next_batch(n, is_confirming=is_confirming).x

    def evaluate(self, x: Points) -> list[Evaluation]:
        """Pay for the values at x unless they are paid for already; each is recorded at once.

        Returns:
            One evaluation for each point, in order.
        """
        self._open()
        wanted = self._observations.wanted(x)
        return self._evaluator.buy(x, wanted, number=self._rounds.number - 1)

    def tell(self, x: Array, y: Array | list[Evaluation], *, gradient: Array | None = None) -> None:
        """Add results to the run file first and then to the training set.

        Args:
            x: points (n, d), asked or not.
            y: values (n,) or (n, k); non-finite ones are recorded as failed evaluations. Or what
                `evaluate` returned for these points, which is recorded already.
            gradient: d y_k / d x_d as (n, k, d), if you have it.

        Raises:
            ValueError: wrong shapes, points outside the domain, or evaluations that are not those
                of the points.
        """
        self._open()
        number = max(self._rounds.number - 1, 0)
        if isinstance(y, list) and all(isinstance(item, Evaluation) for item in y):
            evaluations = check_told(x, y, gradient, is_recorded=self._evaluator.has)
        else:
            evaluations = told(
                self.domain,
                x,
                y,
                gradient,
                n_outputs=self._observations.n_outputs,
                gradient_cost=self.spec.gradient_cost,
                round=number,
            )
            self._evaluator.record(evaluations)
        # what a resumed run file has of the round besides: others told it
        self._learn([*evaluations, *self._evaluator.left_over(number)])

    def tell_failed(self, x: Array, reason: str) -> None:
        """Record that somebody evaluated points (n, d) and got no values, and why.

        Raises:
            ValueError: a wrong shape, or points outside the domain.
        """
        self._open()
        evaluations = told_failed(self.domain, x, reason, round=max(self._rounds.number - 1, 0))
        self._evaluator.record(evaluations)
        self._learn(evaluations)

    @property
    def oracle(self) -> Oracle | None:
        """What is evaluated; None if you evaluate it yourself."""
        return self.spec.oracle

    @property
    def domain(self) -> Box:
        """The points that may be asked."""
        return self.spec.domain

    @property
    def rounds(self) -> list[Round]:
        """The recorded rounds so far."""
        return self._rounds.measurement.rounds

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time so far: ``fit``, ``propose``, ``evaluate`` and ``total``."""
        return {
            "fit": self._updater.seconds,
            "propose": self._rounds.propose_seconds,
            "evaluate": self._evaluator.seconds,
            "total": self._rounds.measurement.seconds,
        }

    @property
    def model(self) -> Model:
        """The model fitted on everything told so far; fitted now if need be."""
        return self._rounds.model()

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Every evaluation so far, failed ones included."""
        return tuple(self._evaluator.evaluations)

    @property
    def data(self) -> Dataset:
        """The training set."""
        return self._observations.data

    @property
    def pending(self) -> Points:
        """Points asked and not told yet (p, d), also by an earlier process."""
        return self._observations.pending

    @property
    def budget(self) -> float:
        """Evaluations allowed; infinite outside `run`."""
        return self._evaluator.budget

    @property
    def budget_left(self) -> float:
        """Evaluations that may still be paid."""
        return self._evaluator.left

    @property
    def n_evaluations(self) -> float:
        """Evaluations charged so far, gradients and failures included."""
        return self._evaluator.n_evaluations

    def close(self) -> None:
        """Close the run file; another process may then continue it."""
        self._evaluator.close()
        self._rounds.journal.close()

    def _open(self) -> None:
        """Open the run file, if there is one to be kept, before anything is paid."""
        if self._is_open or self.run_file is None:
            return
        spool = Spool(self.run_file.with_suffix(".spool"))
        if self._existing == "overwrite" or not self.run_file.exists():
            spool.clear()
        self._rounds.journal = Journal.open(
            self.run_file, self.spec, budget=self.budget, existing=self._existing
        )
        self._evaluator.keep_in(self._rounds.journal, spool)
        self._is_open = True
        model_file = self.run_file.with_suffix(".model.safetensors")
        self._updater.keep_in(model_file, n_rounds=self._rounds.journal.n_rounds)

    def _replay_told(self) -> None:
        """Take over what was asked and told before, where there is no oracle to ask."""
        while self._rounds.number < self._rounds.journal.n_rounds:
            self.ask()
            self._learn(self._evaluator.left_over(self._rounds.number - 1))
        rest = self._evaluator.left_over()
        if rest and not self._rounds.journal.says_what_was_asked:
            self._rounds.n_asked = len(rest)
            self._rounds.number = 1 + max(e.round for e in rest)
        self._learn(rest)

    def _learn(self, evaluations: Sequence[Evaluation]) -> None:
        fresh = self._observations.learn(evaluations)
        if self._confirmation is not None:
            self._confirmation.observe(fresh)

    def _finish(self, status: str) -> Run:
        model = self.model
        if not self.rounds or self.rounds[-1].round < self._rounds.number - 1:
            self._rounds.record()
        run = Run(
            model=model,
            data=self._observations.data,
            evaluations=tuple(self._evaluator.evaluations),
            rounds=tuple(self.rounds),
            seconds=self.seconds,
            status=status,
            run_file=self.run_file,
        )
        self._rounds.journal.end(
            {
                "status": status,
                "budget": self.budget,
                "tolerance": None if self._confirmation is None else self._confirmation.tolerance,
                "n_evaluations": run.n_evaluations,
                "errors": dict(run.errors),
                "seconds": dict(run.seconds),
            }
        )
        return run
