"""The derivative of a network in its input, written out, against automatic differentiation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import pi, sqrt
from statistics import median
from time import perf_counter
from typing import Final, final

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from adaptsample import Dataset
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.metrics.errors import reference_set
from adaptsample.oracles import Differentiable
from adaptsample.oracles.problems import problem
from adaptsample.surrogates.mlp import MLP
from adaptsample.training import GradientDescent
from adaptsample.training.network import Layers, initial_parameters, input_gradient, split
from scripts.studies.common.study import Effort, Finding, Study, number, spread

FLOOR: Final = 1e-18
"""What no difference at all is drawn as."""
TOLERANCE: Final = 1e-12
SLOPES: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "tanh": lambda z: 1 - torch.tanh(z) ** 2,
    "relu": lambda z: (z > 0).to(z),
    "silu": lambda z: torch.sigmoid(z) * (1 + z * torch.sigmoid(-z)),
    "gelu": lambda z: (1 + torch.erf(z / sqrt(2))) / 2 + z * torch.exp(-z * z / 2) / sqrt(2 * pi),
}
"""The derivatives s' of activations s, which have the same names in torch."""


def recursion(layers: Layers, activation: str, x: Tensor) -> Tensor:
    """Return the gradient (n, d) of a network with one output, written out for reading.

    Forward a_l = s(z_l), z_l = a_(l-1) W_l + b_l; then g = W^T of the last layer, and backward
    g_(l-1) = (g_l * s'(z_l)) W_l^T, with a point in each row.
    """
    *weights, last = layers.weights
    a, z = x, []
    for weight, bias in zip(weights, layers.biases[:-1], strict=True):
        z.append(a @ weight + bias)
        a = getattr(functional, activation)(z[-1])
    g = last.T.expand(len(x), -1)
    for weight, sums in zip(reversed(weights), reversed(z), strict=True):
        g = (g * SLOPES[activation](sums)) @ weight.T
    return g


def automatic(layers: Layers, activations: list[str], x: Tensor) -> Tensor:
    """Return the same from the graph that torch records on the way forward."""
    x = x.detach().requires_grad_()
    a = x
    for weight, bias, name in zip(layers.weights, layers.biases, activations, strict=False):
        a = getattr(functional, name)(torch.addmm(bias, a, weight))
    output = torch.addmm(layers.biases[-1], a, layers.weights[-1])
    return torch.autograd.grad(output.sum(), x)[0]


@final
@dataclass(frozen=True)
class Case:
    """A network and how many points are asked at once.

    Args:
        activation: of all hidden layers.
        dimension: of a point.
        width: of each hidden layer.
        depth: hidden layers.
        n: points.
    """

    activation: str
    dimension: int
    width: int
    depth: int
    n: int


@final
@dataclass(frozen=True)
class Measured:
    """What one configuration gave.

    Args:
        library: largest disagreement of the library's recursion with automatic differentiation.
        written_out: that of the recursion above.
        speed: time of automatic differentiation over time of the library's recursion.
    """

    library: float
    written_out: float
    speed: float


def measure(case: Case) -> Measured:
    """Compare and time, with parameters twice as large as a network usually starts from."""
    widths = [case.dimension, *[case.width] * case.depth, 1]
    generator = derive_generator(0, f"{case}")
    layers = split(2 * initial_parameters(widths, generator=generator), widths)
    x = 2 * torch.rand(case.n, case.dimension, dtype=torch.float64, generator=generator) - 1
    names = [case.activation] * case.depth
    expected = automatic(layers, names, x)
    ours = input_gradient(layers, names, x)[:, 0]
    seconds: dict[str, list[float]] = {"library": [], "automatic": []}
    for _ in range(7):  # in turns, so that other work on the machine slows down both
        for name, function in zip(seconds, (input_gradient, automatic), strict=True):
            start = perf_counter()
            function(layers, names, x)
            seconds[name].append(perf_counter() - start)
    return Measured(
        _largest(ours - expected),
        _largest(recursion(layers, case.activation, x) - expected),
        min(seconds["automatic"]) / min(seconds["library"]),
    )


@final
@dataclass(frozen=True)
class Slopes:
    """Derivatives of networks trained on Runge's function, at the reference points.

    Args:
        theirs: of the source's network (n,).
        disagreement: the largest between this and automatic differentiation.
        ours: of the network that `mlp` is by default (n,).
    """

    theirs: Tensor
    disagreement: float
    ours: Tensor


def slopes(seed: int) -> Slopes:
    """Train on 100 equispaced points, and differentiate."""
    oracle = problem("runge")
    reference = reference_set(oracle).x
    x = oracle.domain.grid(100)
    data = Dataset(x, oracle(x))
    training = GradientDescent(learning_rate=0.01, decay=1, steps=500)
    network = MLP((64, 64), scale=False, training=training)
    model = network.fit(data, generator=derive_generator(seed, "fit"))
    best = MLP().fit(data, generator=derive_generator(seed, "best"))
    found = model.gradient(reference)[:, 0]
    layers = split(model.network.theta.double(), list(model.network.widths))
    graph = automatic(layers, model.network.activations, reference)
    return Slopes(found[:, 0], _largest(found - graph), best.gradient(reference)[:, 0, 0])


def run(effort: Effort) -> Finding:
    """Compare in all configurations, and on trained networks."""
    sizes, widths = effort.pick((1, 100, 10_000), (1, 100)), effort.pick((10, 100), (10,))
    cases = [Case(*values) for values in product(SLOPES, (1, 10), widths, (1, 2, 4), sizes)]
    measured = dict(zip(cases, effort.map(measure, cases), strict=True))
    trained = effort.map(slopes, range(effort.pick(3, 1)))
    oracle = problem("runge")
    assert isinstance(oracle, Differentiable)
    exact = oracle.gradient(reference_set(oracle).x)[:, 0, 0]
    disagreements = [s.disagreement for s in trained]
    largest = max(*disagreements, *(max(m.library, m.written_out) for m in measured.values()))
    speeds = {n: [m.speed for case, m in measured.items() if case.n == n] for n in sizes}
    by_name = {
        f"{name}, {len(of_name)} configurations": of_name
        for name in SLOPES
        for of_name in [[m for case, m in measured.items() if case.activation == name]]
    }
    return Finding(
        "yes" if largest <= TOLERANCE else "no",
        f"The largest disagreement is {number(largest)}, in {len(cases)} configurations and in "
        f"{len(trained)} trained networks. Automatic differentiation takes "
        f"{number(median(speeds[sizes[0]]))} times as long as the recursion for one point, and "
        f"{number(median(speeds[sizes[-1]]))} times for {sizes[-1]:,} (medians).",
        [
            (
                "Largest disagreement with automatic differentiation",
                Table.of(
                    ("", "asked for", "library", "as written out in this study"),
                    [
                        (
                            name,
                            "1e-12",
                            number(max(m.library for m in found)),
                            number(max(m.written_out for m in found)),
                        )
                        for name, found in by_name.items()
                    ]
                    + [("tanh, trained on Runge's function", "1e-12", spread(disagreements), "-")],
                ),
            ),
            (
                "Time of automatic differentiation, over that of the library's recursion",
                Table.of(
                    ("points at once", "ratio: median (least to largest)"),
                    [(f"{n:,}", spread(found)) for n, found in speeds.items()],
                ),
            ),
            (
                "Largest error of the derivative of Runge's function, from 100 values",
                Table.of(
                    ("", "the source's network", "`mlp`"),
                    [
                        (
                            "largest error",
                            spread([_largest(s.theirs - exact) for s in trained]),
                            spread([_largest(s.ours - exact) for s in trained]),
                        )
                    ],
                ),
            ),
        ],
        _figure(measured, trained[0], exact),
        "Both are the chain rule from the output back, with nearly the same products, and what the "
        "recursion saves is recording the graph: it is not much faster, but it is a plain function "
        "that compiles, and whose own derivative can be written out for training. A time is the "
        "least of seven, taken in turns in one run without compilation; it depends on the machine, "
        "and on what else that does. Networks have one output, 1 or 10 "
        "inputs, 1, 2 or 4 hidden layers of 10 or 100 units, and random parameters. In the figure, "
        f"{FLOOR:g} stands for no difference at all.",
    )


def _largest(difference: Tensor) -> float:
    return float(difference.abs().max())


def _figure(measured: Mapping[Case, Measured], trained: Slopes, exact: Tensor) -> Figure:
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    curve, agreement, speed = figure.subplots(1, 3)
    x = reference_set(problem("runge")).x[:, 0]
    look = styles_of(["recursion", "exact"])
    curve.plot(x, trained.theirs, color=look["recursion"].colour, label="network, by recursion")
    curve.plot(x, exact, color=look["exact"].colour, linestyle="--", label="exact")
    curve.set(xlabel="x", ylabel="derivative", title="Derivative of Runge's function, seed 0")
    looks = styles_of(list(SLOPES))
    for name, mark in looks.items():
        mine = [(i, m) for i, (c, m) in enumerate(measured.items()) if c.activation == name]
        dots = {"color": mark.colour, "marker": mark.marker, "linestyle": "", "markersize": 4}
        values = [max(m.library, m.written_out, FLOOR) for _, m in mine]
        agreement.semilogy([i for i, _ in mine], values, **dots, label=name)
        sizes = [c.n for c in measured if c.activation == name]
        speed.loglog(sizes, [m.speed for _, m in mine], **dots, label=name)
    agreement.axhline(TOLERANCE, color="k", linestyle="--", linewidth=1, label="asked for")
    agreement.set(xlabel="configuration", title="Disagreement with automatic differentiation")
    agreement.set(ylim=(FLOOR / 3, 1e-8))
    agreement.set(ylabel="largest difference of both recursions")
    speed.axhline(1, color="k", linestyle="--", linewidth=1, label="as fast")
    speed.set(xlabel="points at once", ylabel="time of automatic / of recursion", title="Speed")
    for axes in (curve, agreement, speed):
        axes.legend(fontsize="small")
        axes.grid(visible=True, alpha=0.25)
    return figure


STUDY = Study(
    title="The derivative of a network in its input",
    claim="The explicit recursion for the gradient of a network with respect to its input agrees "
    "with automatic differentiation to 1e-12, for all points at once.",
    run=run,
)
