"""Data that leave a fit little to go by: it is made all the same, with a warning that says so."""

import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import replace
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch

from adaptsample.core.dataset import Dataset
from adaptsample.core.shapes import Points, Values
from adaptsample.errors import DegenerateDataWarning
from adaptsample.surrogates.plans import is_plan, n_levels

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M")

TWINS = 1e-12
"""Points closer than this, in units of the data's box, are hardly two."""

FEW_REPEATS = 0.05
"""Tables of measurements have so many points twice, and no fit minds."""

FEW_LEVELS = 10
"""Of so many levels of a variable the gaps are wide."""

HUGE = 1e150
"""Squares of larger values overflow."""

_is_nested: ContextVar[bool] = ContextVar("_is_nested", default=False)


def warns_of_degenerate_data(
    fit: Callable[Concatenate[R, Dataset, P], M],
) -> Callable[Concatenate[R, Dataset, P], M]:
    """Let a surrogate's ``fit`` warn, and see each point once, with the mean of its values.

    A point that is held out while it stands in the data a second time would prove nothing. The fits
    that a fit is made of stay silent.
    """

    @wraps(fit)
    def checked(recipe: R, data: Dataset, /, *args: P.args, **kwargs: P.kwargs) -> M:
        if _is_nested.get():  # residuals of the rows are the outer fit's business
            return fit(recipe, replace(data, repeats=None), *args, **kwargs)
        if found := [*_in_points(data.x), *_in_values(data.y)]:
            text = f"a fit to data that say little: {'; '.join(found)}"
            warnings.warn(text, DegenerateDataWarning, stacklevel=2)
        token = _is_nested.set(True)
        try:
            return fit(recipe, data.distinct(), *args, **kwargs)
        finally:
            _is_nested.reset(token)

    return checked


def _in_points(x: Points) -> Iterator[str]:
    n, dimension = x.shape
    if n == 0:
        return
    distinct = torch.unique(x, dim=0)  # sorted
    if len(distinct) == 1:
        yield f"there is one point only, {x[0].tolist()}" + (f", {n} times" if n > 1 else "")
        return
    if n - len(distinct) > FEW_REPEATS * n:
        yield f"{n - len(distinct)} of {n} points repeat another"
    low, high = distinct.amin(dim=0) / 2, distinct.amax(dim=0) / 2
    unit = (distinct / 2 - low) / torch.where(high > low, high - low, 1.0)
    n_twins = int((unit.diff(dim=0).abs().amax(dim=1) < TWINS).sum())
    if n_twins:
        yield f"{n_twins} points are next to another, closer than {TWINS:g} of the data's box"
    rank = int(torch.linalg.matrix_rank(unit - unit.mean(dim=0), rtol=TWINS))
    if rank < dimension < len(distinct):
        yield f"all points lie in {rank} of {dimension} dimensions"
    if rank == dimension > 1 and is_plan(unit):
        levels = n_levels(unit).tolist()
        if min(levels) <= FEW_LEVELS:
            told = " x ".join(map(str, levels))
            yield f"points are on {told} levels, and nothing tells what is between these"


def _in_values(y: Values) -> Iterator[str]:
    if len(y) < 2:
        return
    for k in (y.amax(dim=0) == y.amin(dim=0)).nonzero()[:, 0].tolist():
        yield f"output {k} is {float(y[0, k]):g} everywhere"
    if float(y.abs().max()) > HUGE:
        yield f"values reach {float(y.abs().max()):.1e}, whose squares overflow"
