"""Break runs in every way that happens, and count what was lost, paid twice or left running.

    python -m benchmarks.reliability              everything, about half an hour
    python -m benchmarks.reliability --quick      a tenth of it
    python -m benchmarks.reliability kills disk   some experiments

Each experiment replaces its line in results/reliability.md. The oracle keeps a log of its own, line
by line on disk before it goes on, which is compared with the run file. An experiment that does not
come out as promised ends with an error.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.reliability.calls import answers, exceptions, hangs, poison
from benchmarks.reliability.executors import executors
from benchmarks.reliability.load import scaling, soak
from benchmarks.reliability.processes import dask, kills, orphans, workers
from benchmarks.reliability.records import (
    coordinators,
    disk,
    flips,
    power,
    readers,
    rounds,
    torn,
)

TABLE = Path(__file__).parents[2] / "results" / "reliability.md"
HEAD = """# Reliability

`python -m benchmarks.reliability` made this table, an experiment a line. The oracle keeps a log of
its own, which is compared with the run file.

| experiment | what was done | what came of it |
|---|---|---|
"""

EXPERIMENTS: dict[str, Callable[[Path, bool], tuple[str, str]]] = {
    experiment.__name__: experiment
    for experiment in (
        *(
            kills,
            orphans,
            torn,
            flips,
            power,
            rounds,
            disk,
            coordinators,
            readers,
            answers,
            exceptions,
        ),
        *(hangs, workers, poison, dask, executors, soak, scaling),
    )
}


def main() -> None:
    """Run the experiments and write their lines."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("experiments", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--quick", action="store_true", help="a tenth of it, into no table")
    options = parser.parse_args()
    if unknown := {*options.experiments} - {*EXPERIMENTS}:
        parser.error(f"no experiments are called {', '.join(unknown)}")
    torch.set_num_threads(1)
    for name in options.experiments or EXPERIMENTS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            what, came = EXPERIMENTS[name](Path(folder) / name, options.quick)
        row = f"| {name} | {what} | {came} |"
        print(f"{row}  ({time.monotonic() - start:.0f} s)", flush=True)
        if not options.quick:
            _write(name, row)


def _write(name: str, row: str) -> None:
    rows = TABLE.read_text().splitlines()[7:] if TABLE.exists() else []
    known = {line.split("|")[1].strip(): line for line in rows} | {name: row}
    TABLE.write_text(HEAD + "".join(f"{known[n]}\n" for n in EXPERIMENTS if n in known))


if __name__ == "__main__":
    main()
