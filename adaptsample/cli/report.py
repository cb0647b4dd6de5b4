"""Write one HTML page about all runs below some folders, to be opened without a network."""

import argparse
import sys
from pathlib import Path

from adaptsample.cli.command import Command

EXAMPLES = """\
examples:
  %(prog)s results
      all runs, into results/report.html
  %(prog)s results/peak results/franke --out peaks.html
      the runs of two oracles
  %(prog)s before after --out both.html
      the same runs made twice, side by side

The page has a table, curves of the error, the points that were asked, and the command that repeats
each run. It is one file: send it, or open it from disk.

Files that cannot be read are named on stderr and on the page.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a report."""
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="where run files are, at any depth"
    )
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="the page (default: report.html in FOLDER)"
    )


def work(options: argparse.Namespace) -> int:
    """Write the page."""
    from adaptsample.comparison.report.report import read_report

    out: Path = options.out or options.folders[0] / "report.html"
    report = read_report(options.folders)
    for problem in report.problems:
        print(problem, file=sys.stderr)
    page = report.to_html().encode()
    try:
        out.write_bytes(page)
    except OSError as error:
        raise ValueError(f"cannot write {out}: {error.strerror}") from None
    print(f"{out} ({len(page) / 1e6:.2f} MB, {len(report.data['runs'])} runs)")
    return 0


COMMAND = Command(about=__doc__, add_options=add_options, work=work, examples=EXAMPLES)
