"""What is shown on stderr while runs are made, where somebody watches: quiet elsewhere."""

import time
from collections.abc import Sequence
from math import exp, log
from types import TracebackType
from typing import Self, final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from adaptsample.comparison.measures import ERROR_NAMES, Measure
from adaptsample.experiments.campaign import Outcome
from adaptsample.experiments.experiment import Experiment
from adaptsample.loop import Sampler


@final
class ProgressBar:
    """One run: budget spent, error so far, time left.

    A context manager to be given to `Sampler.run` as its observer.
    """

    def __init__(self, budget: float) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:g}/{task.total:g} evaluations"),
            TextColumn("{task.fields[error]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("sampling", total=budget, error="")

    def __call__(self, sampler: Sampler) -> None:
        """Show what the sampler has spent and reached."""
        error = ""
        if sampler.rounds and sampler.rounds[-1].errors:
            error = f"grid MAE {sampler.rounds[-1].errors['mae']:.2e}"
        self._progress.update(self._task, completed=sampler.n_evaluations, error=error)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()


@final
class Board:
    """Many runs, as a context manager: how many are done, their errors so far, time left."""

    def __init__(self, experiments: Sequence[Experiment], *, measure: Measure = "mae") -> None:
        """Expect these experiments."""
        self._measure = measure
        console = Console(stderr=True)
        self._expected: dict[tuple[str, str], int] = {}
        for experiment in experiments:
            place = _place(experiment)
            self._expected[place] = self._expected.get(place, 0) + 1
        self._errors: dict[tuple[str, str], list[float]] = {key: [] for key in self._expected}
        self._done, self._made, self._failed = 0, 0, 0
        self._begun = time.monotonic()
        self._is_watched = console.is_terminal
        self._live = Live(self._drawn(), console=console, transient=True, auto_refresh=False)

    def add(self, outcome: Outcome) -> None:
        """Show one more outcome."""
        self._done += 1
        self._made += outcome.seconds > 0
        self._failed += bool(outcome.failure)
        if outcome.errors:
            self._errors[_place(outcome.experiment)].append(outcome.errors[self._measure])
        if self._is_watched:
            self._live.update(self._drawn(), refresh=True)

    def __enter__(self) -> Self:
        if self._is_watched:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_watched:
            self._live.stop()

    def _drawn(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("oracle")
        table.add_column("surrogate, strategy")
        table.add_column("runs", justify="right")
        table.add_column(ERROR_NAMES[self._measure], justify="right")
        for (oracle, rival), errors in self._errors.items():
            mean = (
                f"{exp(sum(log(max(e, 1e-300)) for e in errors) / len(errors)):.1e}"
                if errors
                else ""
            )
            table.add_row(oracle, rival, f"{len(errors)}/{self._expected[oracle, rival]}", mean)
        return Group(table, Text(self._told()))

    def _told(self) -> str:
        total = sum(self._expected.values())
        told = f"{self._done} of {total} runs"
        if self._failed:
            told += f", {self._failed} failed"
        if self._made:  # those that were there already took no time
            left = (time.monotonic() - self._begun) / self._made * (total - self._done)
            told += (
                f", about {left / 60:.0f} min left" if left > 90 else f", about {left:.0f} s left"
            )
        return told


def _place(experiment: Experiment) -> tuple[str, str]:
    oracle, surrogate, strategy = experiment.labels
    return oracle, f"{surrogate}, {strategy}"
