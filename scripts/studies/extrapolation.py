"""Trained on one interval, measured on a wider one."""

from collections.abc import Callable
from itertools import pairwise
from statistics import median

import torch
from matplotlib.figure import Figure
from torch import Tensor

from adaptsample import Dataset, Surrogate
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.metrics.errors import errors
from adaptsample.registry import make_surrogate
from adaptsample.surrogates.formula import Formula
from adaptsample.surrogates.mlp import MLP
from adaptsample.training import GradientDescent
from scripts.studies.common.study import Effort, Finding, Study, number, spread

N, NOISE = 100, 0.1
END = 10.0  # of the data, which begin at 0
DISTANCES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
RIGHT, WRONG = "a*sin(w*x + p)", "a + b*x + c*x**2 + d*x**3 + e*x**4 + f*x**5"
FLEXIBLE = "tanh network", "ReLU network", "auto"
MODELS = (*FLEXIBLE, "wrong formula", "right formula", "right formula, noise")
TRUTH: Callable[[Tensor], Tensor] = torch.sin


def recipe(name: str, steps: int) -> Surrogate:
    """Return how a model is fitted."""
    if "network" in name:
        activation = name.partition(" ")[0].lower()
        return MLP((64, 64), activation, training=GradientDescent(decay=1, steps=steps))
    if name == "auto":
        return make_surrogate("auto")
    if name == "wrong formula":
        return Formula(WRONG, ("x",), tuple("abcdef"))
    return Formula(RIGHT, ("x",), ("a", "w", "p"))


def fit(case: tuple[str, int, int]) -> Tensor:
    """Train, and predict far beyond the data; a case is model, seed and number of steps."""
    name, seed, steps = case
    x = torch.linspace(0, END, N, dtype=torch.float64)[:, None]
    noise = torch.randn(x.shape, dtype=x.dtype, generator=derive_generator(seed, "noise"))
    data = Dataset(x, TRUTH(x) + NOISE * noise * ("noise" in name))
    model = recipe(name, steps).fit(data, generator=derive_generator(seed, "fit"))
    return model.predict(wide())


def wide() -> Tensor:
    """Return the points at which is measured, from 0 to as far beyond the data as these reach."""
    return torch.linspace(0, 2 * END, 2001, dtype=torch.float64)[:, None]


def band_errors(predicted: Tensor) -> list[float]:
    """Return the RMSE within the data, and at growing distances from them."""
    x = wide()
    outside = x[:, 0] - END
    bands = [outside <= 0, *((outside > a) & (outside <= b) for a, b in pairwise(DISTANCES))]
    return [errors(predicted[band], TRUTH(x[band]))["rmse"] for band in bands]


def run(effort: Effort) -> Finding:
    """Fit each model with ten seeds."""
    steps = effort.pick(5000, 300)
    cases = [
        (name, seed, steps)
        for name in MODELS
        for seed in (effort.seeds(10) if "network" in name or "noise" in name else [0])
    ]
    found: dict[str, list[Tensor]] = {name: [] for name in MODELS}
    for (name, _, _), predicted in zip(cases, effort.map(fit, cases), strict=True):
        found[name].append(predicted)
    measured = {name: [band_errors(y) for y in found[name]] for name in MODELS}
    bands = ["inside", *(f"{a:g} to {b:g} outside" for a, b in pairwise(DISTANCES))]
    columns = {name: list(zip(*measured[name], strict=True)) for name in MODELS}
    rows = [
        (band, "fails" if i else "good", *(spread(columns[name][i]) for name in MODELS))
        for i, band in enumerate(bands)
    ]
    middle = {name: [median(values) for values in columns[name]] for name in MODELS}
    far = {name: errors_[-1] for name, errors_ in middle.items()}
    inside = max(middle[name][0] for name in FLEXIBLE)
    fails = all(far[name] > 0.3 for name in FLEXIBLE)
    return Finding(
        "yes" if fails and inside < 0.1 else "partly" if fails else "no",
        f"From {DISTANCES[-2]:g} to {DISTANCES[-1]:g} beyond the data the RMSE is "
        + ", ".join(f"{number(far[name])} ({name})" for name in FLEXIBLE)
        + f", at most {number(inside)} within; the truth itself has {number(2**-0.5)}. The right "
        f"formula has {number(far['right formula'])}, from noisy data "
        f"{number(far['right formula, noise'])}; the wrong one {number(far['wrong formula'])}.",
        [("RMSE by distance", Table.of(("", "reported", *MODELS), rows))],
        _figure(found, middle),
        f"sin(x) from {N} equispaced points of [0, {END:g}], measured on [0, {2 * END:g}]. "
        f"Networks: 1-64-64-1, Adam at the constant rate 0.01, {steps:,} full-batch steps. Right "
        f"formula: `{RIGHT}`, three constants to fit; wrong: a polynomial of degree 5. Noise: "
        f"standard deviation {NOISE}. Ten seeds where anything is random, else one. The truth is "
        "analytic and its values exact, so the polynomial of `auto` continues it for a while; from "
        "a quarter of the interval on it is constant, by design. No flexible model goes further, "
        "however well it fits: there only the hypothesis space speaks. In the figure, "
        "errors of 0 are drawn at 1e-17.",
    )


def _figure(found: dict[str, list[Tensor]], middle: dict[str, list[float]]) -> Figure:
    look = styles_of(MODELS)
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    x = wide()
    left.axvspan(0, END, color="0.93", label="data")
    left.plot(x[:, 0], TRUTH(x)[:, 0], color="0.65", linewidth=4, label="truth")
    places = [-0.5, *((a + b) / 2 for a, b in pairwise(DISTANCES))]
    for name, style in look.items():
        if name != "right formula, noise":
            left.plot(x[:, 0], found[name][0][:, 0], color=style.colour, linestyle=style.line)
        right.semilogy(
            places,
            [max(value, 1e-17) for value in middle[name]],
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            label=name,
        )
    left.set(
        xlabel="x", ylabel="y", ylim=(-3, 3), title="Predictions, seed 0; lines as on the right"
    )
    left.legend(loc="lower left")
    right.axvline(0, color="0.6")
    right.set(xlabel="distance from the data (left of 0: within)", ylabel="RMSE", title="Medians")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.grid(visible=True, alpha=0.25)
    return figure


STUDY = Study(
    title="Extrapolation",
    claim="A model that fits well on the interval of its data fails on a wider one.",
    run=run,
)
