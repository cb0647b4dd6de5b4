"""Other packages that choose their own points, or are given Sobol points, at documented settings.

Each is a generator: it evaluates, and shows what it has at each of the task's sizes. What a package
offers in several forms is shown in all of them, so that the best can be held against ours.
Sequential ones begin with Sobol points and add batches of a fifth of what they have: that is what
fits of Gaussian processes, whose price grows with the cube of the points, can be afforded for.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final

import numpy as np
import torch
from scipy.interpolate import (
    CloughTocher2DInterpolator,
    CubicSpline,
    LinearNDInterpolator,
    NearestNDInterpolator,
    RBFInterpolator,
)

from adaptsample import derive_generator
from benchmarks._peers import (
    Array,
    Predict,
    aaa,
    botorch_matern,
    botorch_rbf,
    chebyshev,
    to_unit,
)
from benchmarks._task import Checkpoint, Run, Task

GROWTH: Final = 1.2
"""What a sequential peer has after a batch, by what it had before."""

_KERNELS: Final = ("linear", "thin_plate_spline", "cubic", "quintic")
_N_CANDIDATES: Final = 1000
_N_ACQUISITION: Final = 100  # candidates for BoTorch, each of which costs a fantasy
_AT_A_TIME: Final = 25  # so that it needs no gigabytes
_N_TARGET: Final = 64


def adaptive(task: Task) -> Iterator[Checkpoint]:
    """Let adaptive's learner choose, one point after another; interpolate as it does and cubically.

    Raises:
        ValueError: the corners of the domain, with which a learner begins, are too many.
    """
    from adaptive import Learner1D, Learner2D, LearnerND  # noqa: PLC0415
    from adaptive.runner import simple  # noqa: PLC0415

    bounds = task.bounds
    dimension = len(bounds)
    sizes = [size for size in task.sizes if size > 2**dimension]
    if not sizes:
        raise ValueError(
            f"LearnerND begins with all {2**dimension} corners, not less than {task.sizes[-1]}"
        )

    def value(point: Any) -> float:
        return float(task(np.reshape(np.asarray(point, dtype=np.float64), (1, dimension)))[0])

    pairs = [tuple(pair) for pair in bounds.tolist()]
    learner: Any
    if dimension == 1:
        learner = Learner1D(value, pairs[0])
    else:
        learner = (Learner2D if dimension == 2 else LearnerND)(value, pairs)
    for size in sizes:
        simple(learner, npoints_goal=size)
        table = learner.to_numpy()[:size]
        yield size, _interpolants(to_unit(table[:, :-1], bounds), table[:, -1], bounds)


def _interpolants(u: Array, y: Array, bounds: Array) -> Mapping[str, Predict]:
    if len(bounds) == 1:
        order = np.argsort(u[:, 0])
        nodes, values = u[order, 0], y[order]
        spline = CubicSpline(nodes, values)
        return {
            "adaptive, its own (linear)": lambda new: np.interp(
                to_unit(new, bounds)[:, 0], nodes, values
            ),
            "adaptive, cubic": lambda new: np.asarray(spline(to_unit(new, bounds)[:, 0])),
        }
    outer = NearestNDInterpolator(u, y)  # rounding may put a corner outside

    def within(inner: Callable[[Array], Any]) -> Predict:
        def predict(new: Array) -> Array:
            v = to_unit(new, bounds)
            z = np.asarray(inner(v))
            return np.where(np.isfinite(z), z, outer(v))

        return predict

    linear = {"adaptive, its own (linear)": within(LinearNDInterpolator(u, y))}
    if len(bounds) > 2:
        return linear
    return linear | {"adaptive, cubic": within(CloughTocher2DInterpolator(u, y))}


def radial(task: Task) -> Iterator[Checkpoint]:
    """Interpolate Sobol points by SciPy's radial basis functions, with kernels without scale."""
    for size in task.sizes:
        task.afresh()
        x = task.sobol(size)
        y, u = task(x), to_unit(x, task.bounds)
        fits = {kernel: RBFInterpolator(u, y, kernel=kernel) for kernel in _KERNELS}

        def predict(new: Array, fit: Any) -> Array:
            return np.asarray(fit(to_unit(new, task.bounds)))

        yield size, {f"SciPy RBF, {k}, Sobol": partial(predict, fit=f) for k, f in fits.items()}


def rational(task: Task) -> Iterator[Checkpoint]:
    """Interpolate in one variable Chebyshev points by a polynomial and by AAA, and Sobol points."""
    for size in task.sizes:
        task.afresh()
        x = np.asarray(
            task.domain.chebyshev(size, generator=derive_generator(task.seed, "initial"))
        )
        y = task(x)
        shown = {
            "Chebyshev polynomial": chebyshev(x, y, task.bounds).predict,
            "SciPy AAA, Chebyshev points": aaa(x, y, task.bounds).predict,
        }
        task.afresh()
        x = task.sobol(size)
        yield size, shown | {"SciPy AAA, Sobol": aaa(x, task(x), task.bounds).predict}


def kriging(task: Task) -> Iterator[Checkpoint]:
    """Fit SMT's Kriging to Sobol points, with its defaults but for the kernel; it chooses none."""
    surrogate_models: Any = import_module("smt.surrogate_models")
    for size in task.sizes:
        task.afresh()
        x = task.sobol(size)
        y = task(x)
        shown: dict[str, Predict] = {}
        for kernel in ("squar_exp", "matern52"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fit = surrogate_models.KRG(corr=kernel, print_global=False, seed=task.seed)
                fit.set_training_values(x, y[:, None])
                fit.train()
            shown[f"SMT Kriging, {kernel}, Sobol"] = partial(_kriged, fit=fit)
        yield size, shown


def _kriged(new: Array, fit: Any) -> Array:
    return np.asarray(fit.predict_values(new))[:, 0]


def sparse_grid(task: Task) -> Iterator[Checkpoint]:
    """Let Tasmanian's sparse grids grow, where surpluses are large and where axes matter."""
    grids: Any = import_module("Tasmanian")
    dimension = len(task.bounds)
    for size in task.sizes:
        shown: dict[str, Predict] = {}
        for order in (1, 2):
            grid = grids.makeLocalPolynomialGrid(dimension, 1, 1, order, "localp")
            grid.setDomainTransform(task.bounds)
            task.afresh()
            grids.constructSurplusSurrogate(
                lambda x, _: task(x)[:, None], size, 1, 1, grid, 1e-12, "fds", 0
            )
            shown[f"Tasmanian, local order {order}"] = partial(_gridded, grid=grid)
        grid = grids.makeSequenceGrid(dimension, 1, 1, "iptotal", "leja")
        grid.setDomainTransform(task.bounds)
        task.afresh()
        grids.constructAnisotropicSurrogate(
            lambda x, _: task(x)[:, None], size, 1, 1, grid, "iptotal", 0
        )
        yield size, shown | {"Tasmanian, Leja sequence": partial(_gridded, grid=grid)}


def _gridded(new: Array, grid: Any) -> Array:
    return np.asarray(grid.evaluateBatch(new))[:, 0]


def scikit_learn(task: Task) -> Iterator[Checkpoint]:
    """Ask where scikit-learn's Gaussian process has the largest variance, in batches.

    Anisotropic Matérn kernels of both usual smoothnesses, normalised values, restarts; the marginal
    likelihood chooses. Within a batch the variance knows the points that are chosen already.
    """
    x = np.empty((0, len(task.bounds)))
    y, process = np.empty(0), None
    for total in task.totals(GROWTH):
        new = task.sobol(total) if process is None else _most_variable(task, process, x, total)
        x, y = np.concatenate([x, new]), np.concatenate([y, task(new)])
        process = _scikit_learn_process(to_unit(x, task.bounds), y, task.seed)
        if total in task.sizes:
            predict = partial(_processed, process=process, bounds=task.bounds)
            yield total, {"scikit-learn GP, largest variance": predict}


def _scikit_learn_process(u: Array, y: Array, seed: int) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: PLC0415
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern  # noqa: PLC0415

    fits = []
    for smoothness in (1.5, 2.5):
        scales = Matern(np.ones(u.shape[1]), (1e-2, 1e2), nu=smoothness)
        process = GaussianProcessRegressor(
            ConstantKernel(1.0, (1e-3, 1e4)) * scales,
            normalize_y=True,
            n_restarts_optimizer=2,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scales at their bounds
            fits.append(process.fit(u, y))
    return max(fits, key=lambda fit: float(fit.log_marginal_likelihood_value_))


def _most_variable(task: Task, process: Any, x: Array, total: int) -> Array:
    """Return points up to a total, each where the variance is largest once those before are known.

    The pivots of a Cholesky factorisation of the candidates' covariance are just these.
    """
    generator = np.random.default_rng([task.seed, total])
    u = generator.random((_N_CANDIDATES, x.shape[1]))
    covariance = process.predict(u, return_cov=True)[1]
    variance, rows, chosen = np.diag(covariance).copy(), np.empty((0, len(u))), list[int]()
    for _ in range(total - len(x)):
        pivot = int(np.argmax(variance))
        row = covariance[pivot] - rows[:, pivot] @ rows
        rows = np.vstack([rows, row / np.sqrt(max(float(variance[pivot]), 1e-300))])
        variance -= rows[-1] ** 2
        chosen.append(pivot)
        variance[chosen] = -np.inf
    return np.asarray(task.bounds[:, 0] + u[chosen] * np.ptp(task.bounds, axis=1))


def _processed(new: Array, process: Any, bounds: Array) -> Array:
    return np.asarray(process.predict(to_unit(new, bounds)))


def botorch(task: Task) -> Iterator[Checkpoint]:
    """Ask what lowers the integrated variance of BoTorch's Gaussian process most, in batches.

    Its SingleTaskGP with default priors is fitted for each batch; the points of a batch are chosen
    one after another, the others pending. What is shown are fits with several starts.
    """
    x = np.empty((0, len(task.bounds)))
    y = np.empty(0)
    for total in task.totals(GROWTH):
        new = task.sobol(total) if len(x) == 0 else _most_informative(task, x, y, total)
        x, y = np.concatenate([x, new]), np.concatenate([y, task(new)])
        if total in task.sizes:
            shown: dict[str, Predict] = {}
            for name, fit in {"Matérn": botorch_matern, "RBF": botorch_rbf}.items():
                shown[f"BoTorch GP, {name}, integrated variance"] = fit(x, y, task.bounds).predict
            yield total, shown


def _most_informative(task: Task, x: Array, y: Array, total: int) -> Array:
    """Return points up to a total."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        from botorch.acquisition.active_learning import (  # noqa: PLC0415
            qNegIntegratedPosteriorVariance,
        )
        from botorch.fit import fit_gpytorch_mll  # noqa: PLC0415
        from botorch.models import SingleTaskGP  # noqa: PLC0415
        from botorch.optim.optimize import optimize_acqf_discrete  # noqa: PLC0415
        from gpytorch.mlls import ExactMarginalLogLikelihood  # noqa: PLC0415

        torch.manual_seed(task.seed)
        u = torch.from_numpy(to_unit(x, task.bounds))
        model = SingleTaskGP(u, torch.from_numpy(y)[:, None])
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        filling = task.domain.sobol(
            _N_ACQUISITION + _N_TARGET, generator=derive_generator(task.seed, "choices", total)
        )
        choices, target = torch.split(task.domain.to_unit(filling), [_N_ACQUISITION, _N_TARGET])
        acquisition = qNegIntegratedPosteriorVariance(model, mc_points=target)
        chosen = optimize_acqf_discrete(
            acquisition, q=total - len(x), choices=choices, max_batch_size=_AT_A_TIME
        )[0]
    return np.asarray(task.bounds[:, 0] + chosen.numpy() * np.ptp(task.bounds, axis=1))


ONE_VARIABLE: Final = "Chebyshev and AAA"
"""The peers for functions of one variable alone."""

PEERS: Final[Mapping[str, Run]] = {
    "adaptive": adaptive,
    "SciPy RBF": radial,
    ONE_VARIABLE: rational,
    "SMT Kriging": kriging,
    "Tasmanian": sparse_grid,
    "scikit-learn": scikit_learn,
    "BoTorch": botorch,
}
"""Peers by name; each shows approximations under names that begin with what it is."""
