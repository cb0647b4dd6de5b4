"""Our samplers, and the source's three attempts, on a task: by ask and tell, as anybody would."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import torch

from adaptsample import Sampler
from adaptsample.experiments.presets import PRESETS
from benchmarks.peers.approximations import Array
from benchmarks.peers.task import Checkpoint, Run, Task

SOURCE: Final = "source's "
"""What the names of published attempts begin with."""

_GROWTH: Final = 1.2  # as of the peers
_DEAR: Final = "auto"  # is fitted at the first points, at twice as many, and at each size


def run_of(name: str) -> Run:
    """Return the run that a name means: "surrogate + strategy", or "source's topk"."""
    if name.startswith(SOURCE):
        return partial(_source, attempt=name.removeprefix(SOURCE))
    surrogate, _, strategy = name.partition(" + ")
    return partial(_ours, name=name, surrogate=surrogate, strategy=strategy)


def _ours(task: Task, name: str, surrogate: str, strategy: str) -> Iterator[Checkpoint]:
    is_dear = surrogate.startswith(_DEAR)
    early = {n for n in (task.first, 2 * task.first) if n < task.sizes[0]}
    totals = sorted(early.union(task.sizes)) if is_dear else list(task.totals(_GROWTH))
    sampler = _sampler(task, surrogate, strategy, totals[0])
    for total in totals:
        if strategy == "sobol" and is_dear:  # nothing depends on earlier fits
            task.afresh()
            sampler = _sampler(task, surrogate, strategy, total)
        _spend(sampler, task, total)
        yield total, {name: partial(_predicted, model=sampler.model)}


def _sampler(task: Task, surrogate: str, strategy: str, n_initial: int) -> Sampler:
    return Sampler(
        task.domain, surrogate=surrogate, strategy=strategy, seed=task.seed, n_initial=n_initial
    )


def _source(task: Task, attempt: str) -> Iterator[Checkpoint]:
    """Repeat a published attempt with all of its settings but one: it began with 500 points."""
    preset = PRESETS["source"][attempt]
    sampler = Sampler(
        task.domain,
        surrogate=preset.surrogate,
        strategy=preset.strategy,
        seed=task.seed,
        n_initial=2 * task.first,
        batch_size=preset.batch_size,
        design=preset.design,
    )
    for size in task.sizes:
        while task.spent < size:
            _spend(sampler, task, min(task.spent + preset.batch_size, size))
        yield size, {f"{SOURCE}{attempt}": partial(_predicted, model=sampler.model)}


def _spend(sampler: Sampler, task: Task, total: int) -> None:
    """Ask and tell until so many evaluations are spent; points that were known cost nothing."""
    while task.spent < total:
        left = total - task.spent
        x = sampler.ask(None if task.spent == 0 and left >= sampler.spec.n_initial else left)
        sampler.tell(x, task(np.asarray(x)))


def _predicted(new: Array, model: Any) -> Array:
    return np.asarray(model.predict(torch.from_numpy(new)))[:, 0]
