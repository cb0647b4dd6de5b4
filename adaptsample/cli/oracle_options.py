"""What is approximated, as options: a named problem, a formula, a program or a table."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adaptsample.loop.specification import DEFAULTS

if TYPE_CHECKING:
    from adaptsample.oracles import Oracle


def add_bound(group: argparse._ActionsContainer, *, of: str = "", required: bool = False) -> None:
    """Declare ``--bound``."""
    group.add_argument(
        "--bound",
        action="append",
        default=[],
        required=required,
        metavar="NAME=LOW:HIGH",
        help=f"a variable{of} and its range; repeat it for each, in order",
    )


def add_oracle(parser: argparse.ArgumentParser) -> None:
    """Declare the options that name one oracle."""
    what = parser.add_argument_group("what is approximated")
    what.add_argument("--oracle", help="a named problem (default: peak)")
    what.add_argument("--expr", help="a formula in the variables that --bound declares")
    add_bound(what, of=" of --expr or --command")
    what.add_argument("--command", help="a program that is run for each point, without a shell")
    what.add_argument("--n-outputs", type=int, help="of --command (default: 1)")
    what.add_argument("--output-file", metavar="FILE", help="that --command writes its answer to")
    what.add_argument("--table", metavar="CSV", help="a file whose rows can be asked")
    for name in ("input", "output"):
        what.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="COLUMN",
            help=f"of --table; repeat it for each {name}",
        )
    what.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="only such rows of --table; repeat it for more conditions",
    )
    what.add_argument(
        "--skip-missing", action="store_true", help="leave out rows of --table that lack a number"
    )


def make_oracle(options: argparse.Namespace) -> tuple["Oracle", str]:
    """Return what the options name, and its label.

    Raises:
        ValueError: options that do not go together, or an oracle that cannot be made.
    """
    given = [name for name in ("oracle", "expr", "command", "table") if getattr(options, name)]
    if len(given) > 1:
        raise ValueError(f"give --{given[0]} or --{given[1]}, not both")
    kind = given[0] if given else "oracle"
    needs = {"bound": ("expr", "command"), "input": ("table",), "output": ("table",)}
    needs |= dict.fromkeys(("where", "skip_missing"), ("table",))
    needs |= dict.fromkeys(("n_outputs", "output_file"), ("command",))
    for name, kinds in needs.items():
        if getattr(options, name) and kind not in kinds:
            wanted = " or ".join(f"--{kind}" for kind in kinds)
            raise ValueError(f"--{name.replace('_', '-')} goes with {wanted}, and there is none")
    if kind == "expr":
        return make_formula(options)
    if kind == "command":
        return _command(options)
    if kind == "table":
        return _table(options)
    from adaptsample.oracles.problems import problem

    name = options.oracle or "peak"
    return problem(name), name


def make_formula(options: argparse.Namespace) -> tuple["Oracle", str]:
    """Return the formula of ``--expr``, and its label."""
    from adaptsample.oracles import ExpressionOracle

    bounds = _bounds(options)
    return ExpressionOracle(options.expr, bounds=bounds), f"expr {options.expr} {bounds}"


def _command(options: argparse.Namespace) -> tuple["Oracle", str]:
    from adaptsample.core import Box
    from adaptsample.oracles import CommandOracle

    bounds = _bounds(options)
    oracle = CommandOracle(
        options.command,
        Box(bounds),
        n_outputs=1 if options.n_outputs is None else options.n_outputs,
        output_file=options.output_file,
        seed=DEFAULTS["seed"] if options.seed is None else options.seed,
    )
    return oracle, f"command {options.command} {bounds}"


def _table(options: argparse.Namespace) -> tuple["Oracle", str]:
    from adaptsample.oracles import TableOracle

    where = dict(map(_condition, options.where))
    oracle = TableOracle.from_csv(
        options.table,
        inputs=options.input,
        outputs=options.output,
        where=where,
        missing="skip" if options.skip_missing else "refuse",
    )
    if oracle.n_skipped:
        print(f"{oracle.n_skipped} rows lack a number and are left out", file=sys.stderr)
    columns = f"{' '.join(options.output)} of {' '.join(options.input)}"
    return oracle, f"table {Path(options.table).stem} {columns} {where or ''}".strip()


def _condition(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--where {text!r} must read COLUMN=VALUE, as in smoker=no")
    return column.strip(), value.strip()


def _bounds(options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    from adaptsample.core.domain import parse_bounds

    if not options.bound:
        kind = "expr" if options.expr else "command"
        raise ValueError(f"--{kind} needs a --bound NAME=LOW:HIGH for each of its variables")
    return parse_bounds(options.bound)
