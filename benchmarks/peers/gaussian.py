"""Gaussian processes of other packages, on Sobol points and on points that they choose.

Those that choose begin with Sobol points and add batches of a fifth of what they have: that is what
fits, whose price grows with the cube of the points, can be afforded for. Within a batch each point
knows those before it.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import torch

from adaptsample.core import derive_generator
from benchmarks.peers.approximations import Array, Predict, botorch_matern, botorch_rbf, to_unit
from benchmarks.peers.task import Checkpoint, Run, Task

GROWTH: Final = 1.2
"""What a sequential peer has after a batch, by what it had before."""

_N_CANDIDATES: Final = 1000
_N_TARGET: Final = 256
_NOISE: Final = 1e-6  # of exact values, in units of their variance, while points are chosen

# ---- SMT ----------------------------------------------------------------------------------------


def kriging_arms(dimension: int) -> list[Run]:
    """Return SMT's Kriging of Sobol points, with its defaults but for the kernel."""
    del dimension
    return [partial(_kriging, kernel=kernel) for kernel in ("squar_exp", "matern52")]


def _kriging(task: Task, kernel: str) -> Iterator[Checkpoint]:
    models: Any = import_module("smt.surrogate_models")
    for size in task.sizes:
        task.afresh()
        x = task.sobol(size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = models.KRG(corr=kernel, print_global=False, seed=task.seed)
            fit.set_training_values(x, task(x)[:, None])
            fit.train()
        yield size, {f"SMT Kriging, {kernel}, Sobol": partial(_kriged, fit=fit)}


def _kriged(new: Array, fit: Any) -> Array:
    return np.asarray(fit.predict_values(new))[:, 0]


# ---- scikit-learn -------------------------------------------------------------------------------

Transform: TypeAlias = tuple[Callable[[Array], Array], Callable[[Array], Array], Callable[..., Any]]
_TRANSFORMS: Final[Mapping[str, Transform]] = {
    "log": (np.log, np.exp, lambda y: -np.log(y)),
    "reciprocal": (np.reciprocal, np.reciprocal, lambda y: -2 * np.log(y)),
    "sqrt": (np.sqrt, np.square, lambda y: -np.log(2 * np.sqrt(y))),
}
"""Of positive values: there, back, and the logarithm of the slope."""


def scikit_learn_arms(dimension: int) -> list[Run]:
    """Return processes of points of largest variance, of Sobol points, and of transformed values.

    The marginal likelihood chooses among anisotropic kernels, and transforms of the values.
    """
    del dimension
    return [_most_variable_first, _given_sobol, partial(_given_sobol, is_transformed=True)]


def _most_variable_first(task: Task) -> Iterator[Checkpoint]:
    x = np.empty((0, len(task.bounds)))
    y, process = np.empty(0), None
    for total in task.totals(GROWTH):
        new = task.sobol(total) if process is None else _most_variable(task, process, x, total)
        x, y = np.concatenate([x, new]), np.concatenate([y, task(new)])
        process = _scikit_learn_process(to_unit(x, task.bounds), y, task.seed)
        if total in task.sizes:
            predict = partial(_processed, process=process, bounds=task.bounds)
            yield total, {"scikit-learn GP, largest variance": predict}


def _given_sobol(task: Task, *, is_transformed: bool = False) -> Iterator[Checkpoint]:
    for size in task.sizes:
        task.afresh()
        x = task.sobol(size)
        u, y = to_unit(x, task.bounds), task(x)
        process = _scikit_learn_process(u, y, task.seed)
        predict = partial(_processed, process=process, bounds=task.bounds)
        if not is_transformed:
            yield size, {"scikit-learn GP, Sobol": predict}
            continue
        best = process.log_marginal_likelihood_value_ - size * np.log(y.std())
        for there, back, log_slope in _TRANSFORMS.values() if y.min() > 0 else ():
            z = there(y)
            process = _scikit_learn_process(u, z, task.seed)
            found = process.log_marginal_likelihood_value_ - size * np.log(z.std())
            if found + log_slope(y).sum() > best:
                best = found + log_slope(y).sum()
                predict = partial(_processed, process=process, bounds=task.bounds, back=back)
        yield size, {"scikit-learn GP, Sobol, transformed values": predict}


def _scikit_learn_process(u: Array, y: Array, seed: int) -> Any:
    module: Any = import_module("sklearn.gaussian_process")
    kernels: Any = import_module("sklearn.gaussian_process.kernels")
    scales, limits = np.ones(u.shape[1]), (1e-2, 1e2)
    fits = []
    for kernel in (
        kernels.Matern(scales, limits, nu=1.5),
        kernels.Matern(scales, limits, nu=2.5),
        kernels.RBF(scales, limits),
    ):
        process = module.GaussianProcessRegressor(
            kernels.ConstantKernel(1.0, (1e-3, 1e4)) * kernel,
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


def _processed(
    new: Array, process: Any, bounds: Array, back: Callable[[Array], Array] = np.asarray
) -> Array:
    return np.asarray(back(process.predict(to_unit(new, bounds))))


# ---- BoTorch ------------------------------------------------------------------------------------

Kernel: TypeAlias = Literal["matern", "rbf"]
_FITS: Final = {"matern": botorch_matern, "rbf": botorch_rbf}


def botorch_arms(dimension: int) -> list[Run]:
    """Return BoTorch's processes of Sobol points, and of those that lower the variance most."""
    del dimension
    kernels: tuple[Kernel, ...] = ("matern", "rbf")
    return [partial(arm, kernel=kernel) for kernel in kernels for arm in (_of_sobol, _informative)]


def _of_sobol(task: Task, kernel: Kernel) -> Iterator[Checkpoint]:
    for size in task.sizes:
        task.afresh()
        x = task.sobol(size)
        predict: Predict = _FITS[kernel](x, task(x), task.bounds).predict
        yield size, {f"BoTorch GP, {kernel}, Sobol": predict}


def _informative(task: Task, kernel: Kernel) -> Iterator[Checkpoint]:
    """Ask what lowers the integrated variance most; what is shown are fits with several starts."""
    x = np.empty((0, len(task.bounds)))
    y = np.empty(0)
    for total in task.totals(GROWTH):
        new = task.sobol(total) if len(x) == 0 else _most_informative(task, kernel, x, y, total)
        x, y = np.concatenate([x, new]), np.concatenate([y, task(new)])
        if total in task.sizes:
            predict: Predict = _FITS[kernel](x, y, task.bounds).predict
            yield total, {f"BoTorch GP, {kernel}, integrated variance": predict}


def _most_informative(task: Task, kernel: Kernel, x: Array, y: Array, total: int) -> Array:
    """Return points up to a total, by a process with the kernel that is shown."""
    models: Any = import_module("botorch.models")
    transforms: Any = import_module("botorch.models.transforms")
    modules: Any = import_module("botorch.models.utils.gpytorch_modules")
    likelihoods: Any = import_module("gpytorch.mlls")
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(task.seed)
        u, values = torch.from_numpy(to_unit(x, task.bounds)), torch.from_numpy(y)[:, None]
        model = models.SingleTaskGP(
            u,
            values,
            torch.full_like(values, _NOISE * float(values.var())),
            covar_module=modules.get_covar_module_with_dim_scaled_prior(
                x.shape[1], use_rbf_kernel=kernel == "rbf"
            ),
            outcome_transform=transforms.Standardize(1),
        )
        fit = import_module("botorch.fit").fit_gpytorch_mll
        fit(likelihoods.ExactMarginalLogLikelihood(model.likelihood, model))
        filling = task.domain.sobol(
            _N_CANDIDATES + _N_TARGET, generator=derive_generator(task.seed, "choices", total)
        )
        places = task.domain.to_unit(filling)
        with torch.no_grad():
            covariance = model(places).covariance_matrix.numpy()
    chosen = integrated_variance(covariance, _N_CANDIDATES, total - len(x))
    unit = places[chosen].numpy()
    return np.asarray(task.bounds[:, 0] + unit * np.ptp(task.bounds, axis=1))


def integrated_variance(
    covariance: Array, n_candidates: int, n: int, *, noise: float = _NOISE
) -> list[int]:
    """Return the candidates that lower the summed variance of the others most, one after another.

    This is qNegIntegratedPosteriorVariance in closed form, each point knowing those before it.

    Args:
        covariance: of the candidates and, after them, the points that variance is summed over.
        n_candidates: how many of them are candidates.
        n: how many are chosen.
        noise: variance of that of the values.
    """
    left = covariance[:n_candidates].copy()
    chosen: list[int] = []
    for _ in range(n):
        variance = np.maximum(np.diag(left[:, :n_candidates]), 0.0) + noise
        gain = (left[:, n_candidates:] ** 2).sum(axis=1) / variance
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        left -= np.outer(left[:, best], left[best]) / variance[best]
    return chosen
