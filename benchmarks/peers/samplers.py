"""Other packages that choose their own points, or are given Sobol points, at documented settings.

A package has several arms, each a generator: it evaluates, and shows what it has at each of the
task's sizes. All arms are shown, so that the best of a package can be held against ours.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Final, final

import numpy as np
from scipy.interpolate import (
    CloughTocher2DInterpolator,
    CubicSpline,
    LinearNDInterpolator,
    NearestNDInterpolator,
    RBFInterpolator,
)

from benchmarks.peers.approximations import Array, Predict, aaa, chebyshev, to_unit
from benchmarks.peers.gaussian import botorch_arms, kriging_arms, scikit_learn_arms
from benchmarks.peers.task import Checkpoint, Run, Task


@final
@dataclass(frozen=True)
class Package:
    """A peer.

    Args:
        module: what is imported before its clock starts.
        arms: its ways to go about it, from the number of variables.
    """

    module: str
    arms: Callable[[int], Sequence[Run]]


# ---- adaptive -----------------------------------------------------------------------------------


def _adaptive_arms(dimension: int) -> list[Run]:
    """Return learners with their default loss and with the others that the package has for it."""

    def made(name: str, learner: str, loss: str | None) -> Run:
        return partial(_adaptive, name=name, learner=learner, loss=loss)

    if dimension == 1:
        return [made("default", "Learner1D", None), made("curvature", "Learner1D", "curved line")]
    curved = made("curvature", "LearnerND", "curved")
    if dimension == 2:
        return [made("default", "Learner2D", None), made("uniform", "Learner2D", "even"), curved]
    return [made("default", "LearnerND", None), curved]


_LOSSES: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "curved line": lambda: {
        "loss_per_interval": import_module("adaptive.learner.learner1D").curvature_loss_function()
    },
    "even": lambda: {"loss_per_triangle": import_module("adaptive.learner.learner2D").uniform_loss},
    "curved": lambda: {
        "loss_per_simplex": import_module("adaptive.learner.learnerND").curvature_loss_function()
    },
}


def _adaptive(task: Task, name: str, learner: str, loss: str | None) -> Iterator[Checkpoint]:
    """Let a learner choose in the unit cube, a point after another.

    Raises:
        ValueError: the corners of the domain, with which a learner begins, are too many.
    """
    package: Any = import_module("adaptive")
    dimension, lowest = len(task.bounds), task.bounds[:, 0]
    sizes = [size for size in task.sizes if size > 2**dimension]
    if not sizes:
        raise ValueError(
            f"LearnerND begins with all {2**dimension} corners, not less than {task.sizes[-1]}"
        )

    def value(point: Any) -> float:
        u = np.reshape(np.asarray(point, dtype=np.float64), (1, dimension))
        return float(task(lowest + u * np.ptp(task.bounds, axis=1))[0])

    cube: Any = (0.0, 1.0) if dimension == 1 else [(0.0, 1.0)] * dimension
    chooser = getattr(package, learner)(value, cube, **({} if loss is None else _LOSSES[loss]()))
    for size in sizes:
        import_module("adaptive.runner").simple(chooser, npoints_goal=size)
        table = chooser.to_numpy()
        assert len(table) == size, f"{learner} has {len(table)} points, not {size}"
        shown = _interpolants(table[:, :-1], table[:, -1], task.bounds)
        yield size, {f"adaptive, {name} loss, {how}": fit for how, fit in shown.items()}


def _interpolants(u: Array, y: Array, bounds: Array) -> Mapping[str, Predict]:
    """Return what the learners themselves do, which is linear, and what is cubic."""
    if len(bounds) == 1:
        order = np.argsort(u[:, 0])
        nodes, values = u[order, 0], y[order]
        spline = CubicSpline(nodes, values)
        return {
            "linear": lambda new: np.interp(to_unit(new, bounds)[:, 0], nodes, values),
            "cubic": lambda new: np.asarray(spline(to_unit(new, bounds)[:, 0])),
        }
    outer = NearestNDInterpolator(u, y)  # rounding may put a corner outside

    def within(inner: Callable[[Array], Any]) -> Predict:
        def predict(new: Array) -> Array:
            v = to_unit(new, bounds)
            z = np.asarray(inner(v))
            return np.where(np.isfinite(z), z, outer(v))

        return predict

    linear = {"linear": within(LinearNDInterpolator(u, y))}
    if len(bounds) > 2:
        return linear
    return linear | {"cubic": within(CloughTocher2DInterpolator(u, y))}


# ---- SciPy --------------------------------------------------------------------------------------

_KERNELS: Final = ("linear", "thin_plate_spline", "cubic", "quintic")


def _radial_arms(dimension: int) -> list[Run]:
    del dimension
    return [partial(_radial, kernel=kernel) for kernel in _KERNELS]


def _radial(task: Task, kernel: Any) -> Iterator[Checkpoint]:
    """Interpolate Sobol points by radial basis functions whose kernel has no scale."""
    d = len(task.bounds)
    least = {"linear": 1, "quintic": (d + 1) * (d + 2) // 2}.get(kernel, d + 1)  # its polynomial
    for size in task.sizes:
        if size >= least:
            task.afresh()
            x = task.sobol(size)
            fit = RBFInterpolator(to_unit(x, task.bounds), task(x), kernel=kernel)
            yield size, {f"SciPy RBF, {kernel}, Sobol": partial(_radially, fit=fit, task=task)}


def _radially(new: Array, fit: Any, task: Task) -> Array:
    return np.asarray(fit(to_unit(new, task.bounds)))


def _rational_arms(dimension: int) -> list[Run]:
    """Return interpolation in one variable by a polynomial, and by AAA."""
    if dimension > 1:
        return []
    return [
        partial(_nodes, name="Chebyshev polynomial", fit=chebyshev),
        partial(_nodes, name="SciPy AAA, Chebyshev points", fit=aaa),
        partial(_nodes, name="SciPy AAA, Sobol", fit=aaa),
    ]


def _nodes(task: Task, name: str, fit: Callable[..., Any]) -> Iterator[Checkpoint]:
    for size in task.sizes:
        task.afresh()
        x = task.sobol(size) if name.endswith("Sobol") else task.chebyshev(size)
        yield size, {name: fit(x, task(x), task.bounds).predict}


# ---- Tasmanian ----------------------------------------------------------------------------------


def _sparse_arms(dimension: int) -> list[Run]:
    """Return local grids of several orders, refinements and first depths, and global sequences."""
    return [
        *(
            partial(_local_grid, order=order, refinement=refinement, depth=depth)
            for order in (1, 2, -1)
            for refinement in ("classic", "fds")
            for depth in (1, 2, 3)
        ),
        *(partial(_sequence, rule=r) for r in (("leja", "rleja") if dimension > 1 else ("leja",))),
    ]


def _local_grid(task: Task, order: int, refinement: str, depth: int) -> Iterator[Checkpoint]:
    """Refine where surpluses are large."""
    grids: Any = import_module("Tasmanian")
    name = f"Tasmanian, local order {order}, {refinement}, depth {depth}"
    for size in task.sizes:
        grid = grids.makeLocalPolynomialGrid(len(task.bounds), 1, depth, order, "localp")
        if grid.getNumNeeded() <= size:
            build = grids.constructSurplusSurrogate
            yield size, {name: _grown(task, grid, size, build, 1e-12, refinement, 0)}


def _sequence(task: Task, rule: str) -> Iterator[Checkpoint]:
    """Refine along the axes that matter."""
    grids: Any = import_module("Tasmanian")
    for size in task.sizes:
        grid = grids.makeSequenceGrid(len(task.bounds), 1, 1, "iptotal", rule)
        build = grids.constructAnisotropicSurrogate
        name = f"Tasmanian, {rule} sequence"
        yield size, {name: _grown(task, grid, size, build, "iptotal", 0)}


def _grown(task: Task, grid: Any, size: int, build: Callable[..., Any], *how: Any) -> Predict:
    """Let a grid grow to a size, one point after another."""
    grid.setDomainTransform(task.bounds)
    task.afresh()
    build(lambda x, _: task(x)[:, None], size, 1, 1, grid, *how)
    return lambda new: np.asarray(grid.evaluateBatch(new))[:, 0]


# ---- OpenTURNS ----------------------------------------------------------------------------------

CHAOS: Final = "OpenTURNS"
_NORMS: Final = (0.5, 0.75, 1.0)
_TERMS: Final = 2.0  # at most, by the number of points


def _chaos_arms(dimension: int) -> list[Run]:
    del dimension
    return [_chaos]


def _chaos(task: Task) -> Iterator[Checkpoint]:
    """Expand in Legendre polynomials: sparse, by least angles; leave-one-out chooses how many."""
    openturns: Any = import_module("openturns")
    openturns.Log.Show(openturns.Log.NONE)
    for size in task.sizes:
        task.afresh()
        x = task.sobol(size)
        y = task(x)
        norms = _NORMS if len(task.bounds) > 1 else _NORMS[-1:]
        fits = [f for norm in norms for f in _expansions(openturns, x, y, task.bounds, norm)]
        best = min(fits, key=lambda fit: min(fit.getErrorHistory())).getMetaModel()
        yield size, {f"{CHAOS} sparse polynomial chaos, Sobol": partial(_expanded, fit=best)}


def _expansions(openturns: Any, x: Array, y: Array, bounds: Array, norm: float) -> Iterator[Any]:
    """Yield an expansion of each degree that has not too many terms."""
    d = len(bounds)
    law = openturns.JointDistribution([openturns.Uniform(a, b) for a, b in bounds.tolist()])
    count = openturns.HyperbolicAnisotropicEnumerateFunction(d, norm)
    factories = [openturns.LegendreFactory()] * d
    basis = openturns.OrthogonalProductPolynomialFactory(factories, count)
    degree = 1
    while (terms := count.getBasisSizeFromTotalDegree(degree)) <= max(_TERMS * len(x), d + 1):
        angles = openturns.LeastSquaresMetaModelSelectionFactory(
            openturns.LARS(), openturns.CorrectedLeaveOneOut()
        )
        strategies = openturns.FixedStrategy(basis, terms), openturns.LeastSquaresStrategy(angles)
        fit = openturns.FunctionalChaosAlgorithm(x, y[:, None], law, *strategies)
        fit.run()
        yield fit.getResult()
        degree += 1


def _expanded(new: Array, fit: Any) -> Array:
    return np.asarray(fit(new))[:, 0]


ONE_VARIABLE: Final = "Chebyshev and AAA"
"""The peers for functions of one variable alone."""

PEERS: Final[Mapping[str, Package]] = {
    "adaptive": Package("adaptive", _adaptive_arms),
    "SciPy RBF": Package("scipy", _radial_arms),
    ONE_VARIABLE: Package("scipy", _rational_arms),
    CHAOS: Package("openturns", _chaos_arms),
    "SMT Kriging": Package("smt.surrogate_models", kriging_arms),
    "Tasmanian": Package("Tasmanian", _sparse_arms),
    "scikit-learn": Package("sklearn.gaussian_process", scikit_learn_arms),
    "BoTorch": Package("botorch.models", botorch_arms),
}
"""Peers by name; each shows approximations under names that begin with what it is."""
