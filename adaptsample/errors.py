"""Every exception and warning that a user may catch. Wrong input is always a `ValueError`."""

from typing import final


@final
class ExpressionError(ValueError):
    """A formula that cannot be used.

    Args:
        problem: what is wrong and how to mend it.
        text: the formula, or empty if the problem lies outside of its text.
        offset: position of the problem in the text, counted from 0.
    """

    def __init__(self, problem: str, text: str = "", offset: int = 0) -> None:
        super().__init__(problem, text, offset)  # all three, so that it travels between processes
        self.problem = problem
        self.text = text
        self.offset = offset

    def __str__(self) -> str:
        if not self.text:
            return self.problem
        start = max(self.text.rfind("\n", 0, self.offset) + 1, self.offset - 60)
        line = self.text[start : start + 80].split("\n")[0]
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        caret = " " * (self.offset - start) + "^"
        return f"{self.problem} (character {self.offset + 1})\n  {shown}\n  {caret}"


class OutputError(ValueError):
    """A user's function answered something else than real numbers in the expected shape."""


class CommandError(RuntimeError):
    """A command ended with an error; the message has its exit status and the end of its stderr."""


class WorkerLostError(RuntimeError):
    """A worker died before it answered."""


class OverdueError(RuntimeError):
    """A call took too long, and its worker was killed."""


class ExecutorError(ValueError):
    """An executor that cannot be used, or not any more; the message says the remedy."""


class LedgerError(ValueError):
    """A run file that cannot be used; the message names the file and the remedy."""


class LedgerBusyError(LedgerError):
    """Another process is writing to the run file, or has written since it was read."""


class RunFailedError(RuntimeError):
    """No evaluation succeeded; the message counts the reasons."""


class UnknownNameError(ValueError):
    """No strategy, surrogate, option or other named thing is called that; it says what is near."""


class UnsupportedModelError(ValueError):
    """A strategy needs more of a model than the surrogate's have; it says what, and a remedy."""


class MissingExtraError(ImportError, ValueError):
    """A package that only some need is not installed; the message names the extra."""


class PluginWarning(UserWarning):
    """A strategy or surrogate that somebody's package offers cannot be used; it says why."""


class DegenerateDataWarning(UserWarning):
    """A fit was made to data that say little: its prediction is finite, and not more."""


class DivergenceWarning(RuntimeWarning):
    """Training met a loss that is not finite, and returned the parameters before it."""
