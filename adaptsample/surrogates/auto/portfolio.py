"""What the portfolio of the automatic surrogate is made of."""

from dataclasses import dataclass, replace
from typing import final

from adaptsample.surrogates.crease import Crease, Kind
from adaptsample.surrogates.gaussian_process import GaussianProcess
from adaptsample.surrogates.jump import Jump
from adaptsample.surrogates.mlp import MLP, EarlyStopped
from adaptsample.surrogates.polynomial import Polynomial
from adaptsample.surrogates.protocol import Surrogate
from adaptsample.training import LevenbergMarquardt


@final
@dataclass(frozen=True)
class Member:
    """A family in the portfolio.

    Attributes:
        name: what scores call it.
        draft: a first fit, which tells whether a longer one is worth it.
        final: a longer fit that continues from a draft among the best.
        quick: the draft with less than a thorough effort.
        scout: a much shorter fit, whose leave-one-out error tells whether a draft is worth it.
        glance: the draft between two searches, with less than a thorough effort; by default quick.
        refit: a fit that continues an earlier one; by default the final one, else the quick one.
        after: the member whose draft this one's draft starts from.
        signs: members one of which must not be far behind for this one to be tried, with less than
            a thorough effort: where one crease is no help, several hardly are.
        is_beside: whether it is tried beside the member before it, which it then knows nothing of;
            else after it.
        n_transforms: how many transforms it is drafted with, those that did best so far; None for
            the identity alone.
        max_dimension: with more variables it is left out: it would have too many parameters.
        has_prior: whether a prior keeps its parameters in check, so that many of them do no harm.
        is_bold: whether it is flexible enough to win by chance. Tried last, with the transforms
            that did best.
        is_cheap: whether it is tried in each round of a loop, also between two searches.
        is_dear: whether it costs so much that it is not tried where others are good.
        level: of effort that it takes: 0 for any, 1 from the standard on, 2 for a thorough one.
    """

    name: str
    draft: Surrogate
    final: Surrogate | None = None
    quick: Surrogate | None = None
    scout: Surrogate | None = None
    glance: Surrogate | None = None
    refit: Surrogate | None = None
    after: str = ""
    signs: tuple[str, ...] = ()
    is_beside: bool = False
    n_transforms: int | None = 4
    max_dimension: int | None = None
    has_prior: bool = False
    is_bold: bool = False
    is_cheap: bool = False
    is_dear: bool = False
    level: int = 0

    @property
    def wants_many_points(self) -> bool:
        """Whether it wants many more points with each variable: it is bold, or made for few."""
        return self.is_bold or self.max_dimension is not None

    @property
    def continuation(self) -> Surrogate:
        """What a candidate of the model before is refitted with."""
        return self.refit or self.final or self.quick or self.draft


_CREASES = ("crease_abs", "crease_abs2", "crease_max", "crease_product")


def _crease(kind: Kind, *, is_bold: bool, is_beside: bool = False) -> Member:
    return Member(
        f"crease_{kind}",
        Crease(kind, n_climbs=0, operations=2e10),
        Crease(kind, n_starts=0, operations=6e10),
        quick=Crease(kind, n_starts=24 if is_bold else 40, n_climbs=0, operations=1e10),
        glance=None if is_bold else Crease(kind, n_starts=40, n_climbs=0, operations=2e8),
        refit=Crease(kind, n_starts=0, n_climbs=1, operations=2e8),
        after="crease_abs" if is_bold else "",
        signs=("crease_abs", "crease_product") if kind in {"abs2", "max"} else (),
        is_beside=is_beside,
        n_transforms=2 if is_bold else 4,
        max_dimension=4 if is_bold else None,
        is_bold=is_bold,
        is_cheap=not is_bold,
        level=1 if is_bold else 0,
    )


def _creased_network(
    name: str, hidden: tuple[int, ...], *activation: str, is_beside: bool = True
) -> Member:
    training = LevenbergMarquardt(starts=8, finalists=3, operations=1e11)
    shorter = replace(
        training, start_iterations=20, iterations=200, tolerance=1e-3, operations=2e10
    )
    return Member(
        name,
        MLP(hidden, activation, training=training),
        quick=MLP(hidden, activation, training=shorter),
        signs=_CREASES,
        is_beside=is_beside,
        n_transforms=1,
        is_bold=True,
        is_dear=True,
        level=1,
    )


def _smooth_network(name: str, hidden: tuple[int, ...], max_dimension: int | None) -> Member:
    training = LevenbergMarquardt(operations=1e11)
    shorter = replace(
        training,
        finalists=2,
        start_iterations=40,
        iterations=150,
        continued_iterations=100,
        operations=2e10,
    )
    return Member(
        name,
        MLP(hidden, training=training),
        MLP(hidden, training=training),
        quick=MLP(hidden, training=shorter),
        scout=MLP(hidden, training=replace(shorter, finalists=shorter.starts, iterations=0)),
        refit=MLP(hidden, training=replace(shorter, starts=2)),
        is_beside=True,
        n_transforms=2,
        max_dimension=max_dimension,
        has_prior=True,
        is_dear=True,
        level=1,
    )


NETWORKS = (
    Member("early_networks", EarlyStopped(), n_transforms=2, has_prior=True, is_dear=True, level=1),
    _smooth_network("wide_network", (12, 12), max_dimension=1),
    _smooth_network("network", (10, 10, 10), max_dimension=None),
    _creased_network(
        *("network_abs", (10, 10, 1, 6, 6), "tanh", "tanh", "abs", "tanh", "tanh"), is_beside=False
    ),
    _creased_network("network_mixed", (10, 10, 2, 10), "tanh", "tanh", "crease", "tanh"),
    _creased_network("network_abs3", (10, 10, 3, 10), "tanh", "tanh", "abs", "tanh"),
)
"""Networks alone: several that stop early, smooth, with one crease, with one crease beside a smooth
part, with three."""

MEMBERS = (
    Member("polynomial", Polynomial(), is_cheap=True),
    Member("gaussian_process", GaussianProcess(), has_prior=True, is_cheap=True),
    Member(
        "rough_gaussian_process",
        GaussianProcess(kernels=("matern32",), trend=1, noisy=False),
        is_beside=True,
        has_prior=True,
        is_cheap=True,
    ),
    _crease("abs", is_bold=False),
    Member("jump", Jump(), n_transforms=None, max_dimension=4, level=1),
    _crease("product", is_bold=True),
    _crease("abs2", is_bold=True),
    _crease("max", is_bold=True, is_beside=True),
    *NETWORKS,
)
"""The portfolio: cheap members first."""
