"""Measure what it takes to start: CPU seconds, and the modules that are imported for it.

Fresh interpreters do one thing each: import the library, show the command's help, list what there
is, and serve as the worker of an oracle that is a command. With --against DIR the same is measured
in another checkout, turn and turn about. One turn is not measured, medians of the others are shown.

    python -m benchmarks.speed.startup
    python -m benchmarks.speed.startup --against ../before

Times are of whole processes; the interpreter's own start has a row of its own. A busy machine makes
all of them longer, so trust the ratios more than the times.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias, final

from benchmarks.harness.tables import machine, markdown

HERE: Final = Path(__file__).parents[2]
WATCHED: Final = (
    *("torch", "scipy", "sympy", "matplotlib", "pandas", "rich"),
    *("adaptsample.surrogates", "adaptsample.strategies", "strategies"),
)
"""Packages that take time, or that not everybody needs."""

_REPORT: Final = """
def report():
    import sys, time
    return time.process_time(), list(sys.modules)
"""
_COMMAND: Final = """
import contextlib, os, runpy, sys
sys.argv = ["adaptsample", "ARGUMENT"]
try:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        runpy.run_module("adaptsample", run_name="__main__")
except SystemExit as end:
    if end.code:
        raise
found = report()
"""
_WORKER: Final = """
from adaptsample import Box, Sampler
from adaptsample.oracles import CommandOracle
try:
    from adaptsample.evaluation.workers import Processes
except ImportError:  # where a checkout had it before
    from adaptsample.workers import Processes
oracle = CommandOracle("echo {x}", Box({"x": (0, 1)}))
settings = {"surrogate": "polynomial", "strategy": "random", "n_initial": 4}
with Processes(1) as executor:
    Sampler(oracle, executor=executor, **settings).run(4)
    found = executor.submit(report).result()
"""
TASKS: Final[Mapping[str, str]] = {
    "Python itself": "found = report()",
    "`import adaptsample`": "import adaptsample; found = report()",
    "`adaptsample --help`": _COMMAND.replace("ARGUMENT", "--help"),
    "`adaptsample list`": _COMMAND.replace("ARGUMENT", "list"),
    "a worker for a CommandOracle": _WORKER,
}
"""Programs that leave what `report` returns in `found`."""


@final
@dataclass(frozen=True)
class Start:
    """The CPU time that one process took, and the names of all modules that it imported."""

    seconds: float
    modules: frozenset[str]

    @property
    def watched(self) -> str:
        """Those of `WATCHED` that were imported."""
        return ", ".join(name for name in WATCHED if name in self.modules) or "-"


Found: TypeAlias = Mapping[str, Sequence[Start]]
"""Several starts of each task; none of what a checkout cannot do."""


def start(program: str, checkout: Path) -> Start | None:
    """Run a program in a fresh interpreter within a checkout; return None if it fails there."""
    text = f"{_REPORT}{program}\nimport json; print(json.dumps(found))"
    done = subprocess.run(  # noqa: S603  # our own programs
        [sys.executable, "-c", text], cwd=checkout, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return None
    seconds, modules = json.loads(done.stdout)
    return Start(seconds, frozenset(modules))


def measure(checkouts: Sequence[Path], turns: int) -> Sequence[Found]:
    """Start everything in each checkout, turn and turn about, after one turn that counts not."""
    found: list[dict[str, list[Start]]] = [{task: [] for task in TASKS} for _ in checkouts]
    for task, program in TASKS.items():
        print(f"starting {task} ...", file=sys.stderr)
        for turn in range(1 + turns):
            for starts, checkout in zip(found, checkouts, strict=True):
                made = start(program, checkout)
                starts[task] += [made] if made is not None and turn > 0 else []
    return found


def table(*checkouts: Found) -> str:
    """Return medians in Markdown, checkouts side by side, and the others' times by the first's."""
    marks = [""] if len(checkouts) == 1 else [" here", " there"]
    heading = [f"{what}{mark}" for mark in marks for what in ("CPU s", "modules", "among them")]
    rows = []
    for task in TASKS:
        starts = [found[task] for found in checkouts]
        times = [median([one.seconds for one in some]) if some else nan for some in starts]
        row = [task]
        for some, seconds in zip(starts, times, strict=True):
            told = [f"{seconds:.2f}", str(len(some[0].modules)), some[0].watched] if some else []
            row += told or ["-"] * 3
        ratios = [f"{other / times[0]:.1f}" for other in times[1:]]
        rows.append([*row, *("-" if ratio == "nan" else ratio for ratio in ratios)])
    return markdown(["", *heading, *["there / here"] * (len(checkouts) - 1)], rows)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.startup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout")
    parser.add_argument("--turns", type=int, default=5, help="how often each is started")
    options = parser.parse_args()
    checkouts = [HERE, *([options.against.resolve()] if options.against else [])]
    print(f"{table(*measure(checkouts, options.turns))}\n- {machine()}")


if __name__ == "__main__":
    main()
