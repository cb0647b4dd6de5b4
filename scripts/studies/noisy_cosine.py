"""A noisy cosine, learnt from one half and asked about the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import final

import torch
from matplotlib.figure import Figure
from torch import Tensor

from adaptsample import Box, Dataset
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.surrogates.auto import Auto
from adaptsample.surrogates.formula import Formula
from adaptsample.surrogates.gaussian_process import GaussianProcess
from adaptsample.surrogates.mlp import MLP
from adaptsample.surrogates.protocol import SupportsStd, Surrogate
from adaptsample.training import GradientDescent
from scripts.studies.common.study import Effort, Finding, Study, number, spread

N, NOISE, BATCH, EPOCHS = 100, 0.1, 10, 10_000
X = Box({"x": (0, 9.9)}).grid(N)
HALVES = slice(0, N // 2), slice(N // 2, N)
FIRST, ALL = "first half", "all"


@final
@dataclass(frozen=True)
class Fitted:
    """What a model makes of one seed's points.

    Args:
        predicted: at all points (100,).
        rmses: deviation from the cosine on either half.
        std: its own standard deviation (100,), in the units of y, if it has one.
    """

    predicted: Tensor
    rmses: tuple[float, ...]
    std: Tensor | None

    @property
    def covered(self) -> float:
        """Share of the second half where the cosine is within two standard deviations."""
        assert self.std is not None
        inside = (self.predicted - X.cos()[:, 0]).abs() <= 2 * self.std
        return float(inside[HALVES[1]].double().mean())


def recipes(effort: Effort) -> Mapping[tuple[str, str], Surrogate]:
    """Return what is fitted, by name and by the points it is given."""

    def network(n: int) -> Surrogate:
        steps = effort.pick(EPOCHS, 100) * n // BATCH
        training = GradientDescent("sgd", 0.001, decay=1, steps=steps, batch_size=BATCH)
        return MLP((64, 64), "relu", scale=False, training=training)

    return {
        ("network", FIRST): network(N // 2),
        ("`auto`", FIRST): Auto(effort=effort.pick("thorough", "quick")),
        ("Gaussian process", FIRST): GaussianProcess(),
        ("A cos(w x + p)", FIRST): Formula("A*cos(w*x + p)", ("x",), ("A", "w", "p")),
        ("network", ALL): network(N),
        ("Gaussian process", ALL): GaussianProcess(),
        ("A cos(w x + p)", ALL): Formula("A*cos(w*x + p)", ("x",), ("A", "w", "p")),
    }


def observe(seed: int) -> Dataset:
    """Return the noisy values of one seed."""
    noise = torch.randn(N, 1, dtype=torch.float64, generator=derive_generator(seed, "noise"))
    return Dataset(X, X.cos() + NOISE * noise)


def fit(seed: int, effort: Effort) -> dict[tuple[str, str], Fitted]:
    """Fit all recipes, and measure on both halves."""
    data = observe(seed)
    found = {}
    for (name, points), recipe in recipes(effort).items():
        given = data if points == ALL else data.rows(torch.arange(N // 2))
        model = recipe.fit(given, generator=derive_generator(seed, "fit"))
        predicted = model.predict(X)
        rmses = tuple(
            float((predicted[half] - X[half].cos()).square().mean().sqrt()) for half in HALVES
        )
        std = model.std(X)[:, 0] if isinstance(model, SupportsStd) else None
        found[name, points] = Fitted(predicted[:, 0], rmses, std)
    return found


def run(effort: Effort) -> Finding:
    """Fit with five seeds."""
    found = effort.map(partial(fit, effort=effort), effort.seeds(5))
    seeds = f"{len(found)} seeds"
    table = Table.of(
        (
            "model",
            "trained on",
            "reported",
            f"RMSE, first half, {seeds}",
            f"RMSE, second half, {seeds}",
            "second half within 2 std",
        ),
        [
            (
                name,
                points,
                "good, then fails" if (name, points) == ("network", FIRST) else "-",
                *(spread([f[name, points].rmses[half] for f in found]) for half in (0, 1)),
                _covered(found, name, points),
            )
            for name, points in found[0]
        ],
    )
    inside, outside = zip(*(f["network", FIRST].rmses for f in found), strict=True)
    nothing = float(X[HALVES[1]].cos().square().mean().sqrt())
    is_good, fails = max(inside) < NOISE, min(outside) > nothing
    law = [f["A cos(w x + p)", FIRST].rmses[1] for f in found]
    process = [f["Gaussian process", FIRST] for f in found]
    growth = median(_growth(p) for p in process)
    auto = [f["`auto`", FIRST].rmses[1] for f in found]
    worst = max(max(m.rmses) for f in found for (_, points), m in f.items() if points == ALL)
    return Finding(
        "yes" if is_good and fails else "partly" if is_good or fails else "no",
        f"Trained on the first half, the network is {spread(inside)} from the cosine there (the "
        f"noise is {NOISE}) and {spread(outside)} on the second, where 0 would be "
        f"{number(nothing)} off. `auto` is {spread(auto)} off there, and the Gaussian process "
        f"{spread([p.rmses[1] for p in process])}: its standard deviation "
        f"grows {number(growth)} times, and the cosine is within two of them at "
        f"{median(p.covered for p in process):.0%} of the points. The formula, with three "
        f"constants to find, is {spread(law)} off.",
        [("Root mean square deviation from the cosine", table)],
        _figure(found[0]),
        f"""\
- Deviations are from the cosine itself, not from the noisy points: the noise of {NOISE} is not in
  them. The source says "good" and "fails", no figures. A range is over seeds.
- The standard deviations tell that a model is asked beyond its data; how far wrong it is there,
  they cannot know. The Gaussian process stays constant beyond a quarter of the data's range.
- Trained on all points, no model is more than {number(worst)} off on either half.
- `Formula` is told what no point of the first half can tell: that the wave goes on.""",
    )


def _covered(found: list[dict[tuple[str, str], Fitted]], name: str, points: str) -> str:
    if found[0][name, points].std is None:
        return "-"
    shares = [100 * f[name, points].covered for f in found]
    return f"{spread(shares)} %"


def _growth(fitted: Fitted) -> float:
    """Return how much larger the mean standard deviation of the second half is."""
    assert fitted.std is not None
    first, second = (float(fitted.std[half].mean()) for half in HALVES)
    return second / first


def _figure(fitted: dict[tuple[str, str], Fitted]) -> Figure:
    data, x = observe(0), X[:, 0]
    look = styles_of(["network", "Gaussian process", "cosine", "A cos(w x + p)", "`auto`"])
    figure = Figure(figsize=(12, 4), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    shown = (
        (("network", "`auto`"), FIRST),
        (("Gaussian process", "A cos(w x + p)"), FIRST),
        (("network", "Gaussian process"), ALL),
    )
    for axes, (names, points) in zip(panels, shown, strict=True):
        axes.plot(x, data.y[:, 0], ".", color="0.6", markersize=4, label="data")
        if points == FIRST:
            axes.axvspan(float(x[N // 2]), float(x[-1]), color="0.93", label="not trained on")
        for name in ("cosine", *names):
            values = X.cos()[:, 0] if name == "cosine" else fitted[name, points].predicted
            style = look[name]
            axes.plot(x, values, color=style.colour, linestyle=style.line, label=name.strip("`"))
        if "Gaussian process" in names:
            one = fitted["Gaussian process", points]
            assert one.std is not None
            band = one.predicted - 2 * one.std, one.predicted + 2 * one.std
            axes.fill_between(x, *band, color=look["Gaussian process"].colour, alpha=0.2)
        axes.set(xlabel="x", title=f"Trained on {'the ' * (points == FIRST)}{points}, seed 0")
        axes.legend(fontsize=8)
        axes.grid(visible=True, alpha=0.25)
    panels[0].set(ylabel="y", ylim=(-2.5, 2.5))
    return figure


STUDY = Study(
    title="A noisy cosine and its other half",
    claim="A network of two layers of 64 units, trained on the first half of a noisy cosine, is "
    "good there and fails on the second half.",
    run=run,
)
