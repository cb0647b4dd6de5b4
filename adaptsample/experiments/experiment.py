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
from adaptsample.record.ledger import Recorded, read


@final
@dataclass(frozen=True)
class Experiment:
    """A specification and a goal, with the names to file the run under.

    Args:
        specification: everything that decides what the run does; it has an oracle.
        labels: names of the oracle, the surrogate and the strategy, for people and for paths.
        budget: evaluations, the initial design included.
        tolerance: None, or the error at which the run may stop earlier; see `Sampler.run`.
    """

    specification: Specification
    labels: tuple[str, str, str]
    budget: float
    tolerance: float | None = None

    def run_file(self, out: Path) -> Path:
        """Return where the run is recorded below ``out``."""
        oracle, surrogate, strategy = map(file_name, self.labels)
        name = f"seed-{self.specification.seed:03d}.jsonl"
        return out / oracle / f"{surrogate}-{strategy}" / name

    def finished(self, out: Path) -> Recorded | None:
        """Return the recorded run if it is there and finished, None if there is work to do.

        Raises:
            LedgerError: the run file holds another run, or another budget; the message says how to
                go on.
        """
        path = self.run_file(out)
        if not path.exists():
            return None
        recorded = read(path)
        if difference := self.specification.difference(recorded.spec):
            raise LedgerError(
                f"{path} holds another run: {difference}; "
                "--overwrite replaces it, --out chooses another folder"
            )
        if recorded.end is None:
            spent = sum(record["price"] for record in recorded.evaluations)
            raise LedgerError(
                f"{path} holds an unfinished run ({spent:g} evaluations paid); "
                "--resume continues it, --overwrite replaces it"
            )
        goal, found = (self.budget, self.tolerance), recorded.end
        if (found["budget"], found.get("tolerance")) != goal:
            raise LedgerError(
                f"{path} holds a finished run of budget {found['budget']:g} and tolerance "
                f"{found.get('tolerance')}, not {self.budget:g} and {self.tolerance}; "
                "--resume extends it, --overwrite replaces it"
            )
        return recorded

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
