"""Pictures of a comparison: how errors fell, who solved how much, who is ahead, who asked where.

Rivals keep their colour, line and marker in all pictures; see `styles`.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.statistics import Comparison
from adaptsample.core.extras import needs_extra
from adaptsample.record.run_file import Recorded

with needs_extra("compare", "a comparison"):
    from scikit_posthocs import critical_difference_diagram

_ROUND_COLOURS = "plasma"  # perceptually even, readable in grey
_MOST_BANDS = 6
"""More of them hide one another."""


def plot_curves(comparison: Comparison, path: Path, *, error: str = "grid MAE") -> None:
    """Draw error against evaluations, a panel for each oracle.

    A line is the median over seeds; the band, where rivals are few, holds the middle half of the
    runs. Both end where the first of a rival's runs does.

    Args:
        comparison: of all runs.
        path: of the picture; the ending decides the format.
        error: what the errors are called.
    """
    styles = styles_of(comparison.rivals)
    n_columns = min(3, len(comparison.oracles))
    n_rows = ceil(len(comparison.oracles) / n_columns)
    size = (5.2 * n_columns + 1.0, 3.8 * n_rows + 0.3 * ceil(len(styles) / 3) + 0.3)
    has_bands = len(styles) <= _MOST_BANDS
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes in panels[len(comparison.oracles) :]:
        axes.set_axis_off()
    for axes, oracle in zip(panels, comparison.oracles, strict=False):
        for rival, style in styles.items():
            curves = comparison.of(oracle, rival)
            if not curves:
                continue
            first, last = max(c.evaluations[0] for c in curves), min(c.reach for c in curves)
            spent = sorted({n for c in curves for n in c.evaluations if first <= n <= last})
            logs = np.log10([[c.at(n) for n in spent] for c in curves])
            low, middle, high = np.quantile(logs, [0.25, 0.5, 0.75], axis=0)
            axes.plot(
                spent,
                10**middle,
                color=style.colour,
                linestyle=style.line,
                marker=style.marker,
                markersize=4,
                label=rival,
            )
            if has_bands:
                axes.fill_between(spent, 10**low, 10**high, color=style.colour, alpha=0.15, lw=0)
        axes.set(yscale="log", title=_plain(oracle), xlabel="evaluations", ylabel=error)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, which="major", alpha=0.25)
    told = "lines: medians over seeds" + "; bands: the middle half of the runs" * has_bands
    figure.suptitle(told, fontsize="medium")
    _legend(figure, panels)
    figure.savefig(path, dpi=130)


def plot_profiles(
    comparison: Comparison, path: Path, *, tolerances: Sequence[float] = (0.1, 0.001)
) -> None:
    """Draw data profiles: the share of problems solved against the evaluations; see `profile`."""
    styles = styles_of(comparison.rivals)
    figure = Figure(figsize=(5.2 * len(tolerances), 4.2), layout="constrained")
    panels = figure.subplots(1, len(tolerances), squeeze=False).ravel()
    runs = comparison.compared.values()
    end = max(comparison.budgets[c.oracle] / (c.dimension + 1) for c in runs)
    for axes, tolerance in zip(panels, tolerances, strict=True):
        for rival, style in styles.items():
            spent, share = comparison.profile(rival, tolerance)
            axes.plot(
                [0, *spent, end],
                [0, *share, share[-1] if len(share) else 0],
                color=style.colour,
                linestyle=style.line,
                marker=style.marker,
                markersize=4,
                markevery=0.1,
                drawstyle="steps-post",
                label=rival,
            )
        axes.set(
            title=f"solved: {1 - tolerance:.4g} of the way to the best error",
            xlabel="evaluations / (variables + 1)",
            ylabel=f"share of {len(comparison.tried)} runs",
            ylim=(-0.02, 1.02),
        )
        axes.grid(visible=True, alpha=0.25)
    _legend(figure, panels)
    figure.savefig(path, dpi=130)


def plot_ranks(comparison: Comparison, path: Path) -> None:
    """Draw the critical-difference diagram: rivals that a bar joins cannot be told apart.

    It says little of fewer than three oracles.

    Raises:
        ValueError: there are no ranks; see `Comparison.ranks`.
    """
    ranks, styles = comparison.ranks, styles_of(comparison.rivals)
    figure = Figure(figsize=(8.5, 1.9 + 0.3 * len(styles)), layout="constrained")
    axes = figure.subplots()
    critical_difference_diagram(
        ranks.mean,
        ranks.different,
        alpha=comparison.alpha,
        ax=axes,
        color_palette={rival: style.colour for rival, style in styles.items()},
        label_props={"fontsize": 10},
    )
    axes.set_title(
        f"mean rank over {len(comparison.shared)} oracles, 1 is the best; bars join rivals that "
        f"Nemenyi's test\ncannot tell apart at {comparison.alpha:.0%}; all alike: "
        f"p = {ranks.p_value:.2g} (Friedman)",
        pad=18,
        fontsize=10,
    )
    figure.savefig(path, dpi=130)


def plot_points(records: Mapping[str, Recorded], path: Path, *, title: str) -> None:
    """Draw where rivals asked, a panel for each, coloured by round.

    In one variable points are drawn above the round in which they were asked; of more than two, the
    first two are drawn.

    Args:
        records: of each rival a run, all on one oracle.
        path: of the picture; the ending decides the format.
        title: a line above it.
    """
    n_columns = min(4, len(records))
    n_rows = ceil(len(records) / n_columns)
    figure = Figure(figsize=(3.4 * n_columns + 1.2, 3.2 * n_rows + 0.6), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True).ravel()
    last = max(e["round"] for r in records.values() for e in r.evaluations)
    for axes in panels[len(records) :]:
        axes.set_axis_off()
    for axes, (rival, recorded) in zip(panels, records.items(), strict=False):
        rounds = np.array([e["round"] for e in recorded.evaluations])
        x = torch.tensor([e["x"] for e in recorded.evaluations], dtype=torch.float64).numpy()
        (first, *others), bounds = recorded.spec["domain"], list(recorded.spec["domain"].values())
        height = x[:, 1] if others else rounds
        dots = axes.scatter(
            x[:, 0], height, c=rounds, cmap=_ROUND_COLOURS, vmin=0, vmax=max(1, last), s=12
        )
        axes.set(title=_plain(rival), xlabel=first, ylabel=others[0] if others else "round")
        axes.set(xlim=bounds[0])
        if others:
            axes.set(ylim=bounds[1])
    figure.colorbar(dots, ax=list(panels), label="round", ticks=MaxNLocator(integer=True))
    figure.suptitle(_plain(title))
    figure.savefig(path, dpi=130)


def _legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """Name all rivals below; none may be in each panel."""
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(map(_plain, labels), handles, strict=True))
    figure.legend(
        list(found.values()), list(found), loc="outside lower center", ncols=min(3, len(found))
    )


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # no formula, whatever the name
