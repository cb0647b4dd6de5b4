"""Repeat the experiments from which this project grew, and show what the library makes of them.

Each runs at the settings of its source first, then with the best that the library has: a page with
tables and a picture, written to OUT/NAME.md and OUT/NAME.png, and a row of OUT/README.md.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import torch
from rich.console import Console
from rich.markdown import Markdown

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, too
from scripts.experiments._pages import Pages
from scripts.experiments._study import Effort, studies

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
    torch.set_num_threads(1)  # the matrices are small
    effort = Effort(is_quick=options.quick, workers=1 if options.quick else options.workers)
    default = Path("results") / ("experiments-quick" if options.quick else "experiments")
    pages = Pages(options.out or default)
    failed = []
    for number, name in enumerate(asked, start=1):
        print(f"{number}/{len(asked)} {name}: {known[name].title}", file=sys.stderr, flush=True)
        start = time.monotonic()
        try:
            page = pages.write(name, known[name], known[name].run(effort), effort=effort)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except Exception as error:
            if len(asked) == 1:
                raise
            failed.append(name)
            print(f"  failed: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        print(f"  {page} ({time.monotonic() - start:.0f} s)", file=sys.stderr)
        if len(asked) == 1:
            Console(width=None if sys.stdout.isatty() else 160).print(Markdown(page.read_text()))
    if failed:
        print(f"failed: {', '.join(failed)}; alone they show where", file=sys.stderr)
    return 1 if failed else 0


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
