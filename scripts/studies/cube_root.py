"""The cube root, learnt by a network of ten parameters: by least squares, and by Adam."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import torch
from matplotlib.figure import Figure
from torch import Tensor

from adaptsample import Dataset
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.diagnostics.curvature import Curvature, curvature
from adaptsample.metrics.errors import reference_set
from adaptsample.oracles import ExpressionOracle
from adaptsample.oracles.problems import problem
from adaptsample.registry import make_surrogate
from adaptsample.surrogates.mlp import MLP, MLPModel
from adaptsample.surrogates.protocol import Model
from adaptsample.training import GradientDescent, LevenbergMarquardt, ScipyLeastSquares, Trainer
from adaptsample.training.scipy_least_squares import ScipyTraining
from scripts.studies.common.study import Effort, Finding, Study, number, spread

N, UNITS, STARTS = 50, 3, 10
EVALUATIONS = 1000  # SciPy's own limit for ten parameters
BLOCK, BLOCKS, ENOUGH = 50, 500, 2e-5
EQUAL, SAME, SEVERAL = 1.05, 0.01, 3  # cost within 5%, parameters within 1%
SINGULAR = 1e8  # condition number
WIDE = ExpressionOracle("cbrt(x)", bounds={"x": (0, 10)})
LEAST_SQUARES = MLP((UNITS,), scale=False, training=ScipyLeastSquares())
RIVALS = {
    "`levenberg_marquardt`, same network": replace(
        LEAST_SQUARES, training=LevenbergMarquardt(evidence=None)
    ),
    "`polynomial`": make_surrogate("polynomial"),
    "`auto`": make_surrogate("auto"),
}


class Errors(NamedTuple):
    """Of a model: on the data, on 2,001 points of [0, 1], and on as many of [0, 10]."""

    mse: float
    data: float
    reference: float
    place: float
    past_gap: float
    wide: float


@final
@dataclass(frozen=True)
class Fit:
    """A network and what it came to.

    Args:
        model: the network.
        errors: of it.
        curvature: of the sum of squares.
        n_steps: iterations, or steps of Adam.
        converged: whether it stopped because that was enough.
    """

    model: MLPModel
    errors: Errors
    curvature: Curvature
    n_steps: int
    converged: bool


def points() -> Dataset:
    """Return the training set."""
    oracle = problem("cbrt")
    x = oracle.domain.grid(N)
    return Dataset(x, oracle(x))


def measure(model: Model) -> Errors:
    """Return the errors of a model of the cube root."""
    sets = points(), reference_set(problem("cbrt")), reference_set(WIDE)
    data, near, wide = ((model.predict(s.x) - s.y)[:, 0].abs() for s in sets)
    x = sets[1].x[:, 0]
    return Errors(
        float(data.square().mean()),
        float(data.max()),
        float(near.max()),
        float(x[near.argmax()]),
        float(near[x >= 1 / (N - 1)].max()),
        float(wide.max()),
    )


class Case(NamedTuple):
    """A start, and how long least squares and Adam may take from it."""

    seed: int
    evaluations: int
    blocks: int


def fit(case: Case) -> tuple[Fit, Fit]:
    """Fit by least squares and by Adam, from the same start."""
    seed, evaluations, blocks = case
    generator, data = derive_generator(seed, "fit"), points()

    def trained(training: Trainer, start: MLPModel | None) -> MLPModel:
        recipe = replace(LEAST_SQUARES, training=training)
        model = recipe.fit(data, generator=generator, start=start)
        assert isinstance(model, MLPModel)
        return model

    start = trained(ScipyLeastSquares(max_evaluations=1), None)
    model = trained(ScipyLeastSquares(max_evaluations=evaluations), start)
    assert isinstance(model.training, ScipyTraining)
    n_steps, is_done = len(model.training.train_loss), model.training.converged
    squares = Fit(model, measure(model), curvature(model, data), n_steps, is_done)

    descent = GradientDescent(learning_rate=0.01, decay=1, steps=BLOCK, continued_steps=BLOCK)
    model, n_steps, is_done = start, 0, False
    while n_steps < blocks * BLOCK and not is_done:
        model, n_steps = trained(descent, model), n_steps + BLOCK
        is_done = measure(model).mse < ENOUGH
    return squares, Fit(model, measure(model), curvature(model, data), n_steps, is_done)


def canonical(theta: Tensor) -> Tensor:
    """Return the parameters with units in order and their signs positive; the function stays."""
    units = theta[:-1].reshape(3, UNITS)  # weights, biases, weights of the output
    units = units * units[0].sign()
    return torch.cat([units[:, units[0].argsort()].flatten(), theta[-1:]])


def distance(first: Tensor, second: Tensor) -> float:
    """Return the largest relative difference of a parameter, symmetries aside."""
    a, b = canonical(first), canonical(second)
    return float(((a - b).abs() / torch.maximum(a.abs(), b.abs())).max())


def run(effort: Effort) -> Finding:
    """Fit from ten starts, both ways."""
    seeds = effort.seeds(STARTS)
    limits = effort.pick((EVALUATIONS, BLOCKS), (100, 10))
    found = effort.map(fit, [Case(seed, *limits) for seed in seeds])
    squares, adam = ([pair[i] for pair in found] for i in (0, 1))
    rivals = dict(list(RIVALS.items())[: effort.pick(3, 2)])
    best = {
        name: recipe.fit(points(), generator=derive_generator(0, "best"))
        for name, recipe in rivals.items()
    }
    measured = {name: measure(model) for name, model in best.items()}

    least = min(f.errors.mse for f in squares)
    equal = [f for f in squares if f.errors.mse < EQUAL * least]
    thetas = [f.model.network.theta for f in equal]
    n_distinct = sum(all(distance(a, b) > SAME for b in thetas[:i]) for i, a in enumerate(thetas))
    grid = problem("cbrt").domain.grid(N)
    apart = max(
        float((f.model.predict(grid) - equal[0].model.predict(grid)).abs().max()) for f in equal
    )
    condition = min(f.curvature.condition_number for f in squares)
    is_lost = min(f.errors.wide for f in squares) > 100 * max(f.errors.data for f in equal)
    is_so = condition > SINGULAR, n_distinct >= SEVERAL, is_lost
    everyone = [*measured.values(), *(f.errors for f in (*squares, *adam))]
    return Finding(
        "yes" if all(is_so) else "partly" if any(is_so) else "no",
        f"The Hessian's condition number is at least {number(condition)}; {len(equal)} of "
        f"{len(squares)} starts end within {EQUAL - 1:.0%} of the lowest cost, with {n_distinct} "
        f"different sets of parameters, and differ by {number(apart)} at most on the data. On "
        f"[0, 10] the error is {spread([f.errors.wide for f in squares])}. Between the first two "
        "points, where the slope is infinite, every model errs by "
        f"{number(min(e.reference for e in everyone))} or more.",
        [
            ("Errors", _errors([f.errors for f in squares], [f.errors for f in adam], measured)),
            ("Around the parameters", _curvatures(squares, adam)),
            ("Each start", _starts(squares, adam)),
        ],
        _figure(squares, adam, best),
        _notes(squares, adam, torch.stack([canonical(theta) for theta in thetas])),
    )


def _notes(squares: Sequence[Fit], adam: Sequence[Fit], equal: Tensor) -> str:
    enough = [f.n_steps for f in adam if f.converged]
    sizes = equal.abs()
    ranges = sizes.amax(dim=0) / sizes.amin(dim=0) - 1
    inner, outer = float(ranges[:UNITS].max()), float(ranges[-UNITS - 1 : -1].max())
    pairs = zip(squares, adam, strict=True)
    moved = [distance(a.model.network.theta, b.model.network.theta) for a, b in pairs]
    return (
        "The derivatives are those of the sum of squares, exact. A direction counts for the rank "
        "if its eigenvalue is above 1e-6 of the largest. Before parameters are compared, units are "
        "put in order and made of positive weight, as tanh(-z) = -tanh(z); sets differ if one "
        f"parameter does by more than {SAME:.0%}. Of the fits by least squares "
        f"{sum(f.converged for f in squares)} of {len(squares)} stop by a tolerance, the others by "
        "SciPy's limit of 100 evaluations a parameter. Among the equally good ones the input "
        f"weights differ by {inner:.1%} at most and the output weights by {outer:.1%}: along a "
        "valley, in which units of larger output weight are used where they are more "
        "saturated.\n\n"
        f"Adam, from the same starts, comes to an MSE under {ENOUGH:g} from {len(enough)} of "
        f"{len(adam)}, in {spread(enough or [0])} steps. In the parameter that differs most it is "
        f"{spread(moved)}, relative, away from where least squares end from the same start.\n\n"
        "On the 2,001 points errors are largest next to 0, before the second data point, "
        f"{1 / (N - 1):.3g}, where the derivative is infinite and no data tells: a better fit of "
        "the data does not help there, a point would."
    )


def _errors(
    squares: Sequence[Errors], adam: Sequence[Errors], measured: Mapping[str, Errors]
) -> Table:
    names = {
        "MSE on the data": f"Adam: {ENOUGH:g}",
        "largest error on the data": "-",
        "largest error on [0, 1]": "-",
        "where that is": "-",
        "largest error past the first gap": "-",
        "largest error on [0, 10]": "fails",
    }
    columns = [squares, adam, *([errors] for errors in measured.values())]
    cells = [[spread([e[i] for e in column]) for column in columns] for i in range(len(names))]
    headings = f"least squares, {len(squares)} starts", f"Adam, {len(adam)} starts"
    return Table.of(
        ("", "reported", *headings, *measured),
        [(*name, *row) for name, row in zip(names.items(), cells, strict=True)],
    )


def _curvatures(squares: Sequence[Fit], adam: Sequence[Fit]) -> Table:
    rows: dict[str, Callable[[Curvature], float]] = {
        "half the sum of squares (cost)": lambda c: c.sum_of_squares / 2,
        "norm of the gradient": lambda c: c.gradient_norm,
        "largest eigenvalue": lambda c: float(c.eigenvalues[-1]),
        "least eigenvalue": lambda c: float(c.eigenvalues[0]),
        "negative eigenvalues": lambda c: int((c.eigenvalues < 0).sum()),
        "log10 of the determinant's size": lambda c: c.log10_determinant,
        "condition number": lambda c: c.condition_number,
        "effective rank, of 10": lambda c: c.effective_rank(),
    }
    return Table.of(
        ("", "least squares", "Adam"),
        [
            (name, *(spread([value(f.curvature) for f in fits]) for fits in (squares, adam)))
            for name, value in rows.items()
        ],
    )


def _starts(squares: Sequence[Fit], adam: Sequence[Fit]) -> Table:
    rows = [
        (
            f"{seed}, {name}",
            number(f.errors.mse),
            number(f.curvature.determinant),
            " ".join(f"{value:.3g}" for value in canonical(f.model.network.theta)),
        )
        for seed, pair in enumerate(zip(squares, adam, strict=True))
        for name, f in zip(("least squares", "Adam"), pair, strict=True)
    ]
    parameters = "weights, biases, output weights, output bias"
    return Table.of(("start", "MSE", "determinant", parameters), rows)


def _figure(squares: Sequence[Fit], adam: Sequence[Fit], best: Mapping[str, Model]) -> Figure:
    models = {
        "least squares": min(squares, key=lambda f: f.errors.mse).model,
        "Adam": min(adam, key=lambda f: f.errors.mse).model,
        list(best)[-1].strip("`"): list(best.values())[-1],
    }
    look = styles_of(list(models))
    figure = Figure(figsize=(13, 4), layout="constrained")
    fits, errors, spectra = figure.subplots(1, 3)
    wide = reference_set(WIDE)
    fits.plot(wide.x[:, 0], wide.y[:, 0], color="0.7", linewidth=5, label="truth")
    fits.plot(points().x[:, 0], points().y[:, 0], "k.", markersize=3, label="data")
    x = torch.logspace(-4, 1, 2000, dtype=torch.float64)[:, None]
    for name, model in models.items():
        style = {"color": look[name].colour, "linestyle": look[name].line, "label": name}
        fits.plot(wide.x[:, 0], model.predict(wide.x)[:, 0], **style)
        errors.loglog(x[:, 0], (model.predict(x) - WIDE(x)).abs()[:, 0], linewidth=1, **style)
    fits.set(xlabel="x", ylabel="y", ylim=(-0.1, 2.5), title="Fits; data end at 1")
    for place in (1 / (N - 1), 1):
        errors.axvline(place, color="0.4", linewidth=0.8)
    title = "Errors; lines: second and last point"
    errors.set(xlabel="x", ylabel="absolute error", title=title, ylim=(1e-9, 10))
    for name, group in (("least squares", squares), ("Adam", adam)):
        style = {"color": look[name].colour, "linestyle": look[name].line, "alpha": 0.6}
        for i, f in enumerate(group):
            sizes = f.curvature.eigenvalues.abs().sort(descending=True).values
            label = name if not i else None
            spectra.semilogy(range(1, 11), sizes, look[name].marker, label=label, ms=4, **style)
    title = "The Hessian's eigenvalues, all starts"
    spectra.set(xlabel="number", ylabel="absolute eigenvalue", title=title)
    for axes in (fits, errors, spectra):
        axes.legend(fontsize=8)
        axes.grid(visible=True, alpha=0.25)
    return figure


STUDY = Study(
    title="The cube root by a network of ten parameters",
    claim="Three tanh units learn the cube root from 50 points by nonlinear least squares; the "
    "Hessian at the end is nearly singular, several starts give equally good fits with different "
    "parameters, and on [0, 10] the network saturates and fails.",
    run=run,
)
