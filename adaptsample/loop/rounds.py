"""The rounds of a run: what is asked in each, and what is measured between them."""

from collections.abc import Callable
from time import perf_counter
from typing import final

from adaptsample.acquisition import Proposal
from adaptsample.core.files import Record
from adaptsample.core.threads import one_thread
from adaptsample.errors import RunFailedError
from adaptsample.loop.batch import Batch
from adaptsample.loop.evaluator import Evaluator
from adaptsample.loop.initial_design import initial_points
from adaptsample.loop.journal import Journal
from adaptsample.loop.measurement import Measurement
from adaptsample.loop.model_updater import ModelUpdater
from adaptsample.loop.observations import Observations
from adaptsample.loop.proposing import moved_to_pool, propose
from adaptsample.loop.specification import Specification
from adaptsample.surrogates import Model


@final
class Rounds:
    """Makes the batches of a run, one a round, and measures the model when that is due.

    Args:
        spec: of the run.
        observations: what the run knows.
        evaluator: which has the budget.
        updater: which has the model.
        on_record: called whenever a round was recorded.
    """

    def __init__(
        self,
        spec: Specification,
        observations: Observations,
        evaluator: Evaluator,
        updater: ModelUpdater,
        *,
        on_record: Callable[[], None],
    ) -> None:
        self.number = 0  # of the next proposal
        self.n_asked = 0
        self.propose_seconds = 0.0
        self.measurement = Measurement(spec.oracle)
        self.journal = Journal()
        self._n_dropped = 0
        self._spec = spec
        self._observations = observations
        self._evaluator = evaluator
        self._updater = updater
        self._on_record = on_record

    @one_thread()  # a run is the same on any number of cores
    def next_batch(self, n: int | None, *, is_confirming: bool) -> Batch:
        """Return what is asked in the next round, by default as many points as are due.

        The first points are the initial design. After that the surrogate is fitted if anybody looks
        at it, and the strategy proposes.

        Args:
            n: how many points.
            is_confirming: whether the model has to predict what is asked.

        Raises:
            RunFailedError: no evaluation succeeded so far.
        """
        known = self._observations
        is_designing = self.n_asked < self._spec.n_initial or (
            not known.has_values and known.n_told < self._spec.n_initial
        )
        if not is_designing:
            self._prepare(is_confirming=is_confirming)

        def make() -> Record:
            if is_designing:
                proposal = Proposal(initial_points(self._spec, self.n_asked, n))
            else:
                proposal = self._proposed(n or self._spec.batch_size)
            batch = Batch.of(
                moved_to_pool(proposal, known.pool, self._spec),
                self._updater.model,
                budget=self._evaluator.left,
                gradient_cost=self._spec.gradient_cost,
            )
            return batch.to_record(self.number)

        line = self.journal.line("proposal", self.number, make)
        batch = Batch.from_record(line, self._spec.domain.dimension)
        known.expect(batch)
        self._n_dropped = len(batch.drop)
        self.n_asked += len(batch.x)
        self.number += 1
        return batch

    @one_thread()  # a run is the same on any number of cores
    def model(self) -> Model:
        """Return the model of everything told so far.

        Raises:
            RunFailedError: no evaluation succeeded so far.
        """
        self._updater.update(self._observations.data, number=self.number)
        model = self._updater.model
        if model is None:
            raise self._no_value()
        return model

    @one_thread()  # a run is the same on any number of cores
    def record(self) -> None:
        """Take the line of the last round from the journal, or measure the model and write it."""
        self.measurement.record(
            *(self.number - 1, self.journal, self.model, self._observations),
            n_evaluations=self._evaluator.n_evaluations,
            n_dropped=self._n_dropped,
        )
        self._on_record()

    def _prepare(self, *, is_confirming: bool) -> None:
        """Say what the model is to be of, and measure it, before the next proposal is made."""
        if not self._observations.has_values:
            raise self._no_value()
        looks_at_model = self._spec.strategy.looks_at_model
        due = (self.number - 1) % self._spec.record_every == 0
        if self._spec.oracle is None and not looks_at_model:
            due = False  # nobody looks at the fit
        due = due or self.journal.holds("round", self.number - 1)
        if looks_at_model or due or is_confirming:
            self._updater.update(self._observations.data, number=self.number)
        if due:
            self.record()

    def _proposed(self, n: int) -> Proposal:
        models = self._updater.model, self._updater.previous
        start = perf_counter()
        proposal = propose(self._spec, self._observations, models, n, number=self.number)
        self.propose_seconds += perf_counter() - start
        return proposal

    def _no_value(self) -> RunFailedError:
        failures = self._evaluator.failures() or "nothing was told yet"
        return RunFailedError(f"no value to fit a model on: {failures}")
