"""Packages that only some need: where one is missing, the error names the extra that brings it."""

from collections.abc import Iterator
from contextlib import contextmanager

from adaptsample.errors import MissingExtraError


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Say how to install what an import within needs.

    Args:
        extra: the extra of this package that brings it, e.g. "compare".
        what: that needs it, the first words of the message.

    Raises:
        MissingExtraError: an import failed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs {error.name or extra}: pip install 'adaptsample[{extra}]' ({error})",
            name=error.name,
        ) from error
