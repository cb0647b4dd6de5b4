"""Repeat the experiments from which this project grew, and show what the library makes of them.

Each runs at the settings of its source first, then with the best that the library has: a page with
tables and a picture, written to OUT/NAME.md and OUT/NAME.png, and a row of OUT/README.md.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.markdown import Markdown

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, too
from adaptsample.evaluation.executors import open_executor
from scripts.studies import Effort, Finding, Pages, studies

EXAMPLES = """\
examples:
  %(prog)s --list
      what there is, a line each
  %(prog)s runge
      one experiment: some seconds to some minutes
  %(prog)s all --workers 4
      all of them, about an hour of computing
  %(prog)s all --quick --out /tmp/experiments
      only to see that they run: their numbers mean nothing

exit status: 0 done, 1 an experiment failed, 2 wrong use, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    known = studies()
    if options.list:
        width = max(map(len, known))
        print("\n".join(f"{name:{width}}  {study.title}" for name, study in known.items()))
        return 0
    asked = dict.fromkeys(known if "all" in options.names else options.names)
    if not asked:
        parser.error("name an experiment, or all; --list shows them")
    for name in asked:
        if name not in known:
            near = get_close_matches(name, known)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            parser.error(f"there is no experiment {name!r}{hint} (--list shows all)")
    if options.workers < 1:
        parser.error(f"--workers must be at least 1, got {options.workers}")
    os.environ["OMP_NUM_THREADS"] = "1"  # the matrices are small; for the processes to come
    torch.set_num_threads(1)
    default = Path("results") / ("experiments-quick" if options.quick else "experiments")
    try:
        return _run(list(asked), options, Pages(options.out or default))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(names: Sequence[str], options: argparse.Namespace, pages: Pages) -> int:
    """Make the experiments, and write their pages as they come; return the exit status.

    Several run side by side; one alone has all workers for its seeds.
    """
    is_alone, failed = len(names) == 1, []
    effort = Effort(is_quick=options.quick, workers=options.workers if is_alone else 1)
    with open_executor("processes", 1 if is_alone else options.workers) as executor:
        for number, (name, finding) in enumerate(_findings(names, effort, executor), start=1):
            told = f"{number}/{len(names)} {name}"
            if isinstance(finding, Exception):
                if is_alone:
                    raise finding
                failed.append(name)
                print(f"{told} failed: {type(finding).__name__}: {finding}", file=sys.stderr)
                continue
            page = pages.write(name, studies()[name], finding, effort=effort)
            print(f"{told}: {page}", file=sys.stderr, flush=True)
            if is_alone:
                Console(width=None if sys.stdout.isatty() else 160).print(
                    Markdown(page.read_text())
                )
    if failed:
        print(f"failed: {', '.join(failed)}; each alone shows where", file=sys.stderr)
    return 1 if failed else 0


def _findings(
    names: Sequence[str], effort: Effort, executor: Executor | None
) -> Iterator[tuple[str, Finding | Exception]]:
    """Yield what each experiment finds, or how it failed, as they come."""
    if executor is None:
        for name in names:
            yield name, _attempt(partial(_find, name, effort))
    else:
        futures = {executor.submit(_find, name, effort): name for name in names}
        for future in as_completed(futures):
            yield futures[future], _attempt(future.result)


def _find(name: str, effort: Effort) -> Finding:
    return studies()[name].run(effort)


def _attempt(call: Callable[[], Finding]) -> Finding | Exception:
    try:
        return call()
    except Exception as error:  # the others go on
        return error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reproduce.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="experiments, or all")
    add("--list", action="store_true", help="name all experiments and stop")
    add("--quick", action="store_true", help="small sizes, to see that it works")
    add("--workers", type=int, default=os.cpu_count(), help="processes side by side")
    add(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="of pages and pictures (default: results/experiments, with --quick "
        "results/experiments-quick)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
