"""One run as it is stated by name, where its files are, and what it came to.

The run file of an experiment is ``OUT/<oracle>/<surrogate>-<strategy>/seed-000.jsonl``. A finished
run of the same specification is shown again, not paid again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from adaptsample.acquisition.strategy import Strategy
from adaptsample.core.text import file_name
from adaptsample.errors import LedgerError
from adaptsample.evaluation.dispatcher import Executors
from adaptsample.loop.evaluator import Existing
from adaptsample.loop.run import Run
from adaptsample.loop.sampler import Sampler
from adaptsample.loop.specification import Design
from adaptsample.oracles import Oracle
from adaptsample.record.ledger import Recorded, read
from adaptsample.surrogates.protocol import Surrogate


@final
@dataclass(frozen=True)
class Found:
    """What is on file of an experiment.

    Args:
        recorded: its run file.
        difference: in what it is the file of another run; empty if it is not.
        is_finished: whether the experiment came to its end there, with its budget and tolerance.
    """

    recorded: Recorded
    difference: str
    is_finished: bool


@final
@dataclass(frozen=True)
class Experiment:
    """An oracle, a surrogate, a strategy and a seed, with the names to file them under.

    Args:
        oracle: what is evaluated.
        surrogate: what is fitted.
        strategy: what proposes.
        labels: names of the oracle, the surrogate and the strategy, for people and for paths.
        seed: of everything random.
        budget: evaluations, the initial design included.
        tolerance: None, or the error at which the run may stop earlier; see `Sampler.run`.
        n_initial: points of the initial design; None for the sampler's default.
        batch_size: points proposed in a round.
        design: of the initial points.
        gradient_cost: price of a gradient, in evaluations.
        record_every: rounds between two measurements of the error.
        retries: how often a failed evaluation is tried again.
        asynchronous: ask for one new point as each result arrives.
        timeout: seconds that an evaluation may take, or None.
    """

    oracle: Oracle
    surrogate: Surrogate
    strategy: Strategy[Any]
    labels: tuple[str, str, str]
    seed: int
    budget: float
    tolerance: float | None = None
    n_initial: int | None = None
    batch_size: int = 10
    design: Design = "sobol"
    gradient_cost: float = 1.0
    record_every: int = 1
    retries: int = 0
    asynchronous: bool = False
    timeout: float | None = None

    def run_file(self, out: Path) -> Path:
        """Return where the run is recorded below ``out``."""
        oracle, surrogate, strategy = map(file_name, self.labels)
        return out / oracle / f"{surrogate}-{strategy}" / f"seed-{self.seed:03d}.jsonl"

    def found(self, out: Path) -> Found | None:
        """Return what is on file of it below ``out``, None if there is nothing.

        Raises:
            LedgerError: its run file cannot be read.
        """
        path = self.run_file(out)
        if not path.exists():
            return None
        recorded = read(path)
        difference, end = recorded.difference(self.sampler().specification()), recorded.end
        goal = self.budget, self.tolerance
        is_finished = end is not None and (end["budget"], end.get("tolerance")) == goal
        return Found(recorded, difference, is_finished and not difference)

    def run(
        self,
        out: Path,
        *,
        existing: Existing = "refuse",
        executor: Executors | None = None,
        observer: Callable[[Sampler], None] | None = None,
    ) -> Run:
        """Run it and keep the record; see `Sampler.run`."""
        path = self.run_file(out)
        sampler = self.sampler(run_file=path, existing=existing, executor=executor)
        return sampler.run(self.budget, tolerance=self.tolerance, observer=observer)

    def sampler(
        self,
        *,
        run_file: Path | None = None,
        existing: Existing = "refuse",
        executor: Executors | None = None,
    ) -> Sampler:
        """Return the sampler that runs it."""
        return Sampler(
            self.oracle,
            surrogate=self.surrogate,
            strategy=self.strategy,
            seed=self.seed,
            n_initial=self.n_initial,
            batch_size=self.batch_size,
            design=self.design,
            gradient_cost=self.gradient_cost,
            record_every=self.record_every,
            retries=self.retries,
            asynchronous=self.asynchronous,
            timeout=self.timeout,
            run_file=run_file,
            existing=existing,
            executor=executor,
        )

    def summary(self, recorded: Recorded) -> dict[str, Any]:
        """Return what a finished run came to, as plain JSON values."""
        if recorded.end is None:
            raise LedgerError(f"{recorded.path} holds an unfinished run")
        oracle, surrogate, strategy = self.labels
        return {
            "oracle": oracle,
            "strategy": strategy,
            "surrogate": surrogate,
            "seed": self.seed,
            "n_evaluations": recorded.end["n_evaluations"],
            "errors": recorded.end["errors"],
            "seconds": recorded.end["seconds"],
            "run_file": str(recorded.path),
        }
