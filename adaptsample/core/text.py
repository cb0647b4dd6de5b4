"""Names and texts: made safe for files and terminals or refused, near ones found."""

import difflib
import hashlib
import re
from collections.abc import Iterable

_LONGEST = 60
_LONGEST_GIVEN = 200  # file systems allow 255 bytes
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[\d¹²³]|(clock|conin|conout)\$)(\..*)?", re.I)


def file_name(label: str) -> str:
    """Return a label as a file name: letters, digits and a few signs; a hash where that loses.

    The name never is a path, starts with no dot or dash, and no system has reserved it.
    """
    name = re.sub(r"[^A-Za-z0-9_.=+-]+", "_", label).strip("._-")
    if name and name == label and len(name) <= _LONGEST and not _RESERVED.fullmatch(name):
        return name
    digest = hashlib.blake2b(label.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    name = f"_{name}" if _RESERVED.fullmatch(name) else name
    return f"{name[:_LONGEST] or 'unnamed'}-{digest}"


def check_file_name(name: str) -> None:
    """Refuse a name that is no plain file name everywhere.

    Raises:
        ValueError: a path, a reserved name, a leading dash or dot, a character that cannot be seen,
            or more than 200 bytes.
    """
    problem = None
    if not name or name != name.strip() or name.endswith("."):
        problem = "is empty, or has blanks or a dot at an end"
    elif not name.isprintable():
        problem = "has characters that cannot be seen"
    elif re.search(r'[/\\:*?"<>|]', name):
        problem = 'has one of / \\ : * ? " < > |'
    elif name[0] in "-.~":
        problem = f"starts with {name[0]!r}"
    elif _RESERVED.fullmatch(name):
        problem = "is reserved by some systems"
    elif len(name.encode()) > _LONGEST_GIVEN:
        problem = f"is longer than {_LONGEST_GIVEN} bytes"
    if problem:
        shown = repr(name[:_LONGEST]) + ("..." if len(name) > _LONGEST else "")
        raise ValueError(f"the file name {shown} {problem}; choose letters, digits, '_' and '-'")


def printable(text: str, longest: int) -> str:
    """Return a text for a message: short, and without characters that steer a terminal."""
    text = text if len(text) <= longest else text[:longest] + "..."
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def near(name: str, known: Iterable[str]) -> str:
    """Return the part of an error message that names the nearest known names, or all."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known)}"


def snake_case(name: str) -> str:
    """Return a class name in snake_case: MaxStd -> max_std, MLP -> mlp."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
