"""A whole run on a simulator of circuits, as the command line makes it by default."""

import sys
import time
from pathlib import Path
from typing import Final

import torch

from adaptsample import Box, Sampler
from adaptsample.core import derive_generator
from adaptsample.oracles import CommandOracle
from benchmarks.speed import clipper
from benchmarks.speed.auto_cases import Cell, errors, library, members, winners

N_FRESH: Final = 300


def measure_run(folder: str, budget: int, seed: int, n_fresh: int = N_FRESH) -> Cell:
    """Spend the budget; return seconds of this process, and errors at fresh random points.

    Simulations are processes of their own, whose time does not count; they are kept in the folder.
    One more fit at the points of the run tells what each member of the portfolio takes.
    """
    torch.set_num_threads(1)
    oracle = CommandOracle(
        [sys.executable, clipper.__file__, folder, *(f"{{{name}}}" for name in clipper.BOUNDS)],
        Box(clipper.BOUNDS),
        n_outputs=len(clipper.OUTPUTS),
    )
    Path(folder).mkdir(parents=True, exist_ok=True)
    fresh = oracle.domain.uniform(n_fresh, generator=derive_generator(0, "fresh"))
    exact = oracle(fresh)
    wall, cpu = time.perf_counter(), time.process_time()
    run = Sampler(oracle, strategy="topk", seed=seed).run(budget)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    nrmse, mae = errors(run.model.predict(fresh), exact)
    return {
        "dimension": oracle.domain.dimension,
        "cpu": cpu,
        "wall": wall,
        "wall_of_fits": run.seconds["fit"],
        **{f"nrmse_{name}": value for name, value in zip(clipper.OUTPUTS, nrmse, strict=True)},
        **{f"mae_{name}": value for name, value in zip(clipper.OUTPUTS, mae, strict=True)},
        "won": winners(run.model),
        "last_fit": members(run.data, seed),
        "library": library(),
    }
