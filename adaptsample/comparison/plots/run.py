"""Pictures of a run: what was approximated, where it was sampled, how the error fell."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adaptsample.comparison.curves import SMALLEST_ERROR
from adaptsample.core.domain import Box
from adaptsample.evaluation.evaluation import Evaluation
from adaptsample.loop.run import Run
from adaptsample.metrics.errors import reference_points
from adaptsample.oracles import Finite, Oracle, SupportsExact

Array: TypeAlias = npt.NDArray[np.float64]
_ROUND_COLOURS = "plasma"  # perceptually even, readable in grey
_BLACK, _BLUE, _ORANGE = "black", "#0072b2", "#d55e00"  # Okabe and Ito's colour-blind-safe set


def plot_run(run: Run, oracle: Oracle, path: Path, *, title: str) -> None:
    """Draw a run and save it as a picture.

    1-D: truth, prediction and points, with the error below. 2-D: truth, prediction and error, with
    the points coloured by round. Above, and for a finite pool: prediction against truth. All with
    the error against the evaluations, where exact values are known.

    Args:
        run: the run.
        oracle: what was evaluated; its exact version, if there is one, is drawn.
        path: of the picture; the ending decides the format.
        title: a line above it.
    """
    x = oracle.pool if isinstance(oracle, Finite) else reference_points(oracle.domain)
    predicted = run.model.predict(x)[:, 0].numpy()
    exact_oracle = oracle.exact if isinstance(oracle, SupportsExact) else None
    exact = None if exact_oracle is None else exact_oracle(x)[:, 0].numpy()
    if isinstance(oracle, Finite) or oracle.domain.dimension > 2:
        figure = _draw_parity(run, predicted, exact)
    elif oracle.domain.dimension == 1:
        figure = _draw_line(run, oracle.domain, x[:, 0].numpy(), predicted, exact)
    else:
        figure = _draw_maps(run, oracle.domain, predicted, exact)
    figure.suptitle(title.replace("$", r"\$"))  # no formula, whatever the name of the oracle
    figure.savefig(path, dpi=130)


def _draw_line(run: Run, domain: Box, x: Array, predicted: Array, exact: Array | None) -> Figure:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    curves, fall = figure.subplots(1, 2, width_ratios=(3, 2))
    if exact is not None:
        curves.plot(x, exact, color=_BLACK, linewidth=1, label="exact")
    curves.plot(x, predicted, color=_ORANGE, linewidth=1.6, linestyle="--", label="prediction")
    points, values, rounds = _points(run.evaluations)
    dots = curves.scatter(
        points[:, 0], values[:, 0], c=rounds, cmap=_ROUND_COLOURS, s=22, zorder=3, label="evaluated"
    )
    figure.colorbar(dots, ax=curves, label="round", ticks=MaxNLocator(integer=True))
    curves.set(xlabel=domain.names[0], ylabel="value")
    curves.legend()
    _draw_fall(fall, run)
    return figure


def _draw_maps(run: Run, domain: Box, predicted: Array, exact: Array | None) -> Figure:
    figure = Figure(figsize=(11, 8.6), layout="constrained")
    (left, right), (low, fall) = figure.subplots(2, 2)
    side = round(len(predicted) ** 0.5)
    points, _, rounds = _points(run.evaluations)

    def show(axes: Axes, values: Array, name: str, cmap: str, norm: Normalize) -> None:
        # the last variable runs fastest, and pictures have rows along the vertical axis
        image = axes.imshow(
            values.reshape(side, side).T,
            origin="lower",
            extent=(*domain.bounds[0], *domain.bounds[1]),
            aspect="auto",
            cmap=cmap,
            norm=norm,
        )
        figure.colorbar(image, ax=axes, label="value" if axes is not low else "absolute error")
        axes.set(title=name, xlabel=domain.names[0], ylabel=domain.names[1])

    shown = predicted if exact is None else exact
    shown = shown[np.isfinite(shown)]
    limits = Normalize(float(shown.min()), float(shown.max()))
    show(right, predicted, "prediction", "viridis", limits)
    if exact is None:
        left.set_axis_off()
        left.text(0.5, 0.5, "exact values are not known", ha="center", transform=left.transAxes)
        low.set(title="evaluated points", xlabel=domain.names[0], ylabel=domain.names[1])
        low.set(xlim=domain.bounds[0], ylim=domain.bounds[1])
    else:
        show(left, exact, "exact", "viridis", limits)
        error = np.maximum(np.abs(predicted - exact), SMALLEST_ERROR)
        known = error[np.isfinite(error)]
        norm = LogNorm(float(known.min()), max(float(known.max()), 10 * float(known.min())))
        show(low, error, "error and evaluated points", "Greys", norm)
    dots = low.scatter(
        *points.T, c=rounds, cmap=_ROUND_COLOURS, s=12, linewidths=0.4, edgecolors="white"
    )
    figure.colorbar(dots, ax=low, label="round", ticks=MaxNLocator(integer=True))
    _draw_fall(fall, run)
    return figure


def _draw_parity(run: Run, predicted: Array, exact: Array | None) -> Figure:
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    parity, fall = figure.subplots(1, 2)
    if exact is None:
        points, values, _ = _points(run.evaluations)
        predicted = run.model.predict(torch.from_numpy(points))[:, 0].numpy()
        exact = values[:, 0]
        parity.set_title("at the evaluated points")
    parity.scatter(exact, predicted, s=4, color=_BLUE, alpha=0.4, linewidths=0)
    parity.axline((float(exact[0]), float(exact[0])), slope=1, color=_BLACK, linewidth=0.8)
    parity.set(xlabel="exact", ylabel="prediction")
    _draw_fall(fall, run)
    return figure


def _draw_fall(axes: Axes, run: Run) -> None:
    measured = [r for r in run.rounds if r.errors]
    if not measured:
        axes.set_axis_off()
        return
    spent = [r.n_evaluations for r in measured]
    for key, name, colour, line in (
        ("max", "largest", _BLACK, ":"),
        ("rmse", "root mean square", _ORANGE, "--"),
        ("mae", "mean absolute", _BLUE, "-"),
    ):
        error = [max(r.errors[key], SMALLEST_ERROR) for r in measured]
        axes.plot(spent, error, line, color=colour, marker="o", markersize=3, label=name)
    axes.set(yscale="log", xlabel="evaluations", ylabel="grid error")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend()


def _points(evaluations: Sequence[Evaluation]) -> tuple[Array, Array, list[int]]:
    """Return points (n, d), values (n, k) and rounds of the evaluations that succeeded."""
    good = [(e.x, e.y, e.round) for e in evaluations if e.y is not None]
    x, y, rounds = zip(*good, strict=True)
    return torch.stack(x).numpy(), torch.stack(y).numpy(), list(rounds)
