"""Measure how long strategies take to select, and hold four of them to a published package.

1. The strategies that choose by features get the same features as bmdal_reg, the package of the
   article that LCMD is from, and must choose the same rows in the same order. Both start from the
   feature matrices, on one thread of one process, turn and turn about, after one turn that is not
   measured; medians are compared.
2. Every registered strategy proposes 16 points with 100,000 candidates and 10,000 training points
   in ten variables, each in a process of its own, which measures CPU time and how far its memory
   grows.

    python -m benchmarks.speed.selection_speed
    python -m benchmarks.speed.selection_speed --quick

With --quick nothing is timed: the choices are compared with those of bmdal_reg that are kept in
tests/data/bmdal_indices.json, and with its own where it is installed (pip install
bmdal_reg==3.0.2). With --store they are selected afresh and kept.

Times are CPU times, which on one thread are the wall-clock times of a machine with nothing else to
do; a busy one makes both slower, so trust the ratios more than the times.
"""

import argparse
import json
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Final, final
from unittest.mock import patch

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample import Box, Dataset, State, Strategy
from adaptsample.acquisition import FeatureStrategy, Rows, Sketched
from adaptsample.core import Points, Values, derive_generator
from adaptsample.core.scaling import Scaling
from adaptsample.oracles.problems import PROBLEMS
from adaptsample.registry import make_strategy, strategies
from adaptsample.surrogates.mlp import MLP, Network
from adaptsample.training.network import initial_parameters
from benchmarks.harness.tables import machine, markdown
from benchmarks.strategies import bmdal

COMMAND: Final = "python -m benchmarks.speed.selection_speed"
STORE: Final = Path(__file__).parents[2] / "tests/data/bmdal_indices.json"
HELD: Final = ("lcmd", "core_set", "k_means_plus_plus", "max_det")
"""Strategies that have to choose what bmdal_reg does."""
SEED: Final = 7


@final
@dataclass(frozen=True)
class Task:
    """Choose n rows.

    Args:
        features: what they are.
        new: features of the pool.
        known: features of the training set.
        n: how many to choose.
        noise: standard deviation of the noise, for strategies that know of any.
    """

    features: str
    new: Tensor
    known: Tensor
    n: int
    noise: float

    def ours(self, method: str, *, alone: bool) -> list[int]:
        """Return what our strategy chooses."""
        strategy: Any = strategies()[method.partition(",")[0]]
        assert issubclass(strategy, FeatureStrategy)
        has_noise = "noise" in {field.name for field in fields(strategy)}
        made = strategy(noise=self.noise) if has_noise else strategy()
        known, first = (self.known[:0] if alone else self.known), list[int]()
        if alone and method == "k_means_plus_plus":  # whose first point is drawn by NumPy there
            known, first = self.new[:1], [0]
        generator = Generator().manual_seed(SEED)
        rows = Rows(self.new, known)
        rest = made.choose_rows(rows, self.n - len(first), generator=generator)
        return [*first, *rest.tolist()]

    def theirs(self, method: str, *, alone: bool) -> list[int]:
        """Return what bmdal_reg selects."""
        return bmdal.select(
            method, self.new, self.known, self.n, alone=alone, noise=self.noise, seed=SEED
        )


def small_task() -> Task:
    """Return a task whose features are the same on all machines, unevenly sized."""
    generator = Generator().manual_seed(0)
    rows = torch.rand(230, 16, dtype=torch.float64, generator=generator) - 0.5
    rows /= torch.arange(1, 17)
    return Task("uniform", rows[:200], rows[200:], 32, 1e-2)


def tasks() -> list[Task]:
    """Return the tasks that are timed."""
    generator = derive_generator(0, "rows")
    rows = torch.randn(10_256, 512, dtype=torch.float64, generator=generator)
    box = PROBLEMS["wing_weight"].domain
    x = torch.cat([box.uniform(10_000, generator=generator), box.sobol(256, generator=generator)])
    data = Dataset(x[10_000:], PROBLEMS["wing_weight"](x[10_000:]))
    model = MLP(hidden=(24, 24)).fit(data, generator=derive_generator(0, "fit"))
    state = State(box, data, model, None, x[:0], round=1)
    found = {"independent, normal": rows, "network's gradients": Sketched()(x, state)}
    return [
        Task(name, rows[:10_000] / unit, rows[10_000:] / unit, n=256, noise=1e-2)
        for name, rows in found.items()
        for unit in [rows[10_000:].square().sum(dim=1).mean().sqrt()]  # as strategies get them
    ]


def portable_draw(weight: Tensor, n: int, *, generator: Generator | None = None) -> Tensor:
    """Draw as torch.multinomial does, but the same on all machines."""
    assert n == 1
    height = torch.rand(1, dtype=weight.dtype, generator=generator) * weight.sum()
    return torch.searchsorted(weight.cumsum(dim=0), height)


def small_choices(choose: Callable[..., list[int]]) -> dict[str, dict[str, list[int]]]:
    """Return what is chosen in the small task, by method and mode."""
    with patch.object(torch, "multinomial", portable_draw):
        return {
            method: {mode: choose(method, alone=alone) for mode, alone in MODES.items()}
            for method in HELD
        }


MODES: Final = {"with training set": False, "alone": True}


def quick(*, store: bool) -> None:
    """Compare choices in the small task with those that are kept, and with bmdal_reg's own."""
    installed = find_spec("bmdal_reg") is not None
    theirs = small_choices(small_task().theirs) if installed else None
    if store:
        made_by = f"bmdal_reg {version('bmdal_reg')}"
        task = "benchmarks/speed/selection_speed.py: small_task, portable_draw"
        kept = {"made_by": made_by, "task": task, "choices": theirs}
        STORE.write_text(json.dumps(kept) + "\n")
    kept = json.loads(STORE.read_text())
    assert small_choices(small_task().ours) == kept["choices"], "ours are others"
    assert theirs is None or theirs == kept["choices"], "those of bmdal_reg are others"
    compared = "and bmdal_reg chooses them now" if installed else "bmdal_reg is not installed"
    print(f"{', '.join(HELD)}: the same rows as {kept['made_by']}; {compared}")


@final
@dataclass(frozen=True)
class Race:
    """Medians over the turns, and how many rows are chosen alike before the first difference."""

    features: str
    method: str
    mode: str
    theirs: float
    ours: float
    ratio: float
    alike: int
    n: int


def race(task: Task, method: str, mode: str, turns: int) -> Race:
    """Time both, turn and turn about; fewer turns where these take long."""
    pairs = list[tuple[float, float]]()
    begun, chosen, expected = time.process_time(), list[int](), list[int]()
    while len(pairs) <= turns and (len(pairs) < 2 or time.process_time() - begun < 60):
        start = time.process_time()
        expected = task.theirs(method, alone=MODES[mode])
        middle = time.process_time()
        chosen = task.ours(method, alone=MODES[mode])
        pairs.append((middle - start, time.process_time() - middle))
    differs = (i for i, (a, b) in enumerate(zip(chosen, expected, strict=True)) if a != b)
    alike = next(differs, task.n)
    assert alike == task.n or method == "bait", f"{method}, {mode}: other rows from {alike} on"
    measured = pairs[1:]
    return Race(
        task.features,
        method,
        mode,
        median(a for a, _ in measured),
        median(b for _, b in measured),
        median(a / b for a, b in measured),
        alike,
        task.n,
    )


def races(turns: int) -> list[Race]:
    """Race each method in both modes; BAIT alone knows the training set, too, and is left out."""
    found = []
    for task in tasks():
        for method in bmdal.CLASSES:
            for mode in MODES if method != "bait" else list(MODES)[:1]:
                print(f"racing {method}, {mode}, {task.features} ...", file=sys.stderr)
                found.append(race(task, method, mode, turns))
    return found


def race_table(found: list[Race]) -> str:
    """Return the races for people."""
    heading = ("method", "features", "mode", "same rows", "bmdal_reg, s", "ours, s", "times faster")
    return markdown(
        heading,
        (
            (
                race.method,
                race.features,
                race.mode,
                f"{race.alike} of {race.n}",
                f"{race.theirs:.2f}",
                f"{race.ours:.2f}",
                f"{race.ratio:.2f}",
            )
            for race in found
        ),
    )


N_POINTS: Final = 16
N_CANDIDATES: Final = 100_000
N_KNOWN: Final = 10_000
N_VARIABLES: Final = 10
MOST_SECONDS: Final = 2.0
MOST_BYTES: Final = 2e9
PATIENCE: Final = 120  # seconds of CPU time for a process
ADDRESSES: Final = 12 * 2**30  # bytes for a process


@final
@dataclass(frozen=True)
class FiveNetworks:
    """A model that can do everything, for nothing: networks with ten hidden units, not fitted."""

    networks: tuple[Network, ...]
    data: Dataset

    def predict(self, x: Points) -> Values:
        """Predict as the first network does."""
        return self.networks[0].predict(x)

    def std(self, x: Points) -> Values:
        """Return the standard deviation of the networks."""
        return self.committee(x).std(dim=0)

    def committee(self, x: Points) -> Float[Tensor, "m n k"]:
        """Return all predictions."""
        return torch.stack([network.predict(x) for network in self.networks])

    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the hidden units."""
        return self.networks[0].features(x)

    def parameter_gradient(self, x: Points) -> Float[Tensor, "n k p"]:
        """Return the derivatives with respect to the 121 parameters."""
        return self.networks[0].parameter_gradient(x)

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Return residuals as they are."""
        del generator
        return self.data.y - self.predict(self.data.x)


def large_state(n_known: int) -> State[FiveNetworks]:
    """Return a state with so many training points."""
    box = Box({f"x{i}": (-1, 1) for i in range(N_VARIABLES)})
    one, widths = Scaling.identity, (N_VARIABLES, 10, 1)
    generator = derive_generator(0, "networks")
    networks = [
        Network(
            widths,
            "tanh",
            one(N_VARIABLES),
            one(1),
            initial_parameters(list(widths), generator=generator),
        )
        for _ in range(6)
    ]
    x = box.sobol(n_known, generator=derive_generator(0, "initial"))
    data = Dataset(x, networks[-1].predict(x))
    model, previous = (FiveNetworks(tuple(some), data) for some in (networks[:5], networks[1:]))
    return State(box, data, model, previous, x[:0], round=1)


def with_candidates(name: str, n: int) -> Strategy[Any]:
    """Return a strategy with so many candidates, if it has any."""
    has_candidates = any(field.name == "n_candidates" for field in fields(strategies()[name]))
    return make_strategy(f"{name}(n_candidates={n})" if has_candidates else name)


def measure(name: str) -> dict[str, float]:
    """Return seconds and bytes of a proposal; to be called in a fresh process."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE + 1))
    strategy = with_candidates(name, N_CANDIDATES)
    with_candidates(name, 100).plan(large_state(20), N_POINTS, generator=Generator())  # compiles
    state, before = large_state(N_KNOWN), _memory()
    seconds, grown = list[float](), 0
    while not seconds or (len(seconds) < 3 and sum(seconds) < 10):
        start = time.process_time()
        proposal = strategy.plan(state, N_POINTS, generator=derive_generator(0, "propose"))
        seconds.append(time.process_time() - start)
        grown = grown or _memory(peak=True) - before
        assert len(proposal.add) == N_POINTS
    return {"seconds": median(seconds), "bytes": grown}


def _memory(*, peak: bool = False) -> int:
    """Return the bytes of memory that this process holds, or held at most (on Linux)."""
    told = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(told["VmHWM" if peak else "VmRSS"].split()[0])


def measure_elsewhere(name: str) -> dict[str, float | str]:
    """Measure in a process of its own; say what went wrong if something did."""
    print(f"measuring {name} ...", file=sys.stderr)
    done = subprocess.run(  # noqa: S603  # this very module
        [sys.executable, *COMMAND.split()[1:], "--measure", name],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    if "allocate memory" in done.stderr or "MemoryError" in done.stderr:
        return {"failure": f"more than {ADDRESSES / 2**30:.0f} GB"}
    if done.returncode < 0:
        return {"failure": f"more than {PATIENCE} s"}
    raise RuntimeError(f"{name}: {done.stderr}")


def scaling_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return times and memory for people, and whether what exceeds the bound says its cost."""
    rows = []
    for name, cell in found.items():
        says = "Cost:" in (strategies()[name].__doc__ or "")
        if "failure" in cell:
            time_and_memory, fits = (cell["failure"], ""), False
        else:
            time_and_memory = f"{cell['seconds']:.2f} s", f"{cell['bytes'] / 1e9:.2f} GB"
            fits = cell["seconds"] <= MOST_SECONDS and cell["bytes"] <= MOST_BYTES
        verdict = "yes" if fits else "no; says its cost" if says else "no, AND SAYS NO COST"
        rows.append((name, *time_and_memory, verdict))
    return markdown(("strategy", "CPU time", "memory", "fits the bound"), rows)


def page(found: list[Race], scaling: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page of results."""
    held = [race for race in found if race.method in HELD and not MODES[race.mode]]
    slowest = min(held, key=lambda race: race.ratio)
    fit = sum(row.endswith("| yes |") for row in scaling_table(scaling).splitlines())
    command = shlex.join([*COMMAND.split(), *sys.argv[1:]])
    return f"""# Selection

```sh
{command}
```

## The same rows as bmdal_reg, in less time

256 rows of 10,000 with 512 features, with and without 256 training points, float64, noise 0.01; CPU
time from the feature matrices to the rows. The network is `mlp(hidden=(24, 24))`, fitted to the
wing weight at the training points; its gradients are sketched to 512.

{race_table(found)}
- with the training set, ours are {slowest.ratio:.2f} times as fast or more (`{slowest.method}`)
- `k_means_plus_plus` draws the same random numbers; alone, both begin with row 0
- `bait`: bmdal_reg adds 1e-8 to variances, and updates by subtraction what becomes as small as
  their squares. It parts from the definition where little doubt is left; ours keeps the digits
- bmdal_reg {version("bmdal_reg")}, BAIT without backward steps

## All strategies at {N_CANDIDATES:,} candidates

{N_POINTS} points, {N_KNOWN:,} training points, {N_VARIABLES} variables; `boundary` and
`disagreement` draw that many candidates for each point. The model costs next to nothing and has 121
parameters, so that features are 121 wide. Memory is what the process grows by. Within
{MOST_SECONDS:.0f} s and {MOST_BYTES / 1e9:.0f} GB are {fit} of {len(scaling)} strategies.

{scaling_table(scaling)}
- {machine()}
"""


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="compare choices, time nothing")
    parser.add_argument("--store", action="store_true", help="keep the choices of bmdal_reg")
    parser.add_argument("--measure", metavar="NAME", help="one strategy, in this process, as JSON")
    parser.add_argument("--turns", type=int, default=7, help="how often both are timed")
    parser.add_argument("--out", type=Path, default=Path("results/selection_speed.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        print(json.dumps(measure(options.measure)))
    elif options.quick or options.store:
        quick(store=options.store)
    else:
        scaling = {name: measure_elsewhere(name) for name in strategies()}
        options.out.write_text(page(races(options.turns), scaling))


if __name__ == "__main__":
    main()
