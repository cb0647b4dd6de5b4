"""What a study is, and what it finds."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar, final

from matplotlib.figure import Figure

from adaptsample.comparison.tables import Table
from adaptsample.evaluation.executors import open_executor

Input = TypeVar("Input")
Output = TypeVar("Output")
Verdict = Literal["yes", "partly", "no"]


@final
@dataclass(frozen=True)
class Effort:
    """How much work a study may make.

    Args:
        is_quick: only show that it works, in some seconds.
        workers: processes side by side, each with one thread.
    """

    is_quick: bool = False
    workers: int = 1

    def pick(self, full: Input, quick: Input) -> Input:
        """Return the one or the other."""
        return quick if self.is_quick else full

    def seeds(self, n: int) -> range:
        """Return n seeds, and no more than two if it has to be quick."""
        return range(self.pick(n, min(n, 2)))

    def map(self, function: Callable[[Input], Output], inputs: Iterable[Input]) -> list[Output]:
        """Apply a function of a module to each input, side by side; return the results in order."""
        with open_executor("processes", self.workers) as executor:
            apply = map if executor is None else executor.map
            return list(apply(function, inputs))


@final
@dataclass(frozen=True)
class Finding:
    """What a study found.

    Args:
        holds: whether the claim does.
        because: why, in a sentence with the figures that decide it.
        tables: each with its heading; the first has what the source reported, what came out with
            its settings, and the best that the library has.
        figure: the panels that the source shows, and ours.
        notes: what else a reader needs to know, in Markdown; differences are explained here.
    """

    holds: Verdict
    because: str
    tables: Sequence[tuple[str, Table]]
    figure: Figure
    notes: str = ""


@final
@dataclass(frozen=True)
class Study:
    """A study: what it is about, and how it is made.

    Args:
        title: what it is about, a few words.
        claim: what the source says, a sentence that can be true or false.
        run: makes it.
    """

    title: str
    claim: str
    run: Callable[[Effort], Finding]


def studies() -> dict[str, Study]:
    """Return all studies by name: each file of the folder `scripts/studies` is one."""
    names = sorted(p.stem for p in Path(__file__).parents[1].glob("[a-z]*.py"))
    return {name: import_module(f"scripts.studies.{name}").STUDY for name in names}


def perform(
    names: Iterable[str], effort: Effort, *, executor: Executor | None
) -> Iterator[tuple[str, Finding | Exception]]:
    """Yield what each experiment finds, or how it failed, as they come."""
    if executor is None:
        for name in names:
            yield name, _attempt(partial(_find, name, effort))
    else:
        futures = {executor.submit(_find, name, effort): name for name in names}
        for future in as_completed(futures):
            yield futures[future], _attempt(future.result)


def _find(name: str, effort: Effort) -> Finding:
    return studies()[name].run(effort)


def _attempt(call: Callable[[], Finding]) -> Finding | Exception:
    try:
        return call()
    except Exception as error:  # the others go on
        return error


def number(value: float) -> str:
    """Return a whole number or one of at least 100 without decimals, of others some digits."""
    if abs(value) < 1e6 and (value == round(value) or abs(value) >= 100):
        return f"{value:,.0f}"
    return f"{value:.3g}" if 0.01 <= abs(value) < 100 else f"{value:.1e}"


def spread(values: Sequence[float]) -> str:
    """Return the median, with the least and the largest value if there are several."""
    middle = number(median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values))} to {number(max(values))})"
