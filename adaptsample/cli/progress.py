"""A live line on stderr: budget spent, error so far, time left. Quiet where nobody watches."""

from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from adaptsample.loop.sampler import Sampler


@final
class ProgressBar:
    """Shows a run while it runs: a context manager to be given to `Sampler.run` as its observer."""

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
