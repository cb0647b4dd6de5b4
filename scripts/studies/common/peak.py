"""What the three attempts at the peak function have in common: runs that are watched, and shown."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from types import MappingProxyType
from typing import Final, TypeAlias, final

import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from adaptsample import Model, Sampler
from adaptsample.comparison.curves import SMALLEST_ERROR
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.errors import DivergenceWarning
from adaptsample.experiments.presets import Preset
from adaptsample.metrics.errors import reference_set
from adaptsample.oracles.problems import problem
from adaptsample.surrogates.mlp import MLPModel
from adaptsample.training import Training
from scripts.studies.common.study import Effort, number, spread

AIM: Final = 1e-6
"""The mean error that the source wanted."""
BEST: Final = "`auto`, `sobol`"
SETTINGS: Final = "the source's settings"

_TINY = "mlp(hidden=(8, 8), scale=False, training=gradient_descent(steps=50, continued_steps=5))"


@final
@dataclass(frozen=True)
class Trace:
    """What a run came to.

    Args:
        spent: evaluations up to each round.
        mae: mean absolute error on the reference set after each round.
        largest: largest error there.
        change: by how much each round but the first changed the model, on average.
        loss: of training, at the end of each round; empty if it was not gradient descent.
        asked: all points (n, 2), in the order in which they were asked.
        kept: the training set at the end (m, 2).
        predicted: at the reference points (r,), at the end.
        n_diverged: rounds in which training diverged, and left the network as it was before.
    """

    spent: list[float]
    mae: list[float]
    largest: list[float]
    change: list[float]
    loss: list[float]
    asked: Tensor
    kept: Tensor
    predicted: Tensor
    n_diverged: int = 0

    def at(self, spent: float, values: Sequence[float]) -> float:
        """Return the last of some values, one a round, that so many evaluations paid for.

        Raises:
            ValueError: there is none as early as that.
        """
        paid = sum(n <= spent for n in self.spent[-len(values) :])
        if paid == 0:
            raise ValueError(f"there is no value after only {spent:g} evaluations")
        return values[paid - 1]


Traces: TypeAlias = Mapping[str, list[Trace]]
Measure: TypeAlias = Callable[[Trace], list[float]]


def mean_error(trace: Trace) -> list[float]:
    """Return the mean absolute error on the reference set after each round."""
    return trace.mae


def model_change(trace: Trace) -> list[float]:
    """Return the change of the model in each round but the first."""
    return trace.change


def training_loss(trace: Trace) -> list[float]:
    """Return the loss of training at the end of each round."""
    return trace.loss


ERROR_AND_CHANGE: Final[Mapping[str, Measure]] = MappingProxyType(
    {"mean error on the grid": mean_error, "model-change": model_change}
)


def of_source(measures: Mapping[str, Measure]) -> dict[str, tuple[str, Measure]]:
    """Return what `picture` draws of the run at the source's settings."""
    return {f"source: {name}": (SETTINGS, measure) for name, measure in measures.items()}


@final
@dataclass(frozen=True)
class Plan:
    """A run to make.

    Args:
        preset: its settings.
        seed: of everything random in it.
        n_watched: candidates at which the change of the model is measured, new ones each round.
    """

    preset: Preset
    seed: int
    n_watched: int = 12_000

    def follow(self) -> Trace:
        """Make the run, and watch how its model changes."""
        oracle, preset = problem("peak"), self.preset
        sampler = Sampler(
            oracle,
            surrogate=preset.surrogate,
            strategy=preset.strategy,
            seed=self.seed,
            n_initial=preset.n_initial,
            batch_size=preset.batch_size,
            design=preset.design,
        )
        before: list[Model] = []
        change: list[float] = []
        loss: list[float] = []

        def watch(sampler: Sampler) -> None:
            number = len(sampler.rounds)
            if number == len(before) + len(change):  # called after an evaluation, not a round
                return
            model = sampler.model
            if before:
                generator = derive_generator(self.seed, "watch", number)
                x = sampler.domain.uniform(self.n_watched, generator=generator)
                change.append(float((model.predict(x) - before[0].predict(x)).abs().mean()))
            before[:] = [model]
            if isinstance(model, MLPModel) and isinstance(model.training, Training):
                losses = model.training.train_loss
                loss.append(float(losses[-1]) if len(losses) else nan)  # it diverged at once

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DivergenceWarning)
            run = sampler.run(preset.budget, observer=watch)
        return Trace(
            [r.n_evaluations for r in run.rounds],
            [r.errors["mae"] for r in run.rounds],
            [r.errors["max"] for r in run.rounds],
            change,
            loss,
            torch.stack([evaluation.x for evaluation in run.evaluations]),
            run.data.x,
            run.model.predict(reference_set(oracle).x)[:, 0],
            sum(issubclass(warning.category, DivergenceWarning) for warning in caught),
        )


def follow(
    effort: Effort, presets: Mapping[str, Preset], *, strategy: str, n_watched: int
) -> dict[str, list[Trace]]:
    """Follow runs with three seeds each, and beside them the best that the library has.

    Args:
        effort: how much.
        presets: the settings of the source, by name.
        strategy: that of the source, here as it is by default and with `mlp` as it is by default.
        n_watched: candidates at which the source measured the change of the model.
    """
    ours = {
        f"`mlp`, `{strategy}`": Preset("mlp", strategy, 100, 20, 300, "sobol"),
        BEST: Preset("auto", "sobol", 10, 50, 60, "sobol"),
    }
    if effort.is_quick:
        presets = {name: _shrunk(preset) for name, preset in presets.items()}
        ours = {name: _shrunk(preset) for name, preset in ours.items()}
    seeds = effort.seeds(3)
    plans = [Plan(preset, seed, n_watched) for preset in presets.values() for seed in seeds]
    plans += [Plan(preset, seed) for preset in ours.values() for seed in seeds]
    traces = iter(effort.map(Plan.follow, plans))
    return {name: [next(traces) for _ in seeds] for name in (*presets, *ours)}


def _shrunk(preset: Preset) -> Preset:
    n, size = min(preset.n_initial, 40), preset.batch_size
    return replace(preset, surrogate=_TINY, n_initial=n, budget=n + 6 * size)


def summary(found: Traces, reported: Sequence[str]) -> tuple[str, Table]:
    """Return what all runs came to at their end, with a heading.

    Args:
        found: runs by name.
        reported: by the source, for each row.
    """
    measures: Mapping[str, Measure] = {
        "evaluations": lambda t: t.spent,
        "mean error on the grid": mean_error,
        "largest error on the grid": lambda t: t.largest,
        "model-change in the last round": model_change,
        "training loss at the end": training_loss,
    }
    rows = [
        (name, figure, *(last(traces, measure) for traces in found.values()))
        for (name, measure), figure in zip(measures.items(), reported, strict=True)
    ]
    return "At the end", Table.of(("", "reported", *found), rows)


def progress(
    traces: Sequence[Trace], spent: Sequence[float], measures: Mapping[str, Measure]
) -> tuple[str, Table]:
    """Return how some quantities came down with the evaluations, with a heading.

    Args:
        traces: runs alike, with their seeds.
        spent: evaluations at which to look; more than a run has are its end.
        measures: what to look at, by name.
    """
    rows = [
        (f"{n:,.0f}", *(spread([t.at(n, of(t)) for t in traces]) for of in measures.values()))
        for n in spent
    ]
    return "On the way", Table.of(("evaluations", *measures), rows)


def last(traces: Sequence[Trace], measure: Measure) -> str:
    """Return the spread over seeds of a quantity at the end, a dash where there is none."""
    if not all(map(measure, traces)):
        return "-"
    values = [measure(t)[-1] for t in traces]
    return number(values[0]) if len(set(values)) == 1 else spread(values)


def picture(
    found: Traces, theirs: Mapping[str, tuple[str, Measure]], line: tuple[str, float]
) -> Figure:
    """Draw seed 0 of the first runs, and how errors fell in all of them.

    Args:
        found: runs by name; those of the library come last.
        theirs: curves of the source's runs by label: whose, and what of it.
        line: a label and a value to compare with.
    """
    figure = Figure(figsize=(14, 8.6), layout="constrained")
    axes = figure.subplot_mosaic([["points", "surface", "missed"], ["source", "source", "all"]])
    first = next(iter(found.values()))[0]
    missed = (first.predicted - reference_set(problem("peak")).y[:, 0]).abs()
    (x, y), order = first.asked.T, torch.arange(len(first.asked))
    dots = axes["points"].scatter(x, y, c=order, cmap="plasma", s=6)
    figure.colorbar(dots, ax=axes["points"], label="number of the evaluation")
    x, y = first.kept.T
    axes["points"].scatter(x, y, s=16, facecolors="none", edgecolors="k", linewidths=0.4)
    axes["points"].set(title="Asked; rings: kept", aspect="equal", xlim=(0, 1), ylim=(0, 1))
    _map(axes["surface"], first.predicted, "viridis", Normalize(0, 10), "Prediction at the end")
    _map(axes["missed"], missed, "Greys", LogNorm(1e-3, 10), "Absolute error at the end")
    for name in ("points", "surface", "missed"):
        axes[name].set(xlabel="x", ylabel="y", title=f"{axes[name].get_title()} (seed 0)")
    ours = {f"{name}: mean error".replace("`", ""): (name, mean_error) for name in [*found][-2:]}
    _draw_falls(axes["source"], found, theirs)
    _draw_falls(axes["all"], found, {**theirs, **ours})
    axes["all"].axhline(line[1], color="grey", linewidth=1.5, label=line[0])
    if line[1] > axes["source"].get_ylim()[0]:
        axes["source"].axhline(line[1], color="grey", linewidth=1.5, label=line[0])
    axes["source"].set(xscale="linear", title="The source's settings, all seeds")
    axes["source"].legend()
    axes["all"].set(title="With the library's best, all seeds")
    handles, labels = axes["all"].get_legend_handles_labels()
    axes["all"].legend(handles[len(theirs) :], labels[len(theirs) :], fontsize="x-small", loc=4)
    return figure


def _draw_falls(axes: Axes, found: Traces, shown: Mapping[str, tuple[str, Measure]]) -> None:
    for (label, (name, measure)), look in zip(
        shown.items(), styles_of([*shown]).values(), strict=True
    ):
        for i, trace in enumerate(found[name]):
            values = [max(value, SMALLEST_ERROR) for value in measure(trace)]
            axes.loglog(
                trace.spent[-len(values) :],
                values,
                color=look.colour,
                linestyle=look.line,
                marker=look.marker if len(values) < 20 else "",
                markersize=4,
                linewidth=1,
                label="_" if i else label,
            )
    axes.set(xlabel="evaluations", ylabel="mean error, change or loss")
    axes.set_ylim(top=min(axes.get_ylim()[1], 1e3))  # what diverges leaves the picture
    axes.grid(visible=True, alpha=0.25)


def _map(axes: Axes, values: Tensor, colours: str, norm: Normalize, title: str) -> None:
    side = round(len(values) ** 0.5)
    rows = values.reshape(side, side).T.numpy()  # the last variable runs fastest
    image = axes.imshow(rows, origin="lower", extent=(0, 1, 0, 1), cmap=colours, norm=norm)
    axes.figure.colorbar(image, ax=axes)
    axes.set_title(title)
