"""What `benchmarks.speed.auto` measures: single fits of the automatic surrogate, and their members.

Functions are those of the package uqtestfuns, by their names there, and problems and check
functions of our own. Points are the Sobol points of a sampler with the seed; errors are those at
fresh random points.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias, final

import numpy as np
import torch
import uqtestfuns

from adaptsample import Box, Dataset
from adaptsample.core import Points, Values, derive_generator
from adaptsample.core.provenance import commit
from adaptsample.oracles.problems import PROBLEMS
from adaptsample.surrogates import Model, SupportsChoice, Surrogate, capable
from adaptsample.surrogates.auto import Auto, Member
from benchmarks.harness.variants import VARIANTS

N_FRESH: Final = 1000
POINTS_PER_DIMENSION: Final = 10
DENSE: Final = 60
"""Points for what is hard in few variables."""

FREE_DIMENSION: Final = 2
"""Of functions that exist in any."""

SUITE: Final = (
    *("Franke1", "Webster2D", "Alemazkoor2D", "Ishigami", "Moon3D", "OTLCircuit"),
    *("Piston", "Borehole", "RobotArm", "WingWeight", "Friedman10D", "Welch20D"),
)
"""Those of uqtestfuns that are measured each time, from 2-D to 20-D."""

EDGES: Final = ("disc_jump", "sine_edge", "peak", "two_regimes", "three_creases")
"""Two jumps, and three functions with creases; of 2-D."""

QUICK: Final = ("SaltelliLinear", "SobolG")
"""Of the suite; a polynomial is exact for one, and none for the other."""

_TAIL: Final = 0.01
_BOUNDED: Final = ("uniform", "triangular", "beta")

Cell: TypeAlias = dict[str, Any]
"""What was measured, as plain JSON values."""


# functions


@final
@dataclass(frozen=True)
class Function:
    """An exact function of one output on a box.

    Args:
        domain: the box.
        values: exact values (n, 1) of points (n, d).
    """

    domain: Box
    values: Callable[[Points], Values]


def function(name: str) -> Function:
    """Return one of ours, or of uqtestfuns: there, 1 % of an input's tails are cut off."""
    for ours in (VARIANTS, PROBLEMS):
        if name in ours:
            return Function(ours[name].domain, ours[name])
    theirs = _made(name)
    bounds = {}
    for k, marginal in enumerate(theirs.prob_input.marginals):
        low, high = marginal.lower, marginal.upper
        if marginal.distribution not in _BOUNDED:
            low, high = marginal.icdf(np.array([_TAIL, 1 - _TAIL]))
        bounds[f"x{k + 1}"] = (float(low), float(high))

    def values(x: Points) -> Values:
        y = np.asarray(theirs(x.numpy()), dtype=np.float64)
        return torch.from_numpy(y.reshape(len(x), 1))

    return Function(Box(bounds), values)


def suite() -> dict[str, int]:
    """Return the dimensions of all functions of uqtestfuns with one output, lowest first."""
    made = {name: _made(name) for name in uqtestfuns.list_functions(tabulate=False)}
    scalar = {name: f.input_dimension for name, f in made.items() if f.output_dimension == 1}
    return dict(sorted(scalar.items(), key=lambda pair: pair[1]))


def suite_size(name: str) -> int:
    """Return the number of points for a function of the suite."""
    return POINTS_PER_DIMENSION * function(name).domain.dimension


def cases() -> dict[str, int]:
    """Return what is measured each time, with numbers of points."""
    sizes = {name: suite_size(name) for name in SUITE} | dict.fromkeys(EDGES, DENSE)
    return sizes | {"Franke1": DENSE}


def _made(name: str) -> Any:
    make = getattr(uqtestfuns, name)
    try:
        return make()
    except ValueError:  # it exists in any dimension
        return make(input_dimension=FREE_DIMENSION)


# fits


def measure_fit(name: str, n: int, seed: int) -> Cell:
    """Fit once, in a process that did nothing before; return seconds, errors and what won."""
    torch.set_num_threads(1)
    where, data = _data(name, n, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    model = Auto().fit(data, generator=derive_generator(seed, "fit"))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    fresh = where.domain.uniform(N_FRESH, generator=derive_generator(0, "fresh"))
    nrmse, mae = errors(model.predict(fresh), where.values(fresh))
    return {
        "dimension": where.domain.dimension,
        "cpu": cpu,
        "wall": wall,
        "nrmse": nrmse[0],
        "mae": mae[0],
        "won": winners(model),
        "library": library(),
    }


def measure_members(name: str, n: int, seed: int) -> Cell:
    """Fit once more, and return what each member took."""
    torch.set_num_threads(1)
    return members(_data(name, n, seed)[1], seed)


def _data(name: str, n: int, seed: int) -> tuple[Function, Dataset]:
    where = function(name)
    x = where.domain.sobol(n, generator=derive_generator(seed, "initial"))
    return where, Dataset(x, where.values(x))


def errors(predicted: Values, exact: Values) -> tuple[list[float], list[float]]:
    """Return each output's RMS error by its standard deviation (1 if constant), and its MAE."""
    off, spread = predicted - exact, exact.std(dim=0)
    rms = off.square().mean(dim=0).sqrt()
    return (rms / spread.where(spread > 0, 1.0)).tolist(), off.abs().mean(dim=0).tolist()


def winners(model: Model) -> list[str]:
    """Return what was chosen first for each output: member and transform."""
    best = [chosen[0] for chosen in capable(model, SupportsChoice).choice["chosen"]]
    return [f"{score['name']}, {score['transform']}" for score in best]


def library() -> str:
    """Return the commit of the library that is measured."""
    return (commit() or "unknown")[:9]


# members


@final
@dataclass(eq=False)
class Clock:
    """Fits so far, and their CPU seconds: at all points, and at a part of them."""

    whole: list[float] = field(default_factory=list)
    parts: list[float] = field(default_factory=list)


@final
@dataclass(frozen=True)
class Timed:
    """A recipe whose fits are timed; all else is the recipe's.

    Args:
        recipe: what is fitted.
        clock: where seconds go.
        n: all points.
    """

    recipe: Surrogate
    clock: Clock
    n: int

    def fit(self, data: Dataset, **how: Any) -> Model:
        """Fit as the recipe does, whatever a checkout's recipes are told beside the data."""
        begin = time.process_time()
        model = self.recipe.fit(data, **how)
        seconds = self.clock.whole if len(data) == self.n else self.clock.parts
        seconds.append(time.process_time() - begin)
        return model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recipe, name)


def members(data: Dataset, seed: int, auto: Auto = Auto()) -> Cell:  # noqa: B008  # frozen
    """Fit with every recipe of the portfolio timed.

    Returns:
        CPU seconds of all, and for each member numbers and seconds of fits: at all points, and at
        parts of them, which are trials and folds. What remains is judging.
    """
    clocks = {member.name: Clock() for member in auto.members}
    timed = tuple(_timed(member, clocks[member.name], len(data)) for member in auto.members)
    start = time.process_time()
    model = replace(auto, members=timed).fit(data, generator=derive_generator(seed, "fit"))
    return {
        "cpu": time.process_time() - start,
        "won": winners(model),
        "members": {
            name: {
                "fits": [len(clock.whole), len(clock.parts)],
                "cpu": [sum(clock.whole), sum(clock.parts)],
            }
            for name, clock in clocks.items()
        },
        "library": library(),
    }


def _timed(member: Member, clock: Clock, n: int) -> Member:
    final = None if member.final is None else Timed(member.final, clock, n)
    return replace(member, draft=Timed(member.draft, clock, n), final=final)
