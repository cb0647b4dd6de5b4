"""The command `adaptsample`."""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from adaptsample.cli import ask_tell, catalogue, compare, report, reproduce, run
from adaptsample.cli.command import Command, Parser
from adaptsample.core.extras import needs_extra
from adaptsample.errors import RunFailedError

COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {
        "run": run.COMMAND,
        "compare": compare.COMMAND,
        "report": report.COMMAND,
        "reproduce": reproduce.COMMAND,
        "list": catalogue.COMMAND,
        **ask_tell.COMMANDS,
    }
)

EXIT_STATUS = "exit status: 0 done, 1 failed (or some of it), 2 wrong use, 130 interrupted\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parsers = make_parsers()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may come next
        with needs_extra("completion", "shell completion"):
            import argcomplete
        argcomplete.autocomplete(parsers[""])
    options, unknown = parsers[""].parse_known_args(given)
    parser, command = parsers[options.subcommand], COMMANDS[options.subcommand]
    if unknown:
        parser.refuse(unknown)
    options.command_line = shlex.join(["adaptsample", *given])
    try:
        if command.computes:
            import torch

            torch.set_num_threads(1)  # the matrices are small: more threads are slower
        return command.work(options)
    except ValueError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except RunFailedError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(command.interrupted, file=sys.stderr)
        return 130


def make_parsers() -> Mapping[str, Parser]:
    """Return the parser of all, called "", and that of each subcommand."""
    parser = Parser(
        prog="adaptsample",
        description="Surrogates of expensive functions, good to a known error, for as few "
        "evaluations as possible.",
        epilog=f"adaptsample COMMAND --help tells more.\n\n{EXIT_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parsers = {"": parser}
    added = parser.add_subparsers(required=True, metavar="COMMAND", dest="subcommand")
    for name, command in COMMANDS.items():
        summary = command.about.partition("\n")[0].rstrip(".")
        parsers[name] = added.add_parser(
            name,
            help=summary[0].lower() + summary[1:],
            description=command.about,
            epilog=f"{command.examples}\n{EXIT_STATUS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_options(parsers[name])
    return parsers
