"""What gradients in the loss of a network are worth, at equal steps, time and price."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from time import process_time
from typing import Final, final

import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from adaptsample import Dataset, Model
from adaptsample.comparison.curves import Curve
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.statistics import Comparison, Estimate
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.metrics.errors import errors, reference_set
from adaptsample.oracles import Differentiable
from adaptsample.oracles.problems import problem
from adaptsample.registry import make_surrogate
from adaptsample.surrogates.mlp import MLP
from adaptsample.training import GradientDescent, LevenbergMarquardt
from scripts.studies.common.study import Effort, Finding, Study, number, spread

N, N_BEST = 1000, 30
FUNCTIONS: Final = {"sin": "sin(x)", "exp_sin": "exp(sin(x))"}
VALUES, LONGER = "values", "values, trained longer"
GRADIENTS, HALF = "values and gradients", "values and gradients, half the points"
LM, LM_HALF = f"`mlp`, {N_BEST} values", f"`mlp`, {N_BEST // 2} values and gradients"
AUTO, SCARCE = f"`auto`, {N_BEST} values", "equal price, few points"
COMPARED: Final = {
    "equal steps": (VALUES, GRADIENTS),
    "equal time": (LONGER, GRADIENTS),
    "equal price": (VALUES, HALF),
    SCARCE: (LM, LM_HALF),
}
TIMES: Final = 2.0
"""Steps without gradients for one with them: gradients double the products of matrices."""
TICKS: Final = (0.3, 1, 3, 10)
MUCH: Final = 2.0
"""By what factor an error is much smaller than another."""


@final
@dataclass(frozen=True)
class Job:
    """All networks of one function and seed.

    Args:
        function: name of the problem.
        seed: of the initial parameters, the same for all networks.
        steps: of gradient descent.
        longer: how many times as many steps take as long without gradients.
        ours: the library's network, to be put beside the source's.
    """

    function: str
    seed: int
    steps: int
    longer: float
    ours: MLP


@final
@dataclass(frozen=True)
class Outcome:
    """What the networks of a job came to.

    Args:
        inside: root mean square errors on the reference set, by network.
        outside: the same on the interval after it, of the source's two networks.
        losses: of training, of the source's two networks.
        predicted: by these two at `beyond` (n,).
    """

    inside: Mapping[str, float]
    outside: Mapping[str, float]
    losses: Mapping[str, Tensor]
    predicted: Mapping[str, Tensor]


def beyond(function: str) -> Tensor:
    """Return 2,001 points (n, 1) on [0, 20], twice the interval that is trained on."""
    return 2 * reference_set(problem(function)).x


def exact(function: str, x: Tensor) -> Tensor:
    """Return the function at any points (n, 1); a problem's own values end with its domain."""
    return torch.sin(x) if function == "sin" else torch.exp(torch.sin(x))


def observed(function: str, n: int, *, gradients: bool) -> Dataset:
    """Return a function at n equispaced points of its domain, with its derivative or without."""
    oracle = problem(function)
    assert isinstance(oracle, Differentiable)
    x = oracle.domain.grid(n)
    return Dataset(x, oracle(x), oracle.gradient(x) if gradients else None)


def recipe(steps: int, more: int = 0) -> MLP:
    """Return the source's network and training, with the steps by which it may be continued."""
    training = GradientDescent(
        optimizer="sgd", learning_rate=0.01, decay=1, steps=steps, continued_steps=more
    )
    return MLP((100, 100), dtype="float32", scale=False, training=training)


def measured_pace(steps: int) -> float:
    """Return how many times as long a step takes with gradients, the least of three in turns."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _, gradients in product(range(3), seconds):
        data = observed("sin", N, gradients=gradients)
        start = process_time()
        recipe(steps).fit(data, generator=derive_generator(0, "pace"))
        seconds[gradients].append(process_time() - start)
    return min(seconds[True]) / min(seconds[False])


def fit(job: Job) -> Outcome:
    """Train the source's network in four ways, and the library's best beside it."""

    def generator() -> Generator:  # all begin with the same parameters
        return derive_generator(job.seed, "fit")

    slopes, values = (observed(job.function, N, gradients=g) for g in (True, False))
    few = observed(job.function, N_BEST, gradients=False)
    fewer = observed(job.function, N_BEST // 2, gradients=True)
    network = recipe(job.steps, round((job.longer - 1) * job.steps))
    source = {
        VALUES: network.fit(values, generator=generator()),
        GRADIENTS: network.fit(slopes, generator=generator()),
    }
    models: dict[str, Model] = {
        **source,
        LONGER: network.fit(values, generator=generator(), start=source[VALUES]),
        HALF: network.fit(slopes.rows(torch.arange(0, N, 2)), generator=generator()),
        LM: job.ours.fit(few, generator=generator()),
        LM_HALF: job.ours.fit(fewer, generator=generator()),
        AUTO: make_surrogate("auto").fit(few, generator=generator()),
    }
    reference, x = reference_set(problem(job.function)), beyond(job.function)
    after = x[x[:, 0] > 10]

    def outside(model: Model) -> float:
        return errors(model.predict(after), exact(job.function, after))["rmse"]

    return Outcome(
        {name: errors(m.predict(reference.x), reference.y)["rmse"] for name, m in models.items()},
        {name: outside(m) for name, m in source.items()},
        {name: m.training.train_loss for name, m in source.items()},
        {name: m.predict(x)[:, 0] for name, m in source.items()},
    )


def run(effort: Effort) -> Finding:
    """Fit both functions with ten seeds, and compare in pairs."""
    pace = measured_pace(effort.pick(200, 10))
    ours = effort.pick(MLP(), MLP((4,), training=LevenbergMarquardt(starts=1, iterations=20)))
    steps, seeds = effort.pick(10_000, 10), effort.seeds(10)
    jobs = [Job(f, seed, steps, TIMES, ours) for f, seed in product(FUNCTIONS, seeds)]
    found = dict(zip(jobs, effort.map(fit, jobs), strict=True))
    by_function = {f: [o for job, o in found.items() if job.function == f] for f in FUNCTIONS}
    curves = Comparison(
        tuple(
            Curve(job.function, name, job.seed, (1.0,), (rmse,))
            for job, outcome in found.items()
            for name, rmse in outcome.inside.items()
        )
    )
    ratios = {
        (f, how): curves.ratio(*pair, [f]) for f in FUNCTIONS for how, pair in COMPARED.items()
    }
    lows = [ratio.low for (_, how), ratio in ratios.items() if how != SCARCE]
    told = "; ".join(
        f"at {how} {' and '.join(shown(ratios[f, how]) for f in FUNCTIONS)}" for how in COMPARED
    )
    names = (VALUES, GRADIENTS, LONGER, HALF, LM, LM_HALF, AUTO)
    return Finding(
        "yes" if min(lows) >= MUCH else "partly" if max(lows) > 1 else "no",
        "Error without over error with gradients, for "
        f"{' and '.join(FUNCTIONS.values())}: {told} (geometric means over {len(seeds)} seeds, "
        "95 % intervals). `auto` has "
        f"{spread([o.inside[AUTO] for o in by_function['sin']])} from {N_BEST} values of sin(x), "
        f"the network with gradients {spread([o.inside[GRADIENTS] for o in by_function['sin']])} "
        f"from {N:,} points.",
        [
            (
                "Root mean square errors on [0, 10]",
                Table.of(
                    ("", "reported", *FUNCTIONS.values()),
                    [
                        (
                            name,
                            "curves only" if name in (VALUES, GRADIENTS) else "-",
                            *(spread([o.inside[name] for o in of]) for of in by_function.values()),
                        )
                        for name in names
                    ]
                    + [
                        (
                            f"{name}, on (10, 20]",
                            "fails",
                            *(spread([o.outside[name] for o in of]) for of in by_function.values()),
                        )
                        for name in (VALUES, GRADIENTS)
                    ],
                ),
            ),
            (
                "How many times smaller the error is with gradients (95 % interval)",
                Table.of(
                    ("", *FUNCTIONS.values()),
                    [(how, *(shown(ratios[f, how]) for f in FUNCTIONS)) for how in COMPARED],
                ),
            ),
        ],
        _figure({f: of[0] for f, of in by_function.items()}, ratios),
        f"For equal time {number(TIMES)} times as many steps were taken without gradients, going "
        f"on from the shorter run; measured in this run, a step took {number(pace)} times as long "
        "with them (CPU time). Equal price counts a derivative as an evaluation: "
        f"{N:,} values against {N // 2} values with their derivatives; that so many points are far "
        "more than the functions need makes it much the same as equal steps. Points are scarce in "
        f"the last row: {N_BEST} values against {N_BEST // 2} with derivatives, both with `mlp` by "
        "default, which is trained by least squares. All networks of a seed begin with the same "
        "parameters, so that ratios are of pairs; the intervals are bootstrap ones over seeds.",
    )


def shown(ratio: Estimate) -> str:
    """Return a ratio with its interval."""
    return f"{number(ratio.value)} ({number(ratio.low)} to {number(ratio.high)})"


def _figure(outcomes: Mapping[str, Outcome], ratios: Mapping[tuple[str, str], Estimate]) -> Figure:
    figure = Figure(figsize=(14, 7.5), layout="constrained")
    looks = styles_of([VALUES, GRADIENTS, "truth"])
    for row, (function, outcome) in zip(figure.subplots(2, 3), outcomes.items(), strict=True):
        name = FUNCTIONS[function]
        loss, curve, ratio = row
        x = beyond(function)
        curve.plot(x, exact(function, x), color="k", linestyle=":", label="truth")
        for which in (VALUES, GRADIENTS):
            style = {"color": looks[which].colour, "linestyle": looks[which].line, "label": which}
            loss.semilogy(outcome.losses[which], linewidth=1, **style)
            curve.plot(x, outcome.predicted[which], **style)
        curve.axvspan(10, 20, color="grey", alpha=0.12, label="no data")
        loss.set(xlabel="step", ylabel="loss", title=f"{name}: loss of training, seed 0")
        curve.set(xlabel="x", ylabel="y", title=f"{name}: predictions, seed 0")
        for i, how in enumerate(COMPARED):
            estimate = ratios[function, how]
            ends = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
            ratio.errorbar(estimate.value, i, xerr=ends, fmt="o", color="k", capsize=4)
        ratio.axvline(1, color="k", linestyle="--", linewidth=1)
        ratio.set_yticks(range(len(COMPARED)), list(COMPARED))
        ratio.set(xscale="log", ylim=(len(COMPARED) - 0.5, -0.5))
        ratio.set_xticks(TICKS, [str(tick) for tick in TICKS])
        ratio.minorticks_off()
        ratio.set(xlabel="error without / with gradients", title=f"{name}: above 1, gradients help")
        for axes in row:
            axes.grid(visible=True, alpha=0.25)
        for axes in (loss, curve):
            axes.legend(fontsize="small")
    return figure


STUDY = Study(
    title="Gradients in the loss",
    claim="A network that is trained on derivatives as well as values learns sin(x) and "
    "exp(sin(x)) much better.",
    run=run,
)
