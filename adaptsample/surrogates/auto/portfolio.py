"""What the portfolio of the automatic surrogate is made of."""

from dataclasses import dataclass
from typing import final

from adaptsample.surrogates.crease import Crease, Kind
from adaptsample.surrogates.gaussian_process import GaussianProcess
from adaptsample.surrogates.jump import Jump
from adaptsample.surrogates.mlp import MLP
from adaptsample.surrogates.polynomial import Polynomial
from adaptsample.surrogates.protocol import Surrogate
from adaptsample.training import LevenbergMarquardt


@final
@dataclass(frozen=True)
class Member:
    """A family in the portfolio.

    Attributes:
        name: what scores call it.
        draft: a quick fit.
        final: a longer fit that continues from a draft among the best.
        after: the member whose draft this one's draft starts from.
        n_transforms: how many transforms it is drafted with, those that did best so far; None for
            the identity alone.
        max_dimension: with more variables it is left out: it would have too many parameters.
        has_prior: whether a prior keeps its parameters in check, so that many of them do no harm.
        is_bold: whether it is flexible enough to win by chance. Tried last, with the transforms
            that did best.
    """

    name: str
    draft: Surrogate
    final: Surrogate | None = None
    after: str = ""
    n_transforms: int | None = 4
    max_dimension: int | None = None
    has_prior: bool = False
    is_bold: bool = False


def _crease(kind: Kind, *, is_bold: bool) -> Member:
    return Member(
        f"crease_{kind}",
        Crease(kind, n_climbs=0, seconds=5.0),
        Crease(kind, n_starts=0, seconds=15.0),
        after="crease_abs" if is_bold else "",
        n_transforms=2 if is_bold else 4,
        max_dimension=4 if is_bold else None,
        is_bold=is_bold,
    )


def _creased_network(name: str, hidden: tuple[int, ...], *activation: str) -> Member:
    training = LevenbergMarquardt(starts=8, finalists=3, seconds=10.0)
    return Member(name, MLP(hidden, activation, training=training), n_transforms=1, is_bold=True)


def _smooth_network(name: str, hidden: tuple[int, ...], max_dimension: int | None) -> Member:
    recipe = MLP(hidden, training=LevenbergMarquardt(seconds=10.0))
    return Member(name, recipe, n_transforms=2, max_dimension=max_dimension, has_prior=True)


NETWORKS = (
    _smooth_network("wide_network", (12, 12), max_dimension=1),
    _smooth_network("network", (10, 10, 10), max_dimension=None),
    _creased_network("network_abs", (10, 10, 1, 6, 6), "tanh", "tanh", "abs", "tanh", "tanh"),
    _creased_network("network_mixed", (10, 10, 2, 10), "tanh", "tanh", "crease", "tanh"),
    _creased_network("network_abs3", (10, 10, 3, 10), "tanh", "tanh", "abs", "tanh"),
)
"""Networks alone: smooth, with one crease, with one crease beside a smooth part, with three."""

MEMBERS = (
    Member("polynomial", Polynomial()),
    _crease("abs", is_bold=False),
    Member("gaussian_process", GaussianProcess(), has_prior=True),
    Member(
        "rough_gaussian_process",
        GaussianProcess(kernels=("matern32",), trend=1, noisy=False),
        has_prior=True,
    ),
    Member("jump", Jump(), n_transforms=None, max_dimension=4),
    *(_crease(kind, is_bold=True) for kind in ("abs2", "max", "product")),
    *NETWORKS,
)
"""The portfolio: cheap members first."""
