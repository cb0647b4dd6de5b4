"""What is measured in a round: errors against exact values that cost nothing, if there are any."""

from collections.abc import Callable
from functools import cached_property
from time import perf_counter
from typing import final

from adaptsample.core.dataset import Dataset
from adaptsample.loop.journal import Journal
from adaptsample.loop.observations import Observations
from adaptsample.loop.run import Round
from adaptsample.metrics.errors import errors, reference_set
from adaptsample.oracles import Oracle, SupportsExact
from adaptsample.surrogates import Model
from adaptsample.surrogates.protocol import SupportsChoice


@final
class Measurement:
    """Measures a run's models round by round.

    Args:
        oracle: whose exact version knows the errors; None, or one without, knows none.
    """

    def __init__(self, oracle: Oracle | None) -> None:
        self.rounds: list[Round] = []
        self._oracle = oracle
        self._begun = perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time since `begin`."""
        return perf_counter() - self._begun

    def begin(self) -> None:
        """Start the clock."""
        self._begun = perf_counter()

    def record(
        self,
        number: int,
        journal: Journal,
        model: Callable[[], Model],
        observations: Observations,
        *,
        n_evaluations: float,
        n_dropped: int,
    ) -> None:
        """Take a round's line from the journal, or measure the model and write it there.

        Args:
            number: of the round.
            journal: of the run.
            model: gives the model of the round; called only if it is measured now.
            observations: what the run knows.
            n_evaluations: charged so far.
            n_dropped: points that the round's proposal took out of the training set.
        """

        def measured() -> Round:
            now = model()
            exact = self._reference
            return Round(
                round=number,
                n_evaluations=n_evaluations,
                errors={} if exact is None else errors(now.predict(exact.x), exact.y),
                training_set=len(observations.data),
                dropped=n_dropped,
                fresh_mae=observations.fresh_mae,
                choice=now.choice if isinstance(now, SupportsChoice) else None,
                seconds=self.seconds,
            )

        line = journal.line("round", number, lambda: measured().to_record())
        self.rounds.append(Round.from_record(line))
        observations.forget_fresh()

    @cached_property
    def _reference(self) -> Dataset | None:
        oracle = self._oracle
        exact = oracle.exact if isinstance(oracle, SupportsExact) else None
        return None if exact is None else reference_set(exact)
