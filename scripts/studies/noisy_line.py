"""A line, learnt from measurements with biased noise on both axes."""

from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev
from typing import final

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from adaptsample import Dataset
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.diagnostics.loss_surface import LossSurface, descent_path, loss_surface
from adaptsample.oracles import NoisyOracle
from adaptsample.oracles.problems import problem
from adaptsample.surrogates.formula import Formula
from adaptsample.training import GradientDescent
from adaptsample.training.losses import Samples
from scripts.studies.common.study import Effort, Finding, Study, number, spread

N, MANY = 100, 100_000
SLOPE, INTERCEPT = -0.68, 1.4
RANGE = (-5.0, 5.0)
THRESHOLD = 0.05  # about twice the variance of the noise, 0.15^2 + (0.68 * 0.02)^2
LINE = Formula("a*x + b", ("x",), ("a", "b"))
TRAINING = GradientDescent("sgd", learning_rate=0.1, decay=1, steps=100)


@final
@dataclass(frozen=True)
class Outcome:
    """What one seed came to; parameters are (a, b).

    Args:
        data: the measurements.
        path: parameters of gradient descent (steps + 1, 2).
        losses: at its end, and the least there is.
        exact: parameters of least squares.
        many: the same from a thousand times as many measurements.
    """

    data: Dataset
    path: Tensor
    losses: tuple[float, float]
    exact: tuple[float, float]
    many: tuple[float, float]

    @property
    def trained(self) -> tuple[float, float]:
        """Parameters at the end of gradient descent."""
        a, b = self.path[-1].tolist()
        return a, b


def fit(seed: int) -> Outcome:
    """Measure; descend from (0, 0), and solve."""
    data = measured(N, seed)
    no_slopes = data.x.new_zeros(0, N, 1)
    samples = Samples(data.x, data.y, no_slopes, no_slopes)
    zero = torch.zeros(2, dtype=torch.float64)
    generator = derive_generator(seed, "descent")
    path = descent_path(TRAINING, zero, [1, 1], "tanh", samples, generator=generator)
    exact, many = least_squares(data), least_squares(measured(MANY, seed))
    ends = losses(data, torch.stack([path[-1], torch.tensor(exact, dtype=torch.float64)]))
    return Outcome(data, path, (float(ends[0]), float(ends[1])), exact, many)


def measured(n: int, seed: int) -> Dataset:
    """Measure at n uniform points."""
    oracle = problem("noisy_line")
    assert isinstance(oracle, NoisyOracle)
    x = oracle.domain.uniform(n, generator=derive_generator(seed, "points", n))
    return Dataset(x, oracle.sample(x, generator=derive_generator(seed, "noise", n)))


def least_squares(data: Dataset) -> tuple[float, float]:
    """Return the parameters (a, b) of the best line."""
    found = LINE.fit(data, generator=derive_generator(0, "fit")).parameters
    return found["a"], found["b"]


def losses(data: Dataset, pairs: Tensor) -> Tensor:
    """Return the mean squared errors of m pairs (a, b)."""
    a, b = pairs[:, :1], pairs[:, 1:]
    return (a * data.x[:, 0] + b - data.y[:, 0]).square().mean(dim=1)


def limit() -> tuple[float, float]:
    """Return (a, b) of the best line for infinitely many measurements.

    The point x is measured at x - e, so the line is shifted by 0.68 times the mean of e, and by
    that of the noise on y. Where x - e leaves the domain at -1 it is moved back by r = e - (x + 1),
    which bends the line: the projections of -0.68 r on 1 and x, by the moments of e, are added.
    """
    m, s = 0.05, 0.02
    second, third = m**2 + s**2, m**3 + 3 * m * s**2  # of e; it is hardly ever negative
    a = SLOPE + 3 * SLOPE / 2 * (third / 6 - second / 2)
    return a, INTERCEPT - SLOPE * m - 0.05 + SLOPE / 2 * second / 2


def run(effort: Effort) -> Finding:
    """Fit with ten seeds."""
    found = effort.map(fit, effort.seeds(10))
    n, expected = len(found), limit()
    n_suitable = sum(f.losses[0] < THRESHOLD for f in found)
    excess = max(f.losses[0] - f.losses[1] for f in found)
    rows = []
    for i, name in enumerate(("a", "b")):
        parts = [[f.trained[i] for f in found], [f.exact[i] for f in found]]
        many = [f.many[i] for f in found]
        rows.append(
            (
                f"{name} (true: {(SLOPE, INTERCEPT)[i]})",
                "-",
                *map(spread, parts),
                f"{mean(many):.4f} ± {stdev(many) / sqrt(n):.4f}",
                f"{expected[i]:.4f}",
            )
        )
    ends = [[f.losses[i] for f in found] for i in (0, 1)]
    rows.append(("loss", "-", *map(spread, ends), "-", "-"))
    rows.append(("suitable", "yes", f"{n_suitable} of {n}", f"{n} of {n}", "-", "-"))
    table = Table.of(
        (
            "",
            "reported",
            f"reproduced, {n} seeds",
            "least squares",
            f"{MANY:,} measurements, mean",
            "infinitely many",
        ),
        rows,
    )
    biases = [value - true for value, true in zip(expected, (SLOPE, INTERCEPT), strict=True)]
    surface = loss_surface(lambda pairs: losses(found[0].data, pairs), RANGE, RANGE, n=201)
    return Finding(
        "yes" if n_suitable == n else "no",
        f"The loss is below {THRESHOLD} for {n_suitable} of {n} seeds, and at most "
        f"{number(excess)} above the least there is. What is found is not the line, though: biased "
        f"noise shifts b by {biases[1]:+.4f} and a by {biases[0]:+.4f} however many measurements.",
        [("Parameters of a x + b", table)],
        _figure(found, surface, expected),
        f"The source names no threshold; {THRESHOLD} is about twice the variance of the noise, and "
        f"{100 * surface.share_below(THRESHOLD):.2f}% of the square are below it for seed 0. A "
        "point is measured at x - e, with e the noise on x, and this "
        "error is independent of x: its mean shifts b by 0.68 · 0.05 = 0.034, against the -0.05 of "
        "the noise on y, and its spread does not bias a. The rest comes from measurements next to "
        "-1, where x - e would leave the domain and is moved back. If the true point were drawn "
        "and then misread, a would be flattened by the factor 1 / (1 + 3 · 0.02²) = 0.9988 "
        "instead.",
    )


def _figure(found: list[Outcome], surface: LossSurface, expected: tuple[float, float]) -> Figure:
    look = styles_of(["descent", "least squares", "truth", "limit"])
    first = found[0]
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.plot(first.data.x[:, 0], first.data.y[:, 0], ".", color="0.6", label="measurements")
    ends = torch.tensor([-1.0, 1.0])
    lines = {"truth": (SLOPE, INTERCEPT), "descent": first.trained, "limit": expected}
    for name, (a, b) in lines.items():
        style = look[name]
        left.plot(ends, a * ends + b, color=style.colour, linestyle=style.line, label=name)
    left.set(xlabel="x", ylabel="y", title="Measurements and lines, seed 0")

    levels = [0.1, 0.5, 1, 2, 5, 10, 20, 40]
    grid = surface.first, surface.second, surface.loss.T
    contours = middle.contour(*grid, levels=levels, colors="0.55", linewidths=0.8)
    middle.clabel(contours, fontsize=7, fmt="%g")
    middle.contourf(*grid, levels=[0, THRESHOLD], colors=["#009e73"], alpha=0.7)
    middle.plot(*first.path.T, ".-", color=look["descent"].colour, markersize=4, linewidth=1)
    handles = [
        Line2D([], [], color=look["descent"].colour, marker=".", label="100 steps from (0, 0)"),
        Line2D([], [], color="#009e73", linewidth=6, alpha=0.7, label=f"loss below {THRESHOLD}"),
    ]
    middle.legend(handles=handles, loc="lower left")
    middle.set(xlabel="a", ylabel="b", title="Loss of a x + b, seed 0")

    points = {
        "descent": [f.trained for f in found],
        "least squares": [f.exact for f in found],
        "truth": [(SLOPE, INTERCEPT)],
        "limit": [expected],
    }
    for name, pairs in points.items():
        style = look[name]
        filled = style.colour if name in ("truth", "limit") else "none"
        right.plot(
            *zip(*pairs, strict=True),
            style.marker,
            color=style.colour,
            markerfacecolor=filled,
            label=name,
        )
    right.set(xlabel="a", ylabel="b", title=f"Lines found, {len(found)} seeds")
    for axes in (left, right):
        axes.legend()
        axes.grid(visible=True, alpha=0.25)
    return figure


STUDY = Study(
    title="A line from noisy measurements",
    claim="From 100 measurements with biased noise on x and y, 100 steps of gradient descent find "
    "a suitable line.",
    run=run,
)
