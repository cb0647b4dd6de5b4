"""Spaces of functions that are too small for a parabola and a cubic, and some that are not."""

from dataclasses import dataclass, replace
from math import sqrt
from typing import final

import torch
from matplotlib.figure import Figure
from scipy.optimize import nnls
from torch import Tensor

from adaptsample import Dataset, Surrogate
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.metrics.errors import errors
from adaptsample.oracles.problems import problem
from adaptsample.registry import make_surrogate
from adaptsample.surrogates.formula import Formula
from adaptsample.surrogates.mlp import MLP, MLPModel
from adaptsample.training import GradientDescent, LevenbergMarquardt
from adaptsample.training.network import count_parameters, initial_parameters, split
from scripts.studies.common.study import Effort, Finding, Study, number, spread

UNITS, N_TRAIN, N_DENSE = 10, 100, 401
RATE, STEPS = 0.005, 5000
TARGETS = "quadratic", "cubic"
DESCENT = GradientDescent("sgd", learning_rate=RATE, decay=1, steps=STEPS)
NETWORKS = {
    "one unit, readout": (1,),
    f"{UNITS} units, readout": (UNITS,),
    "two layers of 10 units": (UNITS, UNITS),
}
FORMULAS = {
    "a x + b": Formula("a*x + b", ("x",), ("a", "b")),
    "a x² + b x + c": Formula("a*x**2 + b*x + c", ("x",), ("a", "b", "c")),
    "a x³ + b x² + c x + d": Formula("a*x**3 + b*x**2 + c*x + d", ("x",), ("a", "b", "c", "d")),
}
SUMS = {"one ReLU unit": 1, f"{UNITS} units summed": UNITS}
SIZES = {
    "a x + b": 2,
    "one ReLU unit": 2,
    f"{UNITS} units summed": 2 * UNITS,
    "any number summed": None,
    **{name: count_parameters([1, *hidden, 1]) for name, hidden in NETWORKS.items()},
    "a x² + b x + c": 3,
    "a x³ + b x² + c x + d": 4,
    "auto": None,
}


@final
@dataclass(frozen=True)
class Trained:
    """What gradient descent came to with one seed.

    Args:
        rmse: of each space, on the dense points.
        predicted: there (n,).
    """

    rmse: dict[str, float]
    predicted: dict[str, Tensor]


def data_of(target: str, n: int) -> Dataset:
    """Return exact values at equispaced points."""
    oracle = problem(target)
    x = oracle.domain.grid(n)
    return Dataset(x, oracle(x))


def descend(case: tuple[str, int, int]) -> Trained:
    """Train each space by gradient descent; a case is target, seed and number of steps."""
    target, seed, steps = case
    data, reference = data_of(target, N_TRAIN), data_of(target, N_DENSE)
    predicted = {}
    for name, hidden in ({"a x + b": ()} | NETWORKS).items():
        network = MLP(hidden, "relu", training=replace(DESCENT, steps=steps), scale=False)
        model = network.fit(data, generator=derive_generator(seed, name))
        predicted[name] = model.predict(reference.x)
    for name, n in SUMS.items():
        theta = initial_parameters([1, n], generator=derive_generator(seed, name)).view(2, n)
        predicted[name] = summed(descend_sum(theta, data, steps), reference.x)
    rmse = {name: errors(y, reference.y)["rmse"] for name, y in predicted.items()}
    return Trained(rmse, {name: y[:, 0] for name, y in predicted.items()})


def summed(theta: Tensor, x: Tensor) -> Tensor:
    """Return the sum of units max(w x + b, 0), of which theta has the w and the b."""
    return torch.relu(x * theta[0] + theta[1]).sum(dim=1, keepdim=True)


def descend_sum(theta: Tensor, data: Dataset, steps: int) -> Tensor:
    """Train a sum of units without weights, which no network of the library is."""
    for _ in range(steps):
        pull = 2 / len(data) * (summed(theta, data.x) - data.y)
        pull = pull * (data.x * theta[0] + theta[1] > 0)
        theta = theta - RATE * torch.stack([(pull * data.x).sum(dim=0), pull.sum(dim=0)])
    return theta


def best(case: tuple[str, str, int]) -> float:
    """Return the RMSE of the best that was found; a case is target, space and number of starts."""
    target, name, starts = case
    data = data_of(target, N_DENSE)
    if name == "any number summed":
        return best_sum(data)
    model = recipe(name, starts).fit(data, generator=derive_generator(0, name))
    return errors(model.predict(data.x), data.y)["rmse"]


def recipe(name: str, starts: int) -> Surrogate:
    """Return the best way to fit a space."""
    if name in SUMS:
        terms = " + ".join(f"max(w{i}*x + b{i}, 0)" for i in range(SUMS[name]))
        parameters = tuple(f"{kind}{i}" for i in range(SUMS[name]) for kind in "wb")
        return Formula(terms, ("x",), parameters, n_starts=starts)
    if name in NETWORKS:
        training = LevenbergMarquardt(starts=starts, evidence=None)
        return MLP(NETWORKS[name], "relu", training=training)
    return FORMULAS.get(name) or make_surrogate(name)


def best_sum(data: Dataset) -> float:
    """Return the RMSE of the best sum of however many units, a problem of least squares.

    On an interval each unit is a positive multiple of max(x - t, 0) or max(t - x, 0), or a sum of
    those with t at its ends.
    """
    kinks = data.x[::2, 0]
    columns = torch.cat([torch.relu(data.x - kinks), torch.relu(kinks - data.x)], dim=1)
    _, distance = nnls(columns.numpy(), data.y[:, 0].numpy())
    return float(distance) / sqrt(len(data))


def stay_equal(target: str, steps: int) -> tuple[float, float]:
    """Train a network whose units start equal; return their largest difference, and the RMSE."""
    data, reference = data_of(target, N_TRAIN), data_of(target, N_DENSE)
    widths = [1, UNITS, 1]
    theta = torch.full((3 * UNITS + 1,), 0.3, dtype=torch.float64)
    network = MLP((UNITS,), "relu", training=replace(DESCENT, steps=0), scale=False)
    model = network.fit(data, generator=derive_generator(0, "equal"))
    assert isinstance(model, MLPModel)
    start = MLPModel(model.network.with_theta(theta), model.finalists)
    going_on = replace(network, training=replace(DESCENT, continued_steps=steps))
    trained = going_on.fit(data, generator=derive_generator(0, "equal"), start=start)
    layers = split(trained.network.theta, widths)
    units = torch.cat([layers.weights[0], layers.biases[0][None], layers.weights[1].T])
    difference = float((units.amax(dim=1) - units.amin(dim=1)).max())
    return difference, errors(trained.predict(reference.x), reference.y)["rmse"]


def run(effort: Effort) -> Finding:
    """Train with ten seeds, and find the best of each space."""
    steps, seeds = effort.pick(STEPS, 200), effort.seeds(10)
    trained = effort.map(descend, [(t, s, steps) for t in TARGETS for s in seeds])
    of = {t: trained[i * len(seeds) :][: len(seeds)] for i, t in enumerate(TARGETS)}
    cases = [(t, name, effort.pick(16, 1)) for t in TARGETS for name in SIZES]
    least = dict(zip([case[:2] for case in cases], effort.map(best, cases), strict=True))
    rows = []
    for name, size in SIZES.items():
        cells = []
        for target in TARGETS:
            found = [f.rmse[name] for f in of[target] if name in f.rmse]
            cells += [spread(found) if found else "-", number(least[target, name])]
        rows.append((name, "-" if size is None else str(size), "-", *cells))
    headings = ["space", "parameters", "reported"]
    for target in TARGETS:
        headings += [f"{target}: trained, {len(seeds)} seeds", f"{target}: best"]
    equal = [stay_equal(target, steps) for target in TARGETS]
    one = "one unit, readout"
    symmetry = [
        (
            target,
            number(difference),
            number(rmse),
            spread([f.rmse[one] for f in of[target]]),
            number(least[target, one]),
        )
        for target, (difference, rmse) in zip(TARGETS, equal, strict=True)
    ]
    wide = f"{UNITS} units, readout"
    gains = [least[t, "a x + b"] / least[t, wide] for t in TARGETS]
    is_one = all(e[1] > 0.999 * least[t, one] for t, e in zip(TARGETS, equal, strict=True))
    apart = max(difference for difference, _ in equal)
    return Finding(
        "yes" if min(gains) > 10 and apart < 1e-9 and is_one else "no",
        f"The best line errs by {number(least['quadratic', 'a x + b'])} and "
        f"{number(least['cubic', 'a x + b'])} (RMSE); {UNITS} units with readout by "
        f"{number(least['quadratic', wide])} and {number(least['cubic', wide])}. Units that start "
        f"equal differ by {number(apart)} at the end, and are no better than one. Without "
        "readout, no number of units comes nearer to the cubic than "
        f"{number(least['cubic', 'any number summed'])}.",
        [
            (f"RMSE on {N_DENSE} equispaced points", Table.of(headings, rows)),
            (
                f"{UNITS} units with readout that start equal",
                Table.of(
                    (
                        "target",
                        "largest difference of units",
                        "RMSE",
                        "RMSE of one unit, trained",
                        "best of one unit",
                    ),
                    symmetry,
                ),
            ),
        ],
        _figure({t: of[t][0] for t in TARGETS}),
        f"Trained: SGD at a constant rate of {RATE}, {steps:,} full-batch steps on {N_TRAIN} "
        "equispaced points; the source names neither rate nor steps. Best: exact least squares for "
        "what is linear, else the best of several starts of a second-order method on the points of "
        "the table; a better one may exist. On the whole interval the distances to the lines are "
        "1.837 and 3.076. A sum of units without weights is convex and never negative: so is this "
        "parabola, and the cubic is neither. The smallest spaces that contain the targets are the "
        "polynomials of their degrees, which `auto` finds by itself.",
    )


def _figure(found: dict[str, Trained]) -> Figure:
    shown = ["a x + b", "one ReLU unit", f"{UNITS} units summed", f"{UNITS} units, readout"]
    look = styles_of(["truth", *shown])
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    for axes, (target, trained) in zip(figure.subplots(1, 2), found.items(), strict=True):
        reference = data_of(target, N_DENSE)
        curves = {"truth": reference.y[:, 0]} | {name: trained.predicted[name] for name in shown}
        for name, y in curves.items():
            style = look[name]
            width, colour = (4, "0.75") if name == "truth" else (1.5, style.colour)
            axes.plot(
                reference.x[:, 0],
                y,
                color=colour,
                linestyle=style.line,
                label=name,
                linewidth=width,
            )
        axes.set(xlabel="x", ylabel="y", title=f"{target}, trained, seed 0")
        axes.legend()
        axes.grid(visible=True, alpha=0.25)
    return figure


STUDY = Study(
    title="Hypothesis spaces, too small and large enough",
    claim="A line is too small a space for a parabola and a cubic, ReLU units with a linear "
    "readout are a large enough one, and units that start equal stay equal.",
    run=run,
)
