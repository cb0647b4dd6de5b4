"""Ask and tell from a shell: it says which points to evaluate, you say what came out."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from adaptsample.cli import session as shell
from adaptsample.core.domain import parse_bounds
from adaptsample.errors import RunFailedError
from adaptsample.record import export

SESSION = """\
a whole session, with a run file called alloy.jsonl:
  %(prog)s create alloy.jsonl --bound copper=0:0.3 --bound heat=500:900
  %(prog)s ask alloy.jsonl -n 2
      {"x": [0.1047, 742.3], "names": ["copper", "heat"], "seed": 0}
      {"x": [0.2213, 530.8], "names": ["copper", "heat"], "seed": 0}
  echo '{"x": [0.1047, 742.3], "y": 31.5}' | %(prog)s tell alloy.jsonl
  echo '{"x": [0.2213, 530.8], "error": "the sample broke"}' | %(prog)s tell alloy.jsonl
  %(prog)s status alloy.jsonl
  %(prog)s ask alloy.jsonl -n 4          from here on, points are chosen by what was told
  %(prog)s export alloy.jsonl > alloy.csv

A point that was handed out stays pending until its result is told, however late, and is handed out
once only, whoever asks. Results of other points inside the bounds are welcome too. Write x as it
was printed: all digits belong to the point. y is a number, or a list of numbers if there are
several outputs; NaN says that there is none. What was told is on disk before the command says so.

exit status: 0 done, 1 failed, or some results were refused, 2 wrong use, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the matrices are small: more threads are slower
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ValueError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    except RunFailedError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was acknowledged is on file", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m adaptsample",
        description=__doc__,
        epilog=SESSION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        summary = (command.__doc__ or "").rstrip(".")
        added = commands.add_parser(
            name, help=summary[0].lower() + summary[1:], description=summary
        )
        added.add_argument("run", type=Path, metavar="RUN", help="the run file, e.g. alloy.jsonl")
        added.set_defaults(command=command)
        return added

    create = add("create", _create)
    create.add_argument(
        "--bound",
        action="append",
        required=True,
        metavar="NAME=LOW:HIGH",
        help="a variable and its range; repeat it for each variable, in order",
    )
    create.add_argument("--strategy", default="topk", help="who proposes points (default: topk)")
    create.add_argument("--surrogate", default="auto", help="what is fitted (default: auto)")
    create.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    create.add_argument(
        "--n-initial",
        type=int,
        help="space-filling points before the strategy chooses "
        "(default: 5 for each variable, at least 10)",
    )
    ask = add("ask", _ask)
    ask.add_argument("-n", type=int, default=1, help="how many points (default: 1)")
    tell = add("tell", _tell)
    tell.epilog = 'a line: {"x": [...], "y": ...} or {"x": [...], "error": "..."}'
    status = add("status", _status)
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.add_argument(
        "--pending", action="store_true", help="print the pending points, as ask printed them"
    )
    exported = add("export", _export)
    exported.add_argument("--format", choices=("csv", "jsonl", "parquet"), default="csv")
    exported.add_argument("--out", type=Path, help="a file (default: standard output)")
    return parser


def _create(options: argparse.Namespace) -> int:
    """Start a run."""
    shell.create(
        options.run,
        parse_bounds(options.bound),
        surrogate=options.surrogate,
        strategy=options.strategy,
        seed=options.seed,
        n_initial=options.n_initial,
    )
    print(f"{options.run} is ready; ask it for points", file=sys.stderr)
    return 0


def _ask(options: argparse.Namespace) -> int:
    """Print points to evaluate, one JSON line each."""
    with shell.opened(options.run, on_wait=_say) as sampler:
        for request in shell.ask(sampler, options.n):
            print(json.dumps(request), flush=True)
    return 0


def _tell(options: argparse.Namespace) -> int:
    """Read results from standard input, one JSON line each, and record them as they come."""
    shell.open_file(options.run)  # before anybody types results into nothing
    if sys.stdin.isatty():
        _say("type results, one a line, and end with Ctrl-D")
    counts: Counter[str] = Counter()
    first = 1
    for lines in shell.lines_as_they_come(sys.stdin.buffer):
        with shell.opened(options.run, on_wait=_say) as sampler:
            for told in shell.tell(sampler, lines, first=first):
                counts[told.outcome] += 1
                if told.message:
                    _say(f"line {told.line} {told.outcome}: {told.message}")
        first += len(lines)
    words = [f"{counts['recorded']} recorded"]
    words += [f"{counts[word]} {word}" for word in ("failed", "known", "refused") if counts[word]]
    n_pending = len(shell.open_file(options.run).pending)
    print(f"{', '.join(words)}; {n_pending} pending", file=sys.stderr)
    return 1 if counts["refused"] else 0


def _status(options: argparse.Namespace) -> int:
    """Say what was asked and told so far."""
    recorded = shell.open_file(options.run)
    domain, pending = recorded.spec["domain"], recorded.pending
    if options.pending:
        for request in shell.requests(pending, tuple(domain), recorded.spec["seed"]):
            print(json.dumps(request))
        return 0
    failed = sum(record["status"] != "ok" for record in recorded.evaluations)
    state = {
        "run_file": str(options.run),
        "variables": domain,
        **{key: recorded.spec[key]["name"] for key in ("strategy", "surrogate")},
        **recorded.spec.get("as_written", {}),
        "seed": recorded.spec["seed"],
        "evaluations": len(recorded.evaluations),
        "failed": failed,
        "pending": len(pending),
        "damaged_lines": list(recorded.damaged),
    }
    if options.json:
        print(json.dumps(state))
        return 0
    state["variables"] = ", ".join(f"{k} in [{a:g}, {b:g}]" for k, (a, b) in domain.items())
    for name, value in state.items():
        if value != []:
            print(f"{name.replace('_', ' '):<16}{value}")
    return 0


def _export(options: argparse.Namespace) -> int:
    """Write all evaluations as a table."""
    table = export.recorded_columns(shell.open_file(options.run))
    if options.format == "parquet":
        if options.out is None:
            raise ValueError("Parquet is no text; give --out FILE")
        export.write_parquet(table, options.out)
        return 0
    write = export.write_csv if options.format == "csv" else export.write_jsonl
    if options.out is None:
        write(table, sys.stdout)
        return 0
    try:
        with options.out.open("w", newline="", encoding="utf-8") as file:
            write(table, file)
    except OSError as error:
        raise ValueError(f"cannot write {options.out}: {error.strerror}") from None
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
