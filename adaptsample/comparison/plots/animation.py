"""A run as a moving picture: a frame for each round."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.figure import Figure

from adaptsample.comparison.curves import SMALLEST_ERROR
from adaptsample.comparison.measures import ERROR_NAMES, Measure
from adaptsample.comparison.plots.formats import check_format
from adaptsample.record.run_file import Recorded

_WRITERS: Mapping[str, Any] = {".gif": PillowWriter, ".mp4": FFMpegWriter}
_OLD, _NEW = "#999999", "#d55e00"


def animate_run(
    recorded: Recorded,
    path: Path,
    *,
    title: str,
    measure: Measure = "mae",
    frames_per_second: int = 3,
) -> None:
    """Draw the points that were asked, round after round, and the error as it falls.

    Args:
        recorded: the run. Of more than two variables, the first two are drawn; of one, points are
            drawn with their values.
        path: of the picture; .gif, or .mp4 where ffmpeg is installed.
        title: a line above it.
        measure: which error falls.
        frames_per_second: one for each round.

    Raises:
        ValueError: another ending, an .mp4 without ffmpeg, or nothing was evaluated.
    """
    check_format(path.suffix.removeprefix("."))
    good = [e for e in recorded.evaluations if e["y"] is not None]
    if not good:
        raise ValueError(f"{recorded.path} has no evaluations to show")
    rounds = np.array([e["round"] for e in good])
    x = np.array([e["x"] for e in good])
    names, bounds = list(recorded.spec["domain"]), list(recorded.spec["domain"].values())
    height = np.array([e["y"][0] for e in good]) if len(names) == 1 else x[:, 1]
    measured = [r for r in recorded.rounds if r["errors"]]

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    places, fall = figure.subplots(1, 2)
    places.set(xlim=bounds[0], xlabel=names[0], ylabel="value" if len(names) == 1 else names[1])
    if len(names) > 1:
        places.set(ylim=bounds[1])
    else:
        room = 0.05 * max(float(np.ptp(height)), 1e-12)
        places.set(ylim=(height.min() - room, height.max() + room))
    old = places.scatter([], [], s=14, color=_OLD, label="before")
    new = places.scatter([], [], s=30, color=_NEW, marker="D", label="this round")
    figure.legend(handles=[old, new], loc="outside lower left", ncols=2)
    (line,) = fall.plot([], [], "o-", color=_NEW, markersize=4)
    if measured:
        spent = [r["n_evaluations"] for r in measured]
        errors = [max(r["errors"][measure], SMALLEST_ERROR) for r in measured]
        fall.set(yscale="log", xlabel="evaluations", ylabel=ERROR_NAMES[measure])
        fall.set(xlim=(0, 1.05 * spent[-1]), ylim=(min(errors) / 2, max(errors) * 2))
        fall.grid(visible=True, alpha=0.25)
    else:
        fall.set_axis_off()
    heading = figure.suptitle("")

    def draw(frame: int) -> list[Any]:
        for dots, is_shown in ((old, rounds < frame), (new, rounds == frame)):
            dots.set_offsets(np.column_stack([x[is_shown, 0], height[is_shown]]))
        if measured:
            shown = [i for i, r in enumerate(measured) if r["round"] <= frame]
            line.set_data([spent[i] for i in shown], [errors[i] for i in shown])
        n = int((rounds <= frame).sum())
        heading.set_text(f"{title.replace('$', chr(92) + '$')}: round {frame}, {n} evaluations")
        return [old, new, line]

    animation = FuncAnimation(figure, draw, frames=int(rounds.max()) + 1)
    animation.save(path, writer=_WRITERS[path.suffix](fps=frames_per_second), dpi=90)
