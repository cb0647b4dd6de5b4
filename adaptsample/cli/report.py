"""Write one HTML page about all runs below some folders, to be opened without a network."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from adaptsample.comparison.report.report import read_report

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

exit status: 0 done (files that cannot be read are named on stderr and on the page), 2 wrong use
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="report.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="where run files are, at any depth"
    )
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="the page (default: report.html in FOLDER)"
    )
    options = parser.parse_args(arguments)
    out: Path = options.out or options.folders[0] / "report.html"
    try:
        report = read_report(options.folders)
        for problem in report.problems:
            print(problem, file=sys.stderr)
        page = report.to_html().encode()
        out.write_bytes(page)
    except ValueError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    except OSError as error:
        parser.exit(2, f"{parser.prog}: error: cannot write {out}: {error.strerror}\n")
    print(f"{out} ({len(page) / 1e6:.2f} MB, {len(report.data['runs'])} runs)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
