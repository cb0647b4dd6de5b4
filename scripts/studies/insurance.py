"""Medical charges from a table: columns by name, scaling from the training part, and adaptively."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, log
from pathlib import Path
from statistics import NormalDist, median
from typing import final

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from adaptsample import Dataset, Sampler
from adaptsample.comparison.plots.styles import styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.errors import DegenerateDataWarning
from adaptsample.metrics.errors import errors
from adaptsample.oracles import TableOracle
from adaptsample.surrogates.auto import Auto, Member
from adaptsample.surrogates.gaussian_process import GaussianProcess
from adaptsample.surrogates.mlp import MLP
from adaptsample.surrogates.polynomial import Polynomial
from adaptsample.surrogates.protocol import Surrogate
from adaptsample.training import GradientDescent, LevenbergMarquardt
from scripts.studies.common.study import Effort, Finding, Study, spread

PATH = Path(__file__).with_suffix(".csv")
COLUMNS = ("age", "sex", "bmi", "children", "smoker", "region", "charges")
INPUTS = ("age", "bmi", "children")
SHARES, RATE, BATCH, EPOCHS = (0.7, 0.3), 0.001, 10, 1000
STRATEGIES = "integrated_variance(noise=0.5)", "random"
BUDGET, NEAR = 140, 1.05
AGES = torch.arange(18.0, 65.0, dtype=torch.float64)[:, None]
CHEAP = Auto(
    (
        Member("polynomial", Polynomial()),
        Member("gaussian_process", GaussianProcess(), n_transforms=1, has_prior=True),
    )
)
LINE = MLP((), scale=False, training=LevenbergMarquardt(evidence=None, starts=1, compiled=False))
MEAN, NETWORK, LEAK = "mean of the training part", "network", "network, scaled by all rows"
LEAST, AUTO = "line, least squares", "`auto`, two members"
AGE, THREE = "age", ", ".join(INPUTS)


def generate(n: int = 600) -> str:
    """Return the text of the table: invented people, whose charges follow a law with luck in it.

    Charges in dollars are 1,000 + 3.3 age^2 + 60 (bmi - 30) + 500 children, for smokers another
    12,000 + 900 (bmi - 25), all that times a normal factor of 1 +- 0.08, and for one in twelve an
    exponential large claim of 5,000 on average; at least 500.
    """
    u = torch.rand(n, 9, dtype=torch.float64, generator=derive_generator(0, "insurance"))
    lines = [",".join(COLUMNS)]
    for ages, sexes, bmis, families, smokers, regions, factors, claims, sizes in u.tolist():
        age = 18 + int(47 * ages)
        bmi = round(min(max(NormalDist(30.5, 6).inv_cdf(_inside(bmis)), 16), 53), 3)
        children = sum(families > share for share in (0.43, 0.67, 0.85, 0.97, 0.99))
        charges = 1000 + 3.3 * age**2 + 60 * (bmi - 30) + 500 * children
        if smokers < 0.2:
            charges += 12_000 + 900 * (bmi - 25)
        charges *= NormalDist(1, 0.08).inv_cdf(_inside(factors))
        if claims < 1 / 12:
            charges -= 5000 * log(_inside(sizes))
        lines.append(
            f"{age},{('female', 'male')[sexes < 0.5]},{bmi:.3f},{children},"
            f"{('no', 'yes')[smokers < 0.2]},"
            f"{('northeast', 'northwest', 'southeast', 'southwest')[int(4 * regions)]},"
            f"{max(charges, 500):.2f}"
        )
    return "\n".join(lines) + "\n"


def _inside(u: float) -> float:
    return min(max(u, 1e-9), 1 - 1e-9)


def table() -> TableOracle:
    """Return the non-smokers, each of whom is a row of its own by age, BMI and children."""
    return TableOracle.from_csv(PATH, inputs=INPUTS, outputs=["charges"], where={"smoker": "no"})


def standardised(data: Dataset, units: Dataset) -> Dataset:
    """Return data less the means of other data, in units of its standard deviations."""
    pairs = (data.x, units.x), (data.y, units.y)
    x, y = ((values - u.mean(dim=0)) / u.std(dim=0) for values, u in pairs)
    return Dataset(x, y)


@final
@dataclass(frozen=True)
class Split:
    """What one split came to.

    Args:
        rmses: in dollars on the test part, by model and columns.
        train: the training part, by age.
        curves: predictions at `AGES`, by model, from age alone (47,).
    """

    rmses: dict[tuple[str, str], float]
    train: Dataset
    curves: dict[str, Tensor]


def fit(seed: int, effort: Effort) -> Split:
    """Split, fit all models from age and from three columns, and measure them in dollars."""
    rows = everything(every=effort.pick(1, 5))
    rmses: dict[tuple[str, str], float] = {}
    curves: dict[str, Tensor] = {}
    for columns, data in ((THREE, rows), (AGE, Dataset(rows.x[:, :1], rows.y))):
        train, test = data.split(*SHARES, generator=derive_generator(seed, "split"))
        steps = effort.pick(EPOCHS, 10) * -(-len(train) // BATCH)
        training = GradientDescent("sgd", RATE, decay=1, steps=steps, batch_size=BATCH)
        network = MLP((64, 64), "relu", scale=False, training=training)
        models: dict[str, tuple[Surrogate, Dataset]] = {
            NETWORK: (network, train),
            LEAK: (network, data),
            LEAST: (LINE, train),
            AUTO: (CHEAP, train),
        }
        if columns == THREE:
            del models[LEAK]
        for name, (recipe, units) in models.items():
            predict = in_dollars(recipe, train, units=units, seed=seed)
            rmses[name, columns] = errors(predict(test.x), test.y)["rmse"]
            if columns == AGE:
                curves[name] = predict(AGES)[:, 0]
    rmses[MEAN, "-"] = errors(train.y.mean().expand_as(test.y), test.y)["rmse"]
    return Split(rmses, train, curves)


def in_dollars(
    recipe: Surrogate, train: Dataset, *, units: Dataset, seed: int
) -> Callable[[Tensor], Tensor]:
    """Fit in the units of some data; return what predicts in dollars."""
    with warnings.catch_warnings():
        # from age alone, many rows are the same point: here that is no mistake
        warnings.simplefilter("ignore", DegenerateDataWarning)
        generator = derive_generator(seed, "fit")
        model = recipe.fit(standardised(train, units), generator=generator)

    def predict(x: Tensor) -> Tensor:
        at = standardised(Dataset(x, x.new_zeros(len(x), 1)), units).x
        return model.predict(at) * units.y.std(dim=0) + units.y.mean(dim=0)

    return predict


def sample(seed: int, effort: Effort) -> dict[str, dict[int, float]]:
    """Ask row after row by each strategy; return the error on all rows by rows asked."""
    curves = {}
    for strategy in STRATEGIES:
        sampler = Sampler(
            table(),
            surrogate=GaussianProcess(),
            strategy=strategy,
            seed=seed,
            n_initial=20,
            batch_size=20,
        )
        run = sampler.run(budget=effort.pick(BUDGET, 40))
        curves[strategy] = {int(r.n_evaluations): r.errors["rmse"] for r in run.rounds}
    return curves


def run(effort: Effort) -> Finding:
    """Take ten splits, then ask row by row with five seeds."""
    found = effort.map(partial(fit, effort=effort), effort.seeds(10))
    asked = effort.map(partial(sample, effort=effort), effort.seeds(effort.pick(5, 1)))
    rows = everything()
    given = everything(every=effort.pick(1, 10))
    final_model = GaussianProcess().fit(given, generator=derive_generator(0, "all"))
    least = errors(final_model.predict(rows.x), rows.y)["rmse"]
    needed = {s: [_needed(curves[s], NEAR * least) for curves in asked] for s in STRATEGIES}
    by = {key: [f.rmses[key] for f in found] for key in found[0].rmses}
    leak = [f.rmses[LEAK, AGE] - f.rmses[NETWORK, AGE] for f in found]
    predictions = Table.of(
        ("model", "columns", "reported", f"RMSE in dollars, {len(found)} splits"),
        [
            (model, columns, "-", _dollars(values))
            for (model, columns), values in sorted(by.items(), key=lambda item: item[0][1])
        ],
    )
    first = max(next(iter(asked[0].values())))
    adaptive = Table.of(
        (
            "strategy",
            f"RMSE after {first} rows, {len(asked)} seeds",
            f"rows to come within {NEAR - 1:.0%} of all rows' error",
        ),
        [
            (
                f"`{strategy}`",
                _dollars([curves[strategy][first] for curves in asked]),
                _rows(needed[strategy]),
            )
            for strategy in STRATEGIES
        ],
    )
    usual = {key: median(values) for key, values in by.items()}
    is_learnt = sum(f.rmses[NETWORK, AGE] < f.rmses[MEAN, "-"] for f in found)
    return Finding(
        "yes" if is_learnt == len(found) else "partly" if is_learnt else "no",
        f"With {is_learnt} of {len(found)} splits the network predicts better than the mean: it is "
        f"{usual[NETWORK, AGE]:,.0f} dollars off, the mean {usual[MEAN, '-']:,.0f}, a line "
        f"{usual[LEAST, AGE]:,.0f}, `auto` {usual[AUTO, AGE]:,.0f}, and with BMI and children "
        f"{usual[AUTO, THREE]:,.0f} (medians). Scaling by all rows changes the network's error by "
        f"{median(map(abs, leak)):.1f} dollars. To come within {NEAR - 1:.0%} of the error of all "
        f"{len(rows)} rows, `{STRATEGIES[0]}` takes {_rows(needed[STRATEGIES[0]])} "
        f"rows, and random choice {_rows(needed['random'])}.",
        [
            ("Predicting the rows held out", predictions),
            ("Asking row by row", adaptive),
        ],
        _figure(found[0], asked, least),
        f"""\
- **The table is generated, not real.** `insurance.csv` has {PATH.read_text().count(chr(10)) - 1}
  invented people. Charges are 1,000 + 3.3 age^2 + 60 (bmi - 30) + 500 children dollars; smokers pay
  12,000 + 900 (bmi - 25) more. All are times a normal factor of 1 with deviation 0.08, and one in
  twelve has an exponential claim of 5,000 on average on top. `generate()` makes exactly this file.
- The source gives the task and no figures: non-smokers only, standardised by the training part
  ({SHARES[0]:.0%}), SGD with rate {RATE}, {EPOCHS:,} epochs, back to dollars. The network is
  taken to be 1-64-64-1 with ReLU, in mini-batches of {BATCH}, as in its other examples.
- `auto` has a polynomial and a Gaussian process to choose from, which keeps it to some seconds a
  split; with all its members a fit takes up to a minute.
- Means and deviations of all rows, the test part's included, are a leak, but of two numbers a
  column: it makes {min(leak):+.1f} to {max(leak):+.1f} dollars over the splits.
- The table is read with three inputs even for age alone, since rows with the same inputs are one
  point of the oracle, with the mean of their values: by age alone there would be 47.
- Row by row, a Gaussian process starts from the same 20 rows and takes 20 more a round, to
  {BUDGET}; its error is that on all {len(rows)} rows, {least:,.0f} dollars if it is given them all.
  Most of that is luck: no choice of rows makes large claims predictable.""",
    )


def everything(*, every: int = 1) -> Dataset:
    """Return all rows of the table of non-smokers, or every second, third and so on."""
    oracle = table()
    x = oracle.pool[::every]
    return Dataset(x, oracle(x))


def _needed(curve: dict[int, float], goal: float) -> float:
    """Return the rows after which the error stays below; infinity if it does not."""
    above = [n for n, error in curve.items() if error > goal]
    later = [n for n in curve if n > max(above, default=0)]
    return min(later, default=inf)


def _rows(numbers: Sequence[float]) -> str:
    return spread(numbers).replace("inf", f"more than {BUDGET}")


def _dollars(values: Sequence[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _figure(split: Split, asked: list[dict[str, dict[int, float]]], least: float) -> Figure:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    charges, sampling = figure.subplots(1, 2)
    charges.plot(split.train.x[:, 0], split.train.y[:, 0], ".", color="0.6", label="training part")
    for name, look in styles_of((NETWORK, LEAST, AUTO)).items():
        values = split.curves[name]
        label = name.replace("`", "")
        charges.plot(AGES[:, 0], values, color=look.colour, linestyle=look.line, label=label)
    charges.set(xlabel="age", ylabel="charges in dollars", title="Non-smokers, split 0")
    for name, look in styles_of(STRATEGIES).items():
        at = list(asked[0][name])
        middle = [median(curves[name][n] for curves in asked) for n in at]
        sampling.plot(
            at, middle, color=look.colour, linestyle=look.line, marker=look.marker, label=name
        )
    sampling.axhline(least, color="0.6", linestyle=":", label="given all rows")
    sampling.set(xlabel="rows asked", ylabel="RMSE on all rows in dollars")
    sampling.set_title(f"Row by row, medians of {len(asked)} seeds")
    sampling.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (charges, sampling):
        axes.legend()
        axes.grid(visible=True, alpha=0.25)
    return figure


STUDY = Study(
    title="Medical charges from a table",
    claim="Charges of non-smokers can be predicted from their age, in dollars, by a network "
    "that is trained on a table, standardised by its training part.",
    run=run,
)
