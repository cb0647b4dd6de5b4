"""What a moving picture can be written as."""

import shutil
from typing import Literal, TypeAlias, get_args

Format: TypeAlias = Literal["gif", "mp4"]


def check_format(ending: str) -> None:
    """Refuse what no animation can be written as.

    Raises:
        ValueError: neither gif nor mp4, or mp4 without ffmpeg.
    """
    if ending not in get_args(Format):
        raise ValueError(f"an animation is a .gif or an .mp4, not {ending!r}")
    if ending == "mp4" and shutil.which("ffmpeg") is None:
        raise ValueError("an .mp4 needs ffmpeg, which is not installed; a .gif needs nothing")
