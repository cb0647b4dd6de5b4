"""Repeat the studies from which this project grew, and show what the library makes of them.

Each runs at the settings of its source first, then with the best that the library has: a page with
tables and a picture, written to OUT/NAME.md and OUT/NAME.png, and a row of OUT/README.md. They lie
in scripts/studies of the repository: run this in a clone.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from traceback import print_exception
from typing import Any

from adaptsample.cli.command import Command
from adaptsample.core.text import near

EXAMPLES = """\
examples:
  %(prog)s --list
      what there is, a line each
  %(prog)s runge
      one study: some seconds to some minutes
  %(prog)s all --workers 4
      all of them, about an hour of computing
  %(prog)s all --quick --out /tmp/experiments
      only to see that they run: their numbers mean nothing
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="studies, or all")
    add("--list", action="store_true", help="name all studies and stop")
    add("--quick", action="store_true", help="small sizes, to see that it works")
    add("--workers", type=int, default=os.cpu_count(), help="processes side by side")
    add(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="of pages and pictures (default: results/experiments, with --quick "
        "results/experiments-quick)",
    )


def work(options: argparse.Namespace) -> int:
    """Make what is named, or list what there is."""
    package = find_studies()
    known = package.studies()
    if options.list:
        width = max(map(len, known))
        print("\n".join(f"{name:{width}}  {study.title}" for name, study in known.items()))
        return 0
    asked = list(dict.fromkeys(known if "all" in options.names else options.names))
    if not asked:
        raise ValueError("name a study, or all; --list shows them")
    for name in asked:
        if name not in known:
            raise ValueError(f"there is no study {name!r}; {near(name, known)} (--list shows all)")
    if options.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {options.workers}")
    os.environ["OMP_NUM_THREADS"] = "1"  # the matrices are small; for the processes to come
    return _make(asked, options, package)


def find_studies() -> Any:
    """Return the package of the studies: of the clone that this lies in, or of the folder here.

    Raises:
        ValueError: neither has them.
    """
    for root in (Path(__file__).parents[2], Path.cwd()):
        if (root / "scripts" / "studies" / "common" / "study.py").is_file():
            if str(root) not in sys.path:
                sys.path.insert(0, str(root))  # other processes find their functions by name
            return import_module("scripts.studies")
    raise ValueError(
        "the studies are not installed with the package: run this in a clone of its repository, "
        "where they lie in scripts/studies"
    )


def _make(names: Sequence[str], options: argparse.Namespace, package: Any) -> int:
    """Make the studies, and write their pages as they come; return the exit status.

    Several run side by side; one alone has all workers for its seeds.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from adaptsample.evaluation.executors import open_executor

    default = Path("results") / ("experiments-quick" if options.quick else "experiments")
    is_alone, known, failed = len(names) == 1, package.studies(), []
    pages = package.Pages(options.out or default)
    effort = package.Effort(is_quick=options.quick, workers=options.workers if is_alone else 1)
    with open_executor("processes", 1 if is_alone else options.workers) as executor:
        findings = package.perform(names, effort, executor=executor)
        for number, (name, finding) in enumerate(findings, start=1):
            told = f"{number}/{len(names)} {name}"
            if isinstance(finding, Exception):
                failed.append(name)
                print(f"{told} failed: {type(finding).__name__}: {finding}", file=sys.stderr)
                if is_alone:
                    print_exception(finding)
                continue
            page = pages.write(name, known[name], finding, effort=effort)
            print(f"{told}: {page}", file=sys.stderr, flush=True)
            if is_alone:
                Console(width=None if sys.stdout.isatty() else 160).print(
                    Markdown(page.read_text())
                )
    if failed and not is_alone:
        print(f"failed: {', '.join(failed)}; each alone shows where", file=sys.stderr)
    return 1 if failed else 0


COMMAND = Command(about=__doc__, add_options=add_options, work=work, examples=EXAMPLES)
