"""Measure what fits of the automatic surrogate cost, and how wrong what they make is.

Single fits on functions of the package uqtestfuns, on jumps and on creases; what each member of the
portfolio takes in them; and a whole run on a circuit in ngspice, where that is installed. Each in a
fresh process. With --against DIR the library of another checkout is measured as well, turn and turn
about. With --suite it is single fits to all functions of uqtestfuns instead.

    python -m benchmarks.speed.auto --against ../before
    python -m benchmarks.speed.auto --suite --library ../before --out before.json
    python -m benchmarks.speed.auto --suite --out after.json --compare before.json

Seconds are CPU time of the process, all its threads; simulations are processes of their own and do
not count. What a first fit imports or compiles is in them. The page is written beside the JSON
file, again with each measurement: a run may be stopped, and --resume goes on.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.harness.jobs import Cell, Job, run_jobs
from benchmarks.harness.tables import page
from benchmarks.speed.auto_cases import QUICK, cases, suite, suite_size
from benchmarks.speed.auto_tables import (
    FIT,
    HERE,
    MEMBERS,
    RUN,
    THERE,
    cases_table,
    suite_table,
)

COMMAND: Final = "python -m benchmarks.speed.auto"
CHECKOUT: Final = Path(__file__).parents[2]
TITLE: Final = "Fits of the automatic surrogate: what they take, and how wrong they are"
SIMULATOR: Final = "ngspice"
BUDGET: Final = 80
QUICK_BUDGET: Final = 20

_PROGRAM: Final = """
import importlib, json, multiprocessing, os, sys
import adaptsample  # of the checkout, in which this begins; what measures it is ours
ours, module, name, arguments = sys.argv[1:]
os.chdir(ours)
measure = getattr(importlib.import_module(f"benchmarks.speed.{module}"), name)
print(json.dumps(measure(*json.loads(arguments))))
"""
_MEASURES: Final = {
    FIT: ("auto_cases", "measure_fit"),
    MEMBERS: ("auto_cases", "measure_members"),
    RUN: ("auto_netlist", "measure_run"),
}


def measure(job: Job, checkouts: Sequence[Path], work: Path) -> Cell:
    """Measure a job in a fresh process, on the library of its checkout.

    Args:
        job: a function, how many points, and as its method what is measured, and where.
        checkouts: here, and there.
        work: folder of the simulations.

    Raises:
        RuntimeError: that process failed.
    """
    what, _, side = job.method.partition(" ")
    arguments = json.dumps([str(work) if what == RUN else job.problem, job.n, job.seed])
    own = [str(CHECKOUT), *_MEASURES[what], arguments]
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-W", "ignore", "-c", _PROGRAM, *own],
        cwd=checkouts[side == THERE],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    cell: Cell = json.loads(done.stdout.strip().rpartition("\n")[2])
    return cell


def fits(what: str, sizes: Mapping[str, int], seeds: int, sides: Sequence[str]) -> list[Job]:
    """Return fits to functions with so many points: seed by seed, and side after side."""
    return [
        Job(name, f"{what} {side}", n, seed)
        for seed in range(seeds)
        for name, n in sizes.items()
        for side in sides
    ]


def jobs_of(options: argparse.Namespace, sides: Sequence[str]) -> list[Job]:
    """Return what the options ask for."""
    names = QUICK if options.quick else suite() if options.suite else ()
    sizes = {name: suite_size(name) for name in names} or cases()
    made = fits(FIT, sizes, options.seeds or (1 if options.quick else 3), sides)
    if not options.suite:
        made += fits(MEMBERS, sizes, 1, sides)
        budget = QUICK_BUDGET if options.quick else BUDGET
        if shutil.which(SIMULATOR) is not None:
            made += [Job("clipper", f"{RUN} {side}", budget, 0) for side in sides]
        else:
            print(f"the run on a circuit is left out: there is no {SIMULATOR}", file=sys.stderr)
    return [job for job in made if all(text in str(job) for text in options.only)]


def command(options: argparse.Namespace) -> str:
    """Return the command that makes the whole page, however many calls it took."""
    given = {
        "--suite": options.suite,
        "--quick": options.quick,
        "--library DIR": options.library != CHECKOUT,
        "--against DIR": options.against,
        "--compare JSON": options.compare,
        f"--seeds {options.seeds}": options.seeds,
    }
    return " ".join([COMMAND, *(text for text, holds in given.items() if holds)])


def main(arguments: Iterable[str] | None = None) -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--library", type=Path, default=CHECKOUT, metavar="DIR", help="checkout that is measured")
    add("--against", type=Path, metavar="DIR", help="another checkout")
    add("--suite", action="store_true", help="single fits to all functions of uqtestfuns")
    add("--compare", type=Path, metavar="JSON", help="what --suite wrote of an earlier library")
    add("--seeds", type=int, help="how many (default: 3)")
    add("--jobs", type=int, default=1, help="processes side by side")
    add("--only", action="append", default=[], help="text that measurements must contain")
    add("--resume", action="store_true", help="keep the measurements that are there")
    add("--quick", action="store_true", help="small sizes, to see that it works")
    add("--work", type=Path, metavar="DIR", help="keeps simulations for another time")
    add("--out", type=Path, metavar="JSON", help="default: results/auto_speed[_suite].json")
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.compare and not options.suite:
        parser.error("--compare is for --suite")
    checkouts = [path.resolve() for path in (options.library, options.against) if path]
    table = cases_table
    if options.suite:
        before = json.loads(options.compare.read_text()) if options.compare else []
        table = partial(suite_table, before=before)
    text = ""
    with tempfile.TemporaryDirectory() as scratch:
        file = f"auto_speed{'_suite' * options.suite}.json"
        out: Path = options.out or Path(scratch if options.quick else "results", file)
        work = (options.work or Path(scratch)).resolve()
        for cells in run_jobs(
            jobs_of(options, (HERE, THERE)[: len(checkouts)]),
            partial(measure, checkouts=checkouts, work=work),
            out,
            workers=options.jobs,
            resume=options.resume,
        ):
            text = page(TITLE, table, cells, command(options))
            out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
