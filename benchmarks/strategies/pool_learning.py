"""Buy rows of tables: our strategies beside bmdal_reg's, with the same network and features.

All begin with the same rows and the same network and buy three batches. As in the benchmark of
bmdal_reg (Holzmüller et al., JMLR 24, 2023) what counts is the mean over all batches of the log of
the root mean square error on held-out rows, relative to that of rows bought at random. bmdal_reg is
given the very matrices of features that our strategies get. Cells are kept beside the page as JSON;
what was interrupted goes on with --resume.

    python -m benchmarks.strategies.pool_learning
    python -m benchmarks.strategies.pool_learning --only lcmd --resume
    python -m benchmarks.strategies.pool_learning --quick
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, nan
from statistics import mean, stdev
from typing import Any, Final, final

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from adaptsample import Dataset, State, Strategy
from adaptsample.acquisition import FeatureStrategy, Rows
from adaptsample.core import derive_generator
from adaptsample.registry import make_strategy
from adaptsample.surrogates.committee import Committee
from adaptsample.surrogates.mlp import MLP
from adaptsample.surrogates.protocol import SupportsStd
from adaptsample.training import GradientDescent
from benchmarks.harness.command import Benchmark
from benchmarks.harness.jobs import Cell, Job
from benchmarks.harness.tables import groups, machine, markdown, whole
from benchmarks.strategies import bmdal
from benchmarks.strategies.pools import N_ROWS, TABLES, Pool, pool

OURS: Final = (
    "lcmd",
    "max_det",
    "core_set",
    "k_means_plus_plus",
    "bait",
    "integrated_variance",
    "max_std",
)
THEIRS: Final = "bmdal_reg "
"""What the names of its methods begin with."""
METHODS: Final = (
    "random",
    *OURS,
    *(THEIRS + name for name in ("lcmd", "max_det", "core_set", "k_means_plus_plus", "bait")),
)
N_BATCHES: Final = 3
LARGEST_BATCH: Final = 30
NETWORK: Final = MLP(
    hidden=(64, 64),
    activation="silu",
    training=GradientDescent(steps=300, weight_decay=0.03),
    warm_start=False,
)
"""A network that does not follow the noise of some tens of rows, as exact fits would."""
N_MEMBERS: Final = 3
QUICK_ROWS: Final = 90


@final
@dataclass(frozen=True)
class Selected(FeatureStrategy[Any]):
    """The rows that bmdal_reg selects by the features that our strategies get.

    Args:
        method: a name in `benchmarks.strategies.bmdal.CLASSES`.
        noise: standard deviation of the noise, for those that know of any: that of ours.
    """

    method: str = "lcmd"
    noise: float = 1e-3

    def choose_rows(self, rows: Rows, n: int, *, generator: Generator) -> Int64[Tensor, " n"]:
        """Return the rows in the order in which they are chosen."""
        seed = int(torch.randint(2**31, (1,), generator=generator))
        chosen = bmdal.select(
            self.method, rows.new, rows.known, n, alone=False, noise=self.noise, seed=seed
        )
        return torch.tensor(chosen)


def jobs(seeds: int, *, quick: bool) -> list[Job]:
    """Return every combination, the first seed of everything first, methods side by side."""
    tables = ["friedman_1"] if quick else list(TABLES)
    methods = ("random", "lcmd", f"{THEIRS}lcmd") if quick else METHODS
    return [Job(t, m, 0, seed) for seed in range(seeds) for t in tables for m in methods]


def strategy_of(method: str) -> Strategy[Any]:
    """Return the strategy that a job names."""
    if method.startswith(THEIRS):
        return Selected(method=method.removeprefix(THEIRS))
    return make_strategy(method)


def measure(job: Job) -> Cell:
    """Buy rows of a table."""
    return _measure(job, N_ROWS)


def measure_quickly(job: Job) -> Cell:
    """Buy rows of a small table."""
    return _measure(job, QUICK_ROWS)


def _measure(job: Job, n_rows: int) -> Cell:
    table = pool(job.problem, job.seed, n_rows)
    strategy = strategy_of(job.method)
    size = min(LARGEST_BATCH, len(table.rows) // 10)
    row_of = {tuple(x): i for i, x in enumerate(table.rows.x.tolist())}
    known = list(range(size))  # rows are in random order
    model: Any = _first_model(job.problem, job.seed, n_rows)
    curve, seconds = [_point(table, model, size)], 0.0
    for batch in range(1, N_BATCHES + 1):
        left = sorted(set(range(len(table.rows))).difference(known))
        data = _rows(table, known)
        start = time.process_time()
        state: State[Any] = State(
            table.domain,
            data,
            _unsure(data, job.seed, batch) if strategy.requires is SupportsStd else model,
            None,
            data.x[:0],
            round=batch,
            seed=job.seed,
            pool=table.rows.x[left],
        )
        generator = derive_generator(job.seed, "propose", batch)
        proposal = strategy.plan(state, size, generator=generator)
        seconds += time.process_time() - start
        bought = [row_of[tuple(x)] for x in proposal.add.tolist()]
        assert len(set(bought)) == size, f"{job.method} chose {len(set(bought))} of {size} rows"
        assert not set(bought).intersection(known), f"{job.method} chose rows again"
        known += bought
        model = NETWORK.fit(_rows(table, known), generator=derive_generator(job.seed, "fit", batch))
        curve.append(_point(table, model, len(known)))
    return {"curve": curve, "log_rmse": mean(log(error) for _, error in curve[1:]), "cpu": seconds}


@lru_cache(maxsize=2)
def _first_model(name: str, seed: int, n_rows: int) -> Any:
    table = pool(name, seed, n_rows)
    size = min(LARGEST_BATCH, len(table.rows) // 10)
    return NETWORK.fit(_rows(table, range(size)), generator=derive_generator(seed, "fit", 0))


def _unsure(data: Dataset, seed: int, batch: int) -> Any:
    """Return several of the network, for those who ask how sure it is: alone it does not know."""
    return Committee(NETWORK, N_MEMBERS).fit(
        data, generator=derive_generator(seed, "committee", batch)
    )


def _rows(table: Pool, known: Sequence[int]) -> Dataset:
    return Dataset(table.rows.x[list(known)], table.rows.y[list(known)])


def _point(table: Pool, model: Any, n: int) -> tuple[int, float]:
    """Return the error on held-out rows, in units of their spread."""
    held_out = table.held_out
    error = (model.predict(held_out.x) - held_out.y).square().mean().sqrt()
    return n, float(error / held_out.y.std())


def page(cells: Sequence[Cell], command: str) -> str:
    """Return Markdown."""
    good = whole([cell for cell in cells if "failure" not in cell], "problem", "seed")
    tables = [name for name in TABLES if any(c["problem"] == name for c in good)]
    methods = list(dict.fromkeys(cell["method"] for cell in good))
    found = {method: _differences(good, method) for method in methods}
    ranked = sorted(methods, key=lambda m: _overall(found[m], tables))
    rows = [
        [
            method,
            f"{_overall(found[method], tables):+.3f}",
            f"{_error(found[method], tables):.3f}",
            f"{exp(_overall(found[method], tables)):.3f}",
            *(_told(found[method].get(table, {})) for table in tables),
        ]
        for method in ranked
    ]
    counts = {len({c["seed"] for c in good if c["problem"] == table}) for table in tables}
    seeds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts)}"
    base = [[t, *_sizes(good, t), f"{exp(_level(good, t)):.3f}"] for t in tables]
    failed = groups((c for c in cells if "failure" in c), "method", "failure")
    lines = [f"- `{m}` failed {len(some)} times: {why}\n" for (m, why), some in failed.items()]
    return "\n".join(
        [
            "# Buying rows of tables\n",
            f"```sh\n{command}\n```\n",
            "Mean log RMSE on held-out rows over three batches, minus that of rows bought at "
            f"random with the same seed, means over {seeds} seeds; below 0 is better than random. "
            "The second column is the standard error of the first, from the spread over seeds, the "
            "third the error by random's. All get the same first rows, network (two layers of 64 "
            "units, Adam with weight decay, trained afresh for each batch) and features (its "
            "derivatives by the parameters, sketched to 512). `max_std` asks a committee of three "
            "such networks, which chooses but does not predict.\n",
            markdown(["", "mean", "standard error", "RMSE / random's", *tables], rows),
            _ahead(ranked),
            _beside(found, tables),
            "## The tables\n",
            markdown(
                ["", "rows bought first", "a batch", "rows bought in all", "random's NRMSE"], base
            ),
            "A third of the rows is held out, another one for each seed. Friedman's functions have "
            "1,500 rows, and noise of 1, 125 and 0.1; the others come with scikit-learn, where "
            "`wine` is alcohol from twelve measurements, and `breast_cancer` the mean fractal "
            "dimension from nine.\n",
            "".join(lines),
            f"{machine('bmdal_reg', 'scikit-learn', cells=cells)}\n",
        ]
    )


def _ahead(ranked: Sequence[str]) -> str:
    """Say who is ahead of whom."""
    theirs = [method for method in ranked if method.startswith(THEIRS)]
    ours = [method for method in ranked if method not in theirs and method != "random"]
    if not ours or not theirs:
        return ""
    first = min(ours[0], theirs[0], key=ranked.index)
    return (
        f"The best of ours is `{ours[0]}`, that of bmdal_reg `{theirs[0].removeprefix(THEIRS)}`; "
        f"`{first}` is ahead. The standard errors say how much that is worth.\n"
    )


def _differences(cells: Sequence[Cell], method: str) -> dict[str, dict[int, float]]:
    """Return log errors minus random's, by table and seed."""
    base = {(c["problem"], c["seed"]): c["log_rmse"] for c in cells if c["method"] == "random"}
    found: dict[str, dict[int, float]] = {}
    for cell in cells:
        key = (cell["problem"], cell["seed"])
        if cell["method"] == method and key in base:
            found.setdefault(cell["problem"], {})[cell["seed"]] = cell["log_rmse"] - base[key]
    return found


def _overall(found: dict[str, dict[int, float]], tables: Sequence[str]) -> float:
    """Return the mean over seeds, then over tables."""
    means = [mean(found[table].values()) for table in tables if found.get(table)]
    return mean(means) if means else nan


def _error(found: dict[str, dict[int, float]], tables: Sequence[str]) -> float:
    """Return the standard error of the mean over tables."""
    parts = [
        stdev(found[t].values()) ** 2 / len(found[t]) for t in tables if len(found.get(t, {})) > 1
    ]
    return sum(parts) ** 0.5 / len(parts) if parts else nan


def _told(differences: dict[int, float]) -> str:
    return f"{mean(differences.values()):+.3f}" if differences else "-"


def _beside(found: dict[str, dict[str, dict[int, float]]], tables: Sequence[str]) -> str:
    """Hold each of our strategies against the one of bmdal_reg that has its name."""
    rows = []
    for name in OURS:
        theirs = found.get(THEIRS + name)
        if theirs and name in found:
            pairs = {
                table: {
                    seed: ours - theirs[table][seed]
                    for seed, ours in found[name].get(table, {}).items()
                    if seed in theirs.get(table, {})
                }
                for table in tables
            }
            mine = [f"{_overall(pairs, tables):+.3f}", f"{_error(pairs, tables):.3f}"]
            rows.append([name, *mine, *(_told(pairs.get(table, {})) for table in tables)])
    if not rows:
        return ""
    heading = ["ours minus bmdal_reg's", "mean", "standard error", *tables]
    return f"## The same method of both\n\n{markdown(heading, rows)}"


def _sizes(cells: Sequence[Cell], table: str) -> list[str]:
    sizes = [n for n, _ in next(c for c in cells if c["problem"] == table)["curve"]]
    return [str(sizes[0]), str(sizes[1] - sizes[0]), str(sizes[-1])]


def _level(cells: Sequence[Cell], table: str) -> float:
    some = [c["log_rmse"] for c in cells if (c["problem"], c["method"]) == (table, "random")]
    return mean(some) if some else nan


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command."""
    Benchmark(
        "benchmarks.strategies.pool_learning",
        __doc__,
        lambda seeds, quick: jobs(seeds, quick=quick),
        (measure, measure_quickly),
        lambda cells, command, _: page(cells, command),
        seeds=(10, 2),
    ).main(arguments)


if __name__ == "__main__":
    main()
