"""How well one hidden layer approximates x^p, as p grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log, nan
from typing import Any, NamedTuple, Self, final

import torch
from matplotlib.figure import Figure
from torch import Tensor

from adaptsample import Dataset
from adaptsample.comparison.plots.styles import Style, styles_of
from adaptsample.comparison.tables import Table
from adaptsample.core import derive_generator
from adaptsample.metrics.errors import errors, reference_set
from adaptsample.oracles.problems import problem
from adaptsample.surrogates.mlp import MLP
from adaptsample.training import LevenbergMarquardt, ScipyLeastSquares
from scripts.studies.common.study import Effort, Finding, Study

FIXED, PER_POWER = 40, 8
GOAL, FLOOR = 1e-4, 1e-7  # the error asked for; what is below the floor is rounding
TURN = 8  # powers up to here are low, from here on high
SHOWN = (3, 5, 10, 20)


class Case(NamedTuple):
    """A fit: x^p by so many units, from n Chebyshev points."""

    p: int
    width: int
    n: int
    seed: int
    iterations: int


def largest_error(case: Case) -> float:
    """Fit, and return the largest error on the reference set."""
    oracle = problem(f"monomial({case.p})")
    reference = reference_set(oracle)
    angles = torch.pi * (torch.arange(case.n, dtype=torch.float64) + 0.5) / case.n
    x = angles.cos()[:, None]
    data, generator = Dataset(x, oracle(x)), derive_generator(case.seed, "fit")
    # biases drawn at 0 stay there if function and points are odd: these are not
    biased = ScipyLeastSquares(starts=4, initial_scale=3, max_evaluations=20)
    start = MLP((case.width,), training=biased).fit(data, generator=generator)
    training = LevenbergMarquardt(starts=5, iterations=case.iterations, evidence=None)
    model = MLP((case.width,), training=training).fit(data, generator=generator, start=start)
    return errors(model.predict(reference.x), reference.y)["max"]


class Rate(NamedTuple):
    """Slope of a least-squares line, and the share of the variance that it explains."""

    slope: float
    r2: float

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> Self:
        """Fit a line to three points or more, or none."""
        if len(x) < 3:
            return cls(nan, nan)
        r = float(torch.corrcoef(torch.stack([x, y]))[0, 1])
        return cls(r * float(y.std() / x.std()), r * r)

    def __str__(self) -> str:
        return f"{self.slope:.2g} ({self.r2:.2f})" if isfinite(self.r2) else "-"


@final
@dataclass(frozen=True)
class Survey:
    """Errors for all powers and widths, with one rule for the number of points.

    Args:
        powers: p (n,).
        widths: w (m,), ascending.
        errors: (n, m).
    """

    powers: Tensor
    widths: Tensor
    errors: Tensor

    @property
    def falling(self) -> Tensor:
        """Errors of the best network of at most this width: it is one of the wider ones."""
        return self.errors.cummin(dim=1).values

    def width(self, p: int) -> float:
        """Return the width that meets the goal, between two interpolated in both logarithms."""
        row = self.falling[self.powers == p][0]
        i = int((row > GOAL).sum())
        if i in (0, len(row)):
            return nan if i else float(self.widths[0])
        share = float((row[i - 1] / GOAL).log() / (row[i - 1] / row[i]).log())
        return float(self.widths[i - 1] * (self.widths[i] / self.widths[i - 1]) ** share)

    def growth(self, low: int, high: int) -> Rate:
        """Return the exponent with which that width grows with the power, from low to high."""
        powers = [int(p) for p in self.powers if low <= p <= high]
        found = [(log(p), log(w)) for p in powers if isfinite(w := self.width(p))]
        return Rate.of(*torch.tensor(found, dtype=torch.float64).reshape(-1, 2).T)

    def against_width(self, p: int) -> tuple[Rate, Rate]:
        """Return how log10 of the error falls with the width, and with its log10."""
        row = self.falling[self.powers == p][0]
        use = row > FLOOR
        x, y = self.widths[use], row[use].log10()
        return Rate.of(x, y), Rate.of(x.log10(), y)

    def against_power(self, width: int) -> Rate:
        """Return the exponent of p in the error at a width, for high powers."""
        use = self.powers >= TURN
        return Rate.of(self.powers[use].log(), self.falling[use, self.widths == width].log())


def run(effort: Effort) -> Finding:
    """Fit all powers by all widths, with both rules for the number of points."""
    powers = effort.pick(tuple(range(1, 21)), (8, 9, 10))
    widths = effort.pick((1, 2, 4, 8, 16, 32, 64), (1, 2, 4))
    rules = {
        f"{FIXED} points": [FIXED for _ in powers],
        f"{PER_POWER} p points": [PER_POWER * p for p in powers],
    }
    cases = [
        Case(p, width, n, 0, effort.pick(300, 20))
        for counts in rules.values()
        for p, n in zip(powers, counts, strict=True)
        for width in widths
    ]
    found = torch.tensor(effort.map(largest_error, cases), dtype=torch.float64)
    p, w = (torch.tensor(axis, dtype=torch.float64) for axis in (powers, widths))
    parts = found.reshape(len(rules), len(powers), len(widths))
    surveys = {rule: Survey(p, w, part) for rule, part in zip(rules, parts, strict=True)}
    late = [s.growth(TURN, powers[-1]) for s in surveys.values()]
    early = [s.growth(1, TURN) for s in surveys.values()]
    decay = [s.against_power(2) for s in surveys.values()]
    steep = min(rate.slope for rate in late) > 0.5, min(rate.slope for rate in early) > 0.5

    def both(values: Sequence[object]) -> str:
        return " and ".join(f"{value}" for value in values)

    return Finding(
        "yes" if all(steep) else "partly" if any(steep) else "no",
        f"Up to p = {TURN} the width for an error of {GOAL:g} grows as p^a with a = "
        f"{both([f'{r.slope:.2g}' for r in early])} ({both(list(surveys))}), from there on with a "
        f"= {both([f'{r.slope:.2g}' for r in late])}: near the ends of [-1, 1] a high power is an "
        "exponential, exp(-p (1 - x)), and so is the tail of a tanh of large weight. The error of "
        "two units, one for each end, falls as p^b with b = "
        f"{both([f'{r.slope:.2g}' for r in decay])}.",
        [
            ("Rates", _rates(surveys, powers, widths)),
            ("Largest errors", _errors(surveys, rules)),
        ],
        _figure(surveys),
        _NOTES,
    )


_NOTES = f"""\
One seed; the best of nine starts: five of Levenberg-Marquardt, the library's best optimiser here,
and four with random biases, for with biases that start at 0 a network learning an odd power from
symmetric points is odd and stays odd. So this is nearly the error of approximation, and not that of
the optimiser; where a wider network has the larger error it is the optimiser's, or the points are
fewer than the parameters. Rates are of the best network of at most each width.

Points are Chebyshev's, errors the largest on 2,001 points of [-1, 1]. In brackets: the share of the
variance that the rate explains (R2). Widths between those tried are interpolated, in logarithms.
Errors below {FLOOR:g} are rounding and left out of the rates.

In the limit of small input weights and large output weights, divided differences of tanh give x^p
exactly by (p + 1) / 2 units for odd p and p units for even p (Pinkus 1999; the figure's grey line).
"""


def _rates(surveys: Mapping[str, Survey], powers: Sequence[int], widths: Sequence[int]) -> Table:
    every, shown = surveys.values(), [p for p in SHOWN if p in powers]
    width, last = f"width for {GOAL:g}", powers[-1]
    falls = [[s.against_width(p) for p in powers] for s in every]
    rows: list[tuple[str, Sequence[object]]] = [
        (f"{width}: exponent of p", [s.growth(1, last) for s in every]),
        (f"{width}: exponent of p up to {TURN}", [s.growth(1, TURN) for s in every]),
        (f"{width}: exponent of p from {TURN}", [s.growth(TURN, last) for s in every]),
        *((f"{width}, p = {p}", [f"{s.width(p):.2g}" for s in every]) for p in shown),
        *(
            (f"error at width {w}: exponent of p from {TURN}", [s.against_power(w) for s in every])
            for w in widths
        ),
        *(
            (f"error at p = {p}: {name}", [s.against_width(p)[i] for s in every])
            for p in shown
            for i, name in enumerate(("decades a unit", "exponent of the width"))
        ),
        *(
            (f"powers whose error falls rather as {kind}", [_count(pairs, i) for pairs in falls])
            for i, kind in enumerate(("an exponential of the width", "a power of the width"))
        ),
    ]
    return Table.of(("", *surveys), [(name, *map(str, values)) for name, values in rows])


def _count(pairs: Sequence[tuple[Rate, Rate]], i: int) -> int:
    """Return how often the one explains more than the other."""
    return sum(pair[i].r2 > pair[1 - i].r2 for pair in pairs)


def _errors(surveys: Mapping[str, Survey], counts: Mapping[str, Sequence[int]]) -> Table:
    rows = [
        (str(int(p)), str(int(w)), str(n), f"{error:.1e}")
        for rule, survey in surveys.items()
        for p, n, row in zip(survey.powers, counts[rule], survey.errors, strict=True)
        for w, error in zip(survey.widths, row, strict=True)
    ]
    return Table.of(("p", "width", "points", "largest error"), rows)


def _figure(surveys: Mapping[str, Survey]) -> Figure:
    figure = Figure(figsize=(11, 8), layout="constrained")
    maps, (left, right) = figure.subplots(2, 2)
    for axes, (rule, survey) in zip(maps, surveys.items(), strict=True):
        picture = axes.imshow(
            survey.errors.log10().T, cmap="cividis", vmin=-9, vmax=0, aspect="auto", origin="lower"
        )
        axes.set(xlabel="p", ylabel="width", title=f"log10 of the largest error, {rule}")
        axes.set_xticks(range(len(survey.powers)), [f"{p:g}" for p in survey.powers], fontsize=8)
        axes.set_yticks(range(len(survey.widths)), [f"{w:g}" for w in survey.widths])
    figure.colorbar(picture, ax=maps)
    last = list(surveys.values())[-1]
    powers = [p for p in SHOWN if p in last.powers]
    look = styles_of([*map(str, powers), *surveys])
    for p in powers:
        row = last.falling[last.powers == p][0]
        rate = last.against_width(p)[1].slope
        label = f"p = {p}: width^{rate:.2g}"
        left.loglog(last.widths, row, label=label, **_drawn(look[str(p)]))
    left.axhline(GOAL, color="0.4", linewidth=0.8)
    left.set(xlabel="width", ylabel="largest error", title=f"Against the width, {rule}")
    left.set_xticks(last.widths, [f"{w:g}" for w in last.widths])
    for rule, survey in surveys.items():
        needed = [survey.width(int(p)) for p in survey.powers]
        slopes = [survey.growth(*part).slope for part in ((1, TURN), (TURN, 20))]
        label = f"{rule}: p^{slopes[0]:.2f}, from {TURN} p^{slopes[1]:.2f}"
        right.loglog(survey.powers, needed, label=label, **_drawn(look[rule]))
    differences = [(p + 1) / 2 if p % 2 else p for p in last.powers]
    right.loglog(last.powers, differences, color="0.6", label="divided differences")
    right.set(xlabel="p", ylabel="width", title=f"Width for an error of {GOAL:g}")
    ticks = 1, 2, 5, 10, 20
    right.set_xticks(ticks, map(str, ticks))
    right.set_yticks(ticks, map(str, ticks))
    for axes in (left, right):
        axes.legend(fontsize=8)
        axes.grid(visible=True, alpha=0.25)
    return figure


def _drawn(style: Style) -> dict[str, Any]:
    return {"color": style.colour, "linestyle": style.line, "marker": style.marker}


STUDY = Study(
    title="Monomials by one hidden layer",
    claim="The higher the power, the more units one hidden layer needs for x^p, from a fixed "
    "number of points and from one proportional to p.",
    run=run,
)
