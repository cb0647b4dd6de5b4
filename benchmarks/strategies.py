"""Compare all strategies on the same problems, surrogates, seeds and first points.

Every strategy begins with the same initial design, which is charged, and the same first model.
Cells are kept beside the page as JSON; an interrupted comparison goes on with --resume.

    python benchmarks/strategies.py comparison --workers 2
    python benchmarks/strategies.py comparison --only mlp --only peak --resume
"""

import argparse
import shlex
import sys
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, too
from adaptsample.registry import strategies
from benchmarks._jobs import Cell, Job, run_jobs
from benchmarks._runs import measure_run

SMOOTH: Final = ("runge", "franke", "ishigami", "otl_circuit", "borehole", "wing_weight")
CREASED: Final = (
    "narrow_peak",
    "tanh_step",
    "peak",
    "closed_kink",
    "exp_ridge",
    "ridge_3d",
    "disc_jump",
)
POOLS: Final = ("friedman_pool",)
NOT_AUTO: Final = ("exp_ridge", "borehole")  # more of the same, for what they take


def comparison_jobs(surrogates: Iterable[str], seeds: int) -> list[Job]:
    """Return every combination, the first seed of everything first, strategies side by side."""
    known = list(strategies())
    combined = product(range(seeds), surrogates, (*CREASED, *SMOOTH, *POOLS), known)
    return [
        Job(p, f"{m} {s}", 0, seed)
        for seed, m, p, s in combined
        if m != "auto" or p not in NOT_AUTO
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("section", choices=["comparison"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--surrogate", action="append")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("results/strategies"))
    options = parser.parse_args()
    jobs = comparison_jobs(options.surrogate or ["mlp", "auto"], options.seeds)
    jobs = [job for job in jobs if all(text in str(job) for text in options.only)]
    store = options.out / f"{options.section}.json"
    for _ in run_jobs(jobs, measure_run, store, workers=options.workers, resume=options.resume):
        pass


if __name__ == "__main__":
    main()
