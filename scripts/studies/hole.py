"""A hole in the data: what is lost there, how a bound foretells it, and a strategy made of it."""

from dataclasses import dataclass, replace
from math import prod
from statistics import median
from typing import final

import numpy as np
import sympy
import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from adaptsample import Dataset, Sampler, Surrogate
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.metrics.errors import errors, reference_set
from adaptsample.oracles import ExpressionOracle
from adaptsample.oracles.problems import problem
from adaptsample.surrogates.mlp import MLP
from adaptsample.surrogates.polynomial import Polynomial
from adaptsample.training import GradientDescent
from scripts.studies.common.study import Effort, Finding, Study, number, spread

EDGE, N = 0.1, 100
TARGETS = {
    "Runge": problem("runge"),
    "hidden bump": ExpressionOracle("sin(3*x) + exp(-(x/0.03)**2)", {"x": (-1, 1)}),
}
TRAINING = GradientDescent(learning_rate=0.01, decay=1)
NETWORK = MLP((64, 64), scale=False, training=TRAINING)
MODELS = "network", "polynomial"
ORDERS = {1: 1 / 2, 2: 1 / 8, 4: 3 / 128}  # of interpolation, and the constant in its bound
GAPS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
STRATEGIES = "gap_derivative", "sobol"
SAMPLED = "narrow_peak", "tanh_step", "runge"
SURROGATES = "interpolation", "gaussian_process"
BUDGET = 60


@final
@dataclass(frozen=True)
class Interpolation:
    """Straight lines from point to point: the surrogate that the bound with k = 2 is about."""

    def fit(
        self, data: Dataset, *, generator: Generator, start: object = None
    ) -> "InterpolationModel":
        """Sort the points."""
        del generator, start
        order = data.x[:, 0].argsort()
        return InterpolationModel(data.x[order, 0], data.y[order, 0])


@final
@dataclass(frozen=True, eq=False)
class InterpolationModel:
    """Sorted points and their values."""

    x: Tensor
    y: Tensor

    def predict(self, x: Tensor) -> Tensor:
        """Interpolate; constant outside of the points."""
        return torch.from_numpy(np.interp(x[:, 0], self.x, self.y))[:, None]


@final
@dataclass(frozen=True)
class Outcome:
    """What one fit came to.

    Args:
        inside: largest error in the hole.
        outside: largest error outside of it.
        predicted: on the reference set (n,).
    """

    inside: float
    outside: float
    predicted: Tensor


def with_hole(target: str) -> Dataset:
    """Return equispaced points but those in the hole."""
    oracle = TARGETS[target]
    x = oracle.domain.grid(N)
    x = x[x[:, 0].abs() >= EDGE]
    return Dataset(x, oracle(x))


def fit(case: tuple[str, str, int, int]) -> Outcome:
    """Fit beside the hole and measure; a case is target, model, seed and number of steps."""
    target, name, seed, steps = case
    recipe: Surrogate = Polynomial()
    if name == "network":
        recipe = replace(NETWORK, training=replace(TRAINING, steps=steps))
    reference = reference_set(TARGETS[target])
    model = recipe.fit(with_hole(target), generator=derive_generator(seed, "fit"))
    predicted = model.predict(reference.x)
    is_inside = reference.x[:, 0].abs() < EDGE
    inside, outside = (
        errors(predicted[where], reference.y[where])["max"] for where in (is_inside, ~is_inside)
    )
    return Outcome(inside, outside, predicted[:, 0])


def interpolation(order: int, gap: float) -> tuple[float, float]:
    """Return the largest error of interpolation in a gap around 0, and its bound.

    The polynomial of degree order - 1 goes through the order points nearest to the gap, spaced as
    wide as it is. Order 1 takes the nearer end of the gap.
    """
    symbol = sympy.Symbol("x")
    formula = 1 / (1 + 25 * symbol**2)
    width = gap * max(order - 1, 1)  # of what the nodes span, where the derivative counts
    exact = ExpressionOracle(formula, {"x": (-gap / 2, gap / 2)})
    derivative = ExpressionOracle(
        sympy.diff(formula, symbol, order), {"x": (-width / 2, width / 2)}
    )
    steepest = float(derivative(derivative.domain.grid(1001)).abs().max())
    x = exact.domain.grid(1001)
    if order == 1:
        interpolated = exact(torch.where(x < 0, -gap / 2, gap / 2))
    else:
        nodes = [gap * (i - (order - 1) / 2) for i in range(order)]
        values = exact(torch.tensor(nodes, dtype=torch.float64)[:, None])[:, 0]
        interpolated = torch.zeros_like(x)
        for node, value in zip(nodes, values, strict=True):
            others = [other for other in nodes if other != node]
            interpolated += value * prod((x - other) / (node - other) for other in others)
    bound = ORDERS[order] * gap**order * steepest
    return float((interpolated - exact(x)).abs().max()), bound


def sample(case: tuple[str, str, str, int, int]) -> float:
    """Return the MAE after a run; a case is problem, surrogate, strategy, seed and budget."""
    name, surrogate, strategy, seed, budget = case
    sampler = Sampler(
        problem(name),
        surrogate=Interpolation() if surrogate == "interpolation" else surrogate,
        strategy=strategy,
        seed=seed,
        batch_size=5,
    )
    return sampler.run(budget).rounds[-1].errors["mae"]


def run(effort: Effort) -> Finding:
    """Dig the hole with ten seeds, widen a gap, and sample with five."""
    seeds, steps = effort.seeds(10), effort.pick(5000, 300)
    cases = [
        (target, name, seed, steps)
        for target in TARGETS
        for name in MODELS
        for seed in (seeds if name == "network" else [0])
    ]
    of: dict[tuple[str, str], list[Outcome]] = {(t, m): [] for t in TARGETS for m in MODELS}
    for (target, name, *_), outcome in zip(cases, effort.map(fit, cases), strict=True):
        of[target, name].append(outcome)
    rows = [
        (
            f"{target}, {place}",
            "-",
            *(spread([getattr(outcome, place) for outcome in of[target, m]]) for m in MODELS),
        )
        for target in TARGETS
        for place in ("inside", "outside")
    ]
    bounds = {order: [interpolation(order, gap) for gap in GAPS] for order in ORDERS}
    bound_rows = [
        (
            f"{gap:g}",
            *(f"{number(bounds[k][i][0])} / {number(bounds[k][i][1])}" for k in ORDERS),
        )
        for i, gap in enumerate(GAPS)
    ]
    few, budget = effort.seeds(5), effort.pick(BUDGET, 20)
    shown = effort.pick(SURROGATES, SURROGATES[:1])
    pairs = [(p, s) for s in shown for p in SAMPLED]
    runs = [(*pair, strategy, i, budget) for pair in pairs for strategy in STRATEGIES for i in few]
    ends = dict(zip(runs, effort.map(sample, runs), strict=True))
    sampled = {
        pair: [[ends[*pair, strategy, i, budget] for i in few] for strategy in STRATEGIES]
        for pair in pairs
    }
    gains = {pair: median(sobol) / median(own) for pair, (own, sobol) in sampled.items()}
    sampled_rows = [
        (f"{p}, {s}", *map(spread, sampled[p, s]), number(gains[p, s])) for p, s in pairs
    ]
    ratios = {t: [o.inside / o.outside for o in of[t, "network"]] for t in TARGETS}
    is_bound = all(
        error <= bound * (1 + 1e-9) for pairs in bounds.values() for error, bound in pairs
    )
    worst, best = min(gains, key=gains.__getitem__), max(gains, key=gains.__getitem__)
    verdicts = [min(map(min, ratios.values())) > 1, is_bound, min(gains.values()) > 1]
    return Finding(
        "yes" if all(verdicts) else "partly" if any(verdicts) else "no",
        "The network's largest error is "
        + " and ".join(f"{spread(r)} ({t})" for t, r in ratios.items())
        + " times as large inside as outside. Interpolation keeps its bound "
        + ("always" if is_bound else "not always")
        + f". The strategy beats Sobol points in {sum(g > 1 for g in gains.values())} of "
        f"{len(gains)} settings; its gain is least, {number(gains[worst])}, on {', '.join(worst)}, "
        f"and greatest, {number(gains[best])}, on {', '.join(best)}.",
        [
            (
                f"Largest error, without data in -{EDGE} < x < {EDGE}",
                Table.of(("", "reported", f"reproduced, {len(seeds)} seeds", "`polynomial`"), rows),
            ),
            (
                "Largest error of interpolation in a gap, and bound c · gap^k · max |f^(k)|",
                Table.of(
                    ("gap", *(f"k = {k}, c = {c:.4g}" for k, c in ORDERS.items())), bound_rows
                ),
            ),
            (
                f"Mean absolute error after {budget} evaluations, {len(few)} seeds",
                Table.of(("", *STRATEGIES, "gain"), sampled_rows),
            ),
        ],
        _figure(of, bounds),
        f"Network: 1-64-64-1 tanh, Adam at the constant rate 0.01, {steps:,} full-batch steps, on "
        f"the {len(with_hole('Runge'))} of {N} equispaced points outside of the hole; the source "
        "names the hole only. At a constant rate Adam jumps, so the spread over seeds is wide. "
        "Runge's function is rational, which `polynomial` finds: so it knows what is in the hole. "
        "The bump, sin(3x) + exp(-(x/0.03)²), is hidden in the hole: nothing outside tells of it, "
        "and no method can know. Gaps are those of Runge's function around 0, where its "
        "derivatives of even order are largest. The strategy is `gap_derivative`, its surrogate "
        "straight lines between neighbours, which the bound with k = 2 is about, or a Gaussian "
        "process. That is of higher order where the function is smooth, and crowded points gain it "
        "less than even ones.",
    )


def _figure(
    found: dict[tuple[str, str], list[Outcome]], bounds: dict[int, list[tuple[float, float]]]
) -> Figure:
    look = styles_of(MODELS)
    figure = Figure(figsize=(14, 4.4), layout="constrained")
    *holes, right = figure.subplots(1, 3)
    for axes, (target, oracle) in zip(holes, TARGETS.items(), strict=True):
        reference = reference_set(oracle)
        x = reference.x[:, 0]
        axes.axvspan(-EDGE, EDGE, color="0.9")
        axes.plot(x, reference.y[:, 0], color="0.6", linewidth=4, label="truth")
        for name, style in look.items():
            y = found[target, name][0].predicted
            axes.plot(x, y, color=style.colour, linestyle=style.line, label=name)
        data = with_hole(target)
        axes.plot(data.x[:, 0], data.y[:, 0], "k.", markersize=3, label="data")
        axes.set(xlabel="x", ylabel="y", xlim=(-0.5, 0.5), title=f"{target}, seed 0")
        axes.legend()
    for (order, pairs), style in zip(bounds.items(), styles_of("abc").values(), strict=True):
        measured, bound = zip(*pairs, strict=True)
        right.loglog(
            GAPS, bound, color=style.colour, linestyle=style.line, label=f"bound, k = {order}"
        )
        right.loglog(
            GAPS,
            measured,
            style.marker,
            color=style.colour,
            markerfacecolor="none",  # at 0 orders 1 and 2 err alike
            label=f"interpolation, k = {order}",
        )
    right.set(xlabel="gap", ylabel="largest error in the gap", title="Runge, gap around 0")
    right.legend(fontsize=8)
    for axes in (*holes, right):
        axes.grid(visible=True, alpha=0.25)
    return figure


STUDY = Study(
    title="A hole in the data",
    claim="Where data are missing a network errs more; the error is at most a constant times gap^k "
    "times the largest |f^(k)|, and asking where this is large beats points that fill the space.",
    run=run,
)
