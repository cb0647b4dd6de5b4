"""Overfitting, and what helps against it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, final

import torch
from matplotlib.figure import Figure
from torch import Tensor

from adaptsample import Box, Dataset
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.surrogates.auto import Auto
from adaptsample.surrogates.gaussian_process import GaussianProcess
from adaptsample.surrogates.mlp import MLP, MLPModel
from adaptsample.surrogates.protocol import Surrogate
from adaptsample.training import GradientDescent, LevenbergMarquardt, Training
from scripts.studies.common.study import Effort, Finding, Study, number, spread

N, SHARES, NOISE, BATCH = 30, (0.68, 0.32), 1.5, 10
DOMAIN = Box({"x": (0, 10)})
GRID = DOMAIN.grid(201)
BLOCK = 200  # epochs between two looks at the errors
SOURCE, EARLY = "as in the source", "early stopping"


@final
@dataclass(frozen=True)
class Case:
    """A way of training, or another surrogate.

    Args:
        recipe: what is fitted.
        blocks: fits in a row, each going on where the one before ended.
        n: points, of which 68 % are trained on.
    """

    recipe: Surrogate
    blocks: int = 1
    n: int = N


@final
@dataclass(frozen=True)
class Course:
    """What became of one case with one seed; errors are mean squares.

    Args:
        errors: on the training points, on the noisy points held out, and from the line without
            noise on [0, 10], after each block (blocks, 3).
        predicted: at the end, on 201 points.
        epochs: until training was stopped; 0 for what is not trained by epochs.
    """

    errors: Tensor
    predicted: Tensor
    epochs: int


def cases(effort: Effort) -> Mapping[str, Case]:
    """Return what is tried, by name; networks take as many steps as the source's."""
    blocks = effort.pick(100, 2)
    steps = 2 * BLOCK  # an epoch has two batches

    def network(*hidden: int, n: int = N, **options: Any) -> Case:
        training = GradientDescent(
            "sgd", 0.001, decay=1, steps=steps, continued_steps=steps, batch_size=BATCH, **options
        )
        return Case(MLP(hidden, "relu", scale=False, training=training), blocks, n)

    stopping = GradientDescent(
        "sgd",
        0.001,
        decay=1,
        steps=blocks * steps,
        batch_size=BATCH,
        validation_fraction=0.25,
        patience=500,
    )
    few = LevenbergMarquardt(starts=1, start_iterations=5, iterations=5, compiled=False)
    return {
        SOURCE: network(64, 64, 64),
        "ten times the data": network(64, 64, 64, n=10 * N),
        "one layer of 8 units": network(8),
        "weight decay 0.1": network(64, 64, 64, weight_decay=0.1),
        "dropout 0.2": network(64, 64, 64, dropout=0.2),
        EARLY: Case(MLP((64, 64, 64), "relu", scale=False, training=stopping)),
        "`mlp()`": Case(MLP(training=effort.pick(LevenbergMarquardt(), few))),
        "`gaussian_process`": Case(GaussianProcess()),
        "`auto`": Case(Auto(effort=effort.pick("thorough", "quick"))),
    }


def observe(seed: int, n: int = N) -> tuple[Dataset, ...]:
    """Return the points to train on, and those held out."""
    x = DOMAIN.grid(n)
    noise = torch.randn(n, 1, dtype=torch.float64, generator=derive_generator(seed, "noise"))
    return Dataset(x, x + NOISE * noise).split(*SHARES, generator=derive_generator(seed, "split"))


def fit(seed: int, effort: Effort) -> dict[str, Course]:
    """Fit all cases to the points of one seed."""
    return {name: follow(case, seed) for name, case in cases(effort).items()}


def follow(case: Case, seed: int) -> Course:
    """Fit, block by block, and look at the errors after each."""
    train, test = observe(seed, case.n)
    measured = train, test, Dataset(GRID, GRID)
    generator = derive_generator(seed, "fit")
    model: Any = None
    errors = []
    for _ in range(case.blocks):
        model = case.recipe.fit(train, generator=generator, start=model)
        errors.append([float((model.predict(d.x) - d.y).square().mean()) for d in measured])
    epochs = 0
    if isinstance(model, MLPModel) and isinstance(model.training, Training):
        epochs = len(model.training.validation_loss)
    return Course(torch.tensor(errors, dtype=torch.float64), model.predict(GRID)[:, 0], epochs)


def run(effort: Effort) -> Finding:
    """Fit with five seeds."""
    found = effort.map(partial(fit, effort=effort), effort.seeds(5))
    ends = {name: torch.stack([f[name].errors[-1] for f in found]) for name in found[0]}
    source = torch.stack([f[SOURCE].errors for f in found])
    falls, rises, strays = (
        int((sign * (source[:, -1, i] - source[:, 0, i]) > 0).sum())
        for i, sign in enumerate((-1, 1, 1))
    )
    helped = {
        name: int((end[:, 2] < ends[SOURCE][:, 2]).sum())
        for name, end in ends.items()
        if name != SOURCE
    }
    table = Table.of(
        ("", "training points", "noisy test points", "truth", "nearer the truth than the source's"),
        [
            (
                name,
                *(spread(end[:, i].tolist()) for i in range(3)),
                "-" if name == SOURCE else f"{helped[name]} of {len(found)} seeds",
            )
            for name, end in ends.items()
        ],
    )
    course = Table.of(
        ("mean squared error", "reported", *(f"{e:,} epochs" for e in _shown(source))),
        [
            (
                name,
                "falls" if i == 0 else "rises",
                *(spread(source[:, e // BLOCK - 1, i].tolist()) for e in _shown(source)),
            )
            for i, name in enumerate(("training points", "noisy test points", "truth"))
        ],
    )
    n = len(found)
    always = [name for name, times in helped.items() if times == n]
    middle = {name: median(end[:, 2].tolist()) for name, end in ends.items()}
    rest = [name for name in helped if name not in always]
    return Finding(
        "yes" if falls == strays == n and 2 * rises > n else "partly" if falls == n else "no",
        f"From epoch {BLOCK} on, the training error falls with {falls} of {n} seeds, the error on "
        f"the noisy test points rises with {rises}, and that from the true line with {strays}: to "
        f"{number(middle[SOURCE])} (median). Nearer the line with every seed: "
        f"{_listed(always, middle)}. Not with every: {_listed(rest, middle)}.",
        [("The source's network as training goes on", course), ("Remedies, at the end", table)],
        _figure(found, middle),
        f"""\
- Errors are mean squares. Noisy points add the noise's variance, {NOISE**2}, to the error from the
  true line, and the test part has ten of them: their error moves as much by luck as by overfitting.
  So the distance from the true line, on 201 points of [0, 10], tells what a remedy is worth.
- All networks but the stopped one take 40,000 steps of ten points; ten times the data is 300
  points, hence a tenth of the epochs. Early stopping holds out a quarter of the training points,
  five, keeps the network of the lowest error on them, and ends after 500 epochs without a new one:
  after {spread([f[EARLY].epochs for f in found])} epochs.
- Dropout has the network pay for the variance of its own outputs, which grows with their square: it
  stays below the line where that is high.
- `mlp()`, a network by least squares whose prior and noise come from the evidence, the Gaussian
  process and `auto` are used as they come, and none is told to stop. The first two estimate the
  noise. `auto` also tries models that may pass through all values, as a rough Gaussian process,
  and so few points do not always tell it that these follow the noise.""",
    )


def _shown(source: Tensor) -> list[int]:
    """Return the epochs of the table: some on a scale that doubles, and the last."""
    blocks = source.shape[1]
    return [BLOCK * b for b in sorted({b for b in (1, 5, 20) if b < blocks} | {blocks})]


def _listed(names: list[str], middle: dict[str, float]) -> str:
    return ", ".join(f"{name} ({number(middle[name])})" for name in names) or "none"


def _figure(found: list[dict[str, Course]], middle: dict[str, float]) -> Figure:
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    course, fits, ends = figure.subplots(1, 3)
    curves = torch.stack([f[SOURCE].errors for f in found])
    epochs = BLOCK * torch.arange(1, curves.shape[1] + 1)
    parts = "training points", "noisy test points", "truth"
    for i, (name, look) in enumerate(styles_of(parts).items()):
        course.plot(epochs, curves[:, :, i].T, color=look.colour, linewidth=0.5, alpha=0.4)
        values = curves[:, :, i].median(dim=0).values
        course.plot(epochs, values, color=look.colour, linestyle=look.line, linewidth=2, label=name)
    course.set(yscale="log", xlabel="epoch", ylabel="mean squared error")
    course.set_title("The source's network: medians, and all seeds")
    train, test = observe(0)
    fits.plot(train.x[:, 0], train.y[:, 0], "k.", label="training points")
    fits.plot(test.x[:, 0], test.y[:, 0], "kx", markersize=5, label="test points")
    fits.plot(GRID[:, 0], GRID[:, 0], color="0.6", label="truth")
    for name, look in styles_of((SOURCE, EARLY, "`gaussian_process`")).items():
        values = found[0][name].predicted
        fits.plot(GRID[:, 0], values, color=look.colour, linestyle=look.line, label=name.strip("`"))
    fits.set(xlabel="x", ylabel="y", title="Fits, seed 0")
    for row, name in enumerate(middle):
        last = [float(f[name].errors[-1, 2]) for f in found]
        ends.plot([min(last), max(last)], [row, row], color="0.5")
        ends.plot(median(last), row, color="#0072b2", marker="o")
    ends.axvline(middle[SOURCE], color="0.7", linestyle=":")
    ends.set_yticks(range(len(middle)), [name.strip("`") for name in middle])
    ends.invert_yaxis()
    ends.set(xscale="log", xlabel="mean squared error from the truth")
    ends.set_title("At the end: medians and ranges")
    for axes in (course, fits, ends):
        axes.grid(visible=True, alpha=0.25)
    course.legend()
    fits.legend(fontsize=8)
    return figure


STUDY = Study(
    title="Overfitting and its remedies",
    claim="A network of three layers of 64 units, trained on 20 noisy points of a line for 20,000 "
    "epochs, overfits: its training error falls while its test error rises.",
    run=run,
)
