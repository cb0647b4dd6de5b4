"""One run as it is stated by name, where its files are, and what it came to.

The run file of an experiment is ``OUT/<oracle>/<surrogate>-<strategy>/seed-000.jsonl``. A finished
run of the same specification is shown again, not paid again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from adaptsample.core.text import file_name
from adaptsample.errors import LedgerError
from adaptsample.evaluation.dispatcher import Executors
from adaptsample.loop.journal import Existing
from adaptsample.loop.run import Run
from adaptsample.loop.sampler import Sampler
from adaptsample.loop.specification import Specification
from adaptsample.loop.stopping import Confirmation
from adaptsample.record.run_file import Recorded, read


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
    """A specification and a goal, with the names to file the run under.

    Args:
        specification: everything that decides what the run does; it has an oracle.
        labels: names of the oracle, the surrogate and the strategy, for people and for paths.
        budget: evaluations, the initial design included.
        tolerance: None, or the error at which the run may stop earlier; see `Sampler.run`.

    Raises:
        ValueError: a budget below the initial design, or a tolerance that is not positive.
    """

    specification: Specification
    labels: tuple[str, str, str]
    budget: float
    tolerance: float | None = None

    def __post_init__(self) -> None:
        self.specification.check_budget(self.budget)
        if self.tolerance is not None:
            Confirmation(self.tolerance)  # which refuses what is none

    def run_file(self, out: Path) -> Path:
        """Return where the run is recorded below ``out``."""
        oracle, surrogate, strategy = map(file_name, self.labels)
        name = f"seed-{self.specification.seed:03d}.jsonl"
        return out / oracle / f"{surrogate}-{strategy}" / name

    def found(self, out: Path) -> Found | None:
        """Return what is on file of it below ``out``, None if there is nothing.

        Raises:
            LedgerError: its run file cannot be read.
        """
        path = self.run_file(out)
        if not path.exists():
            return None
        recorded = read(path)
        difference, end = self.specification.difference(recorded.spec), recorded.end
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
        sampler = Sampler(
            self.specification,
            run_file=self.run_file(out),
            existing=existing,
            executor=executor,
        )
        return sampler.run(self.budget, tolerance=self.tolerance, observer=observer)

    def summary(self, recorded: Recorded) -> dict[str, Any]:
        """Return what a finished run came to, as plain JSON values."""
        if recorded.end is None:
            raise LedgerError(f"{recorded.path} holds an unfinished run")
        oracle, surrogate, strategy = self.labels
        return {
            "oracle": oracle,
            "strategy": strategy,
            "surrogate": surrogate,
            "seed": self.specification.seed,
            "n_evaluations": recorded.end["n_evaluations"],
            "errors": recorded.end["errors"],
            "seconds": recorded.end["seconds"],
            "run_file": str(recorded.path),
        }
