"""Ask and tell from a shell: it says which points to evaluate, you say what came out."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from adaptsample.cli.command import Command
from adaptsample.cli.oracle_options import add_bound
from adaptsample.cli.settings import add_recipes, add_settings, given_settings
from adaptsample.loop.specification import DEFAULTS

SESSION = """\
a whole session, with a run file called alloy.jsonl:
  adaptsample create alloy.jsonl --bound copper=0:0.3 --bound heat=500:900
  adaptsample ask alloy.jsonl -n 2
      {"x": [0.1047, 742.3], "names": ["copper", "heat"], "seed": 0}
      {"x": [0.2213, 530.8], "names": ["copper", "heat"], "seed": 0}
  echo '{"x": [0.1047, 742.3], "y": 31.5}' | adaptsample tell alloy.jsonl
  echo '{"x": [0.2213, 530.8], "error": "the sample broke"}' | adaptsample tell alloy.jsonl
  adaptsample status alloy.jsonl
  adaptsample ask alloy.jsonl -n 4          from here on, points are chosen by what was told
  adaptsample export alloy.jsonl > alloy.csv

A point that was handed out stays pending until its result is told, however late, and is handed out
once only, whoever asks. Results of other points inside the bounds are welcome too. Write x as it
was printed: all digits belong to the point. y is a number, or a list of numbers if there are
several outputs; NaN says that there is none. What was told is on disk before the command says so.
"""

LINES = """\
a line is {"x": [...], "y": ...} or {"x": [...], "error": "..."}; status 1 if some were refused
adaptsample create --help shows a whole session
"""


def _run_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="the run file, e.g. alloy.jsonl")


def _create_options(parser: argparse.ArgumentParser) -> None:
    _run_file(parser)
    add_bound(parser, required=True)
    add_recipes(parser)
    add_settings(parser, "seed", "n_initial", "design")


def _ask_options(parser: argparse.ArgumentParser) -> None:
    _run_file(parser)
    parser.add_argument("-n", type=int, default=1, help="how many points (default: 1)")


def _status_options(parser: argparse.ArgumentParser) -> None:
    _run_file(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--pending", action="store_true", help="print the pending points, as ask printed them"
    )


def _export_options(parser: argparse.ArgumentParser) -> None:
    _run_file(parser)
    parser.add_argument("--format", choices=("csv", "jsonl", "parquet"), default="csv")
    parser.add_argument("--out", type=Path, help="a file (default: standard output)")


def _create(options: argparse.Namespace) -> int:
    """Start a run."""
    from adaptsample.cli import session
    from adaptsample.core.domain import parse_bounds

    session.create(
        options.run,
        parse_bounds(options.bound),
        surrogate=options.surrogate or DEFAULTS["surrogate"],
        strategy=options.strategy,
        **given_settings(options),
    )
    print(f"{options.run} is ready; ask it for points", file=sys.stderr)
    return 0


def _ask(options: argparse.Namespace) -> int:
    """Print points to evaluate, one JSON line each."""
    from adaptsample.cli import session

    with session.opened(options.run, on_wait=_say) as sampler:
        for request in session.ask(sampler, options.n):
            print(json.dumps(request), flush=True)
    return 0


def _tell(options: argparse.Namespace) -> int:
    """Read results from standard input, one JSON line each, and record them as they come."""
    from adaptsample.cli import session

    session.open_file(options.run)  # before anybody types results into nothing
    if sys.stdin.isatty():
        _say("type results, one a line, and end with Ctrl-D")
    counts: Counter[str] = Counter()
    first = 1
    for lines in session.lines_as_they_come(sys.stdin.buffer):
        with session.opened(options.run, on_wait=_say) as sampler:
            for told in session.tell(sampler, lines, first=first):
                counts[told.outcome] += 1
                if told.message:
                    _say(f"line {told.line} {told.outcome}: {told.message}")
        first += len(lines)
    words = [f"{counts['recorded']} recorded"]
    words += [f"{counts[word]} {word}" for word in ("failed", "known", "refused") if counts[word]]
    n_pending = len(session.open_file(options.run).pending)
    print(f"{', '.join(words)}; {n_pending} pending", file=sys.stderr)
    return 1 if counts["refused"] else 0


def _status(options: argparse.Namespace) -> int:
    """Say what was asked and told so far."""
    from adaptsample.cli import session

    recorded = session.open_file(options.run)
    domain, pending = recorded.spec["domain"], recorded.pending
    if options.pending:
        for request in session.requests(pending, tuple(domain), recorded.spec["seed"]):
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
    from adaptsample.cli import session
    from adaptsample.record import export

    table = export.recorded_columns(session.open_file(options.run))
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


def _command(
    work: Callable[[argparse.Namespace], int],
    add_options: Callable[[argparse.ArgumentParser], None],
    examples: str = "adaptsample create --help shows a whole session\n",
) -> Command:
    return Command(
        about=work.__doc__ or "",
        add_options=add_options,
        work=work,
        examples=examples,
        interrupted="interrupted; what was acknowledged is on file",
    )


COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {
        "create": _command(_create, _create_options, SESSION),
        "ask": _command(_ask, _ask_options),
        "tell": _command(_tell, _run_file, LINES),
        "status": _command(_status, _status_options),
        "export": _command(_export, _export_options),
    }
)
