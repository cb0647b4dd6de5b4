"""Three sources of error, measured apart: the space, the data and the training."""

from dataclasses import dataclass
from statistics import median
from typing import final

from matplotlib.figure import Figure

from adaptsample import Dataset, Model
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.diagnostics.error_decomposition import ErrorSources, error_sources
from adaptsample.metrics.errors import reference_set
from adaptsample.oracles import NoisyOracle
from adaptsample.oracles.problems import problem
from adaptsample.surrogates.mlp import MLP
from adaptsample.training import GradientDescent, LevenbergMarquardt
from scripts.studies.common.study import Effort, Finding, Study, number

TARGET, NOISE, N_DENSE = "runge", 0.05, 401
WIDTHS, NUMBERS = (1, 2, 3, 5, 8, 12), (20, 40, 80, 200, 500, 2000)
STEPS = (100, 300, 1000, 3000, 10_000, 30_000)
BASE = (5, 80, 3000)
SOURCES = "approximation", "generalisation", "optimisation"
KNOBS = "width", "points", "steps"


@final
@dataclass(frozen=True)
class Case:
    """One training.

    Args:
        width: of the hidden layer.
        n: measurements.
        steps: of gradient descent.
        starts: of the best fits.
        seed: of points, noise and training.
        best_of_space: the best fit to the function itself.
    """

    width: int
    n: int
    steps: int
    starts: int
    seed: int
    best_of_space: Model


def best_fit(width: int, starts: int, data: Dataset, seed: int) -> Model:
    """Return the network of least squares, the best of several starts, without regularisation."""
    training = LevenbergMarquardt(starts=starts, finalists=1, evidence=None)
    network = MLP((width,), training=training)
    return network.fit(data, generator=derive_generator(seed, "best"))


def best_of_space(case: tuple[int, int]) -> Model:
    """Fit the function itself; a case is width and number of starts."""
    width, starts = case
    oracle = problem(TARGET)
    x = oracle.domain.grid(N_DENSE)
    return best_fit(width, starts, Dataset(x, oracle(x)), 0)


def measure(case: Case) -> ErrorSources:
    """Measure, train, and part the error."""
    oracle = problem(TARGET)
    x = oracle.domain.uniform(case.n, generator=derive_generator(case.seed, "points"))
    noisy = NoisyOracle(oracle, y_noise=(0, NOISE))
    data = Dataset(x, noisy.sample(x, generator=derive_generator(case.seed, "noise")))
    training = GradientDescent(learning_rate=0.01, decay=1, steps=case.steps)
    network = MLP((case.width,), training=training)
    trained = network.fit(data, generator=derive_generator(case.seed, "fit"))
    best = best_fit(case.width, case.starts, data, case.seed)
    return error_sources(trained, best, case.best_of_space, reference_set(oracle))


def middle(found: list[ErrorSources]) -> dict[str, float]:
    """Return the medians."""
    names = (*SOURCES, "total")
    return {name: median(getattr(sources, name) for sources in found) for name in names}


def run(effort: Effort) -> Finding:
    """Vary one of width, points and steps at a time."""
    seeds, starts = effort.seeds(5), effort.pick(8, 1)
    base = effort.pick(BASE, (5, 80, 300))
    widths = effort.pick(WIDTHS, (1, 5))
    fits = effort.map(best_of_space, [(width, starts) for width in widths])
    space = dict(zip(widths, fits, strict=True))
    values = {
        "width": widths,
        "points": effort.pick(NUMBERS, (20, 80)),
        "steps": effort.pick(STEPS, (100, 300)),
    }
    settings = [
        (knob, value, [value if k == knob else b for k, b in zip(KNOBS, base, strict=True)])
        for knob in KNOBS
        for value in values[knob]
    ]
    cases = [
        Case(width, n, steps, starts, seed, space[width])
        for _, _, (width, n, steps) in settings
        for seed in seeds
    ]
    measured = effort.map(measure, cases)
    curves: dict[str, list[dict[str, float]]] = {knob: [] for knob in KNOBS}
    for i, (knob, _, _) in enumerate(settings):
        curves[knob].append(middle(measured[i * len(seeds) :][: len(seeds)]))
    pairs = list(zip(KNOBS, SOURCES, strict=True))
    ends = {knob: (curves[knob][0][source], curves[knob][-1][source]) for knob, source in pairs}
    falls = [last < first / 10 for first, last in ends.values()]
    summary = [
        (
            f"{source}, by {knob} from {values[knob][0]:,} to {values[knob][-1]:,}",
            "falls",
            *map(number, ends[knob]),
        )
        for knob, source in pairs
    ]
    rows = [
        (f"{knob} {value:,}", *(number(curves[knob][i][s]) for s in (*SOURCES, "total")))
        for knob in KNOBS
        for i, value in enumerate(values[knob])
    ]
    told = "; ".join(
        f"{source} from {number(ends[knob][0])} to {number(ends[knob][1])} by {knob}"
        for knob, source in pairs
    )
    rest = ", ".join(f"{knob} {value:,}" for knob, value in zip(KNOBS, base, strict=True))
    return Finding(
        "yes" if all(falls) else "partly" if any(falls) else "no",
        f"Mean squared errors, medians of {len(seeds)} seeds: {told}.",
        [
            (
                "What each knob does",
                Table.of(("mean squared error", "reported", "first", "last"), summary),
            ),
            ("All settings", Table.of(("", *SOURCES, "total"), rows)),
        ],
        _figure(curves, values),
        f"Runge's function with noise of standard deviation {NOISE} on y, at uniform points; one "
        "hidden layer of tanh units, Adam at the constant rate 0.01. What is not varied is: "
        f"{rest}. Best fits are by Levenberg-Marquardt, the best of {starts} starts without "
        f"regularisation, to the same data, and to {N_DENSE} exact values. The three add up to the "
        "mean squared error of the trained network exactly, for each seed, though their medians "
        "need not. A negative optimisation error means that training stopped before it fitted the "
        "noise. The source names the three and gives no figures.",
    )


def _figure(
    curves: dict[str, list[dict[str, float]]], values: dict[str, tuple[int, ...]]
) -> Figure:
    look = styles_of([*SOURCES, "total"])
    figure = Figure(figsize=(14, 4.4), layout="constrained")
    for axes, knob in zip(figure.subplots(1, 3, sharey=True), KNOBS, strict=True):
        for name, style in look.items():
            heights = [point[name] for point in curves[knob]]
            sizes = [abs(height) for height in heights]
            axes.loglog(
                values[knob], sizes, color=style.colour, linestyle=style.line, linewidth=1.3
            )
            for x, height in zip(values[knob], heights, strict=True):
                fill = style.colour if height >= 0 else "white"
                axes.plot(x, abs(height), style.marker, color=style.colour, markerfacecolor=fill)
            axes.plot([], [], style.marker, color=style.colour, linestyle=style.line, label=name)
        axes.set(xlabel=knob, title=f"Error by {knob}")
        axes.grid(visible=True, alpha=0.25)
    figure.axes[0].set_ylabel("mean squared error (hollow: negative)")
    figure.axes[0].legend()
    return figure


STUDY = Study(
    title="Three errors: approximation, generalisation, optimisation",
    claim="The error of a trained network has three sources: a wider network, more data and longer "
    "training each lower one of them.",
    run=run,
)
