"""What tells curves apart.

Colours are Okabe and Ito's, which the colour-blind can tell apart; lines and markers differ as
well, so that a grey print is enough.
"""

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any, NamedTuple

COLOURS = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9"
_LINES = "-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))
_MARKERS = "o", "s", "^", "D", "v", "P", "X", "*"


class Style(NamedTuple):
    """How a curve is drawn, in matplotlib's words."""

    colour: str
    line: Any
    marker: str


def styles_of(names: Sequence[str]) -> dict[str, Style]:
    """Return the style of each name, the same in all pictures of the same names."""
    looks = zip(cycle(COLOURS), cycle(_LINES), cycle(_MARKERS), strict=False)
    return {n: Style(*look) for n, look in zip(names, islice(looks, len(names)), strict=True)}
