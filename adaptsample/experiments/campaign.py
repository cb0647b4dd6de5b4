"""Many experiments side by side, each a run of its own; those that are finished are kept.

A run is not paid twice: a finished one is left as it is, an unfinished one goes on where it
stopped. One whose file is damaged is put aside under another name and made again.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, final

import torch

from adaptsample.core.threads import cores
from adaptsample.errors import LedgerError, RunFailedError
from adaptsample.experiments.experiment import Experiment
from adaptsample.record.run_file import read

State: TypeAlias = Literal["due", "finished", "damaged"]


@final
@dataclass(frozen=True)
class Outcome:
    """What became of an experiment.

    Args:
        experiment: which.
        errors: ``mae``, ``rmse`` and ``max`` at the end; empty if unknown, or if it failed.
        seconds: wall time that it took now; 0 if it was there already.
        failure: why there is no finished run, empty if there is one.
    """

    experiment: Experiment
    errors: Mapping[str, float]
    seconds: float
    failure: str = ""


def state_of(experiment: Experiment, out: Path) -> State:
    """Return what there is of an experiment below ``out``.

    Raises:
        LedgerError: its run file holds another run, or one that spent more.
    """
    path = experiment.run_file(out)
    try:
        found = experiment.found(out)
    except LedgerError:
        return "damaged"
    if found is None:
        return "due"
    if found.recorded.damaged or not found.recorded.spec:
        return "damaged"
    if found.difference:
        raise LedgerError(
            f"{path} holds another run: {found.difference}; set it as it is there, choose another "
            "folder with --out, or remove it"
        )
    end = found.recorded.end
    if end is not None and end["budget"] > experiment.budget:
        raise LedgerError(
            f"{path} holds a run of budget {end['budget']:g}, more than "
            f"{experiment.budget:g}; choose another folder with --out, or that budget"
        )
    return "finished" if found.is_finished else "due"


def run_all(
    experiments: Sequence[Experiment], out: Path, *, executor: Executor | None
) -> Iterator[Outcome]:
    """Run what is not finished, and yield outcomes as they come, finished ones first.

    Args:
        experiments: all of them; those that fail, fail alone.
        out: the folder of all results.
        executor: where they run; here, one after another, if None.

    Raises:
        LedgerError: a run file holds another run. Nothing has been run.
    """
    states = {experiment.run_file(out): state_of(experiment, out) for experiment in experiments}
    due = []
    for experiment in experiments:
        path = experiment.run_file(out)
        if states[path] == "finished":
            end = read(path).end
            yield Outcome(experiment, {} if end is None else end["errors"], 0.0)
            continue
        if states[path] == "damaged":
            path.rename(path.with_name(f"{path.name}.damaged-{time.time_ns()}"))
        due.append(experiment)
    if executor is None:
        yield from (_perform(experiment, out) for experiment in due)
        return
    futures = {
        executor.submit(_perform_beside_others, experiment, out): experiment for experiment in due
    }
    for future in as_completed(futures):
        if error := future.exception():
            yield Outcome(futures[future], {}, 0.0, failure=f"{type(error).__name__}: {error}")
        else:
            yield future.result()


def _perform_beside_others(experiment: Experiment, out: Path) -> Outcome:
    with cores(1):
        return _perform(experiment, out)


def _perform(experiment: Experiment, out: Path) -> Outcome:
    torch.set_num_threads(1)  # the matrices are small: more threads are slower
    begun = time.monotonic()
    try:
        run = experiment.run(out, existing="resume")
    except (RunFailedError, LedgerError) as error:
        return Outcome(experiment, {}, time.monotonic() - begun, failure=str(error))
    except Exception as error:  # a strategy or a surrogate of somebody's may raise anything
        told = f"{type(error).__name__}: {error}"
        return Outcome(experiment, {}, time.monotonic() - begun, failure=told)
    return Outcome(experiment, dict(run.errors), time.monotonic() - begun)
