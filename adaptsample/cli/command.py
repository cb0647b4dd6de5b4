"""What a subcommand is, and a parser that names what is near a word that it does not know."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, final

from adaptsample.core.text import near


@final
@dataclass(frozen=True)
class Command:
    """A subcommand.

    Args:
        about: what it does; the first line is its summary.
        add_options: declares its options. Nothing slow is imported for it.
        work: does it, and returns the exit status: 0, or 1 if it failed in part.
        examples: the end of its help.
        interrupted: what to tell who interrupts it.
        computes: whether it works with arrays.
    """

    about: str
    add_options: Callable[[argparse.ArgumentParser], None]
    work: Callable[[argparse.Namespace], int]
    examples: str = ""
    interrupted: str = "interrupted"
    computes: bool = True


@final
class Parser(argparse.ArgumentParser):
    """Parser whose errors name what is near."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit with status 2."""
        parts = re.fullmatch(r"(.*invalid choice: '(.*)') \(choose from (.*)\)", message, re.DOTALL)
        if parts:
            told, word, choices = parts.groups()
            known = re.findall(r"[\w-]+", choices)
            message = f"{told}; {near(word, known)}"
        super().error(message)

    def refuse(self, words: list[str]) -> NoReturn:
        """Refuse words that are no options of this parser."""
        known = re.findall(r"--[\w-]+", self.format_usage())
        hints = [near(word.partition("=")[0], known) for word in words if word.startswith("--")]
        told = [f"unrecognized arguments: {' '.join(words)}", *hints[:1]]
        super().error("; ".join(told))
