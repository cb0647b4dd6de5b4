"""Other packages' approximations behind one small interface.

A peer takes points, values and the bounds of the box, and answers with what it fitted. Each is set
up as its own documentation does, or better where that was found. They are imported when they are
used: none is needed by the library.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import (
    AAA,
    CloughTocher2DInterpolator,
    LinearNDInterpolator,
    NearestNDInterpolator,
    RBFInterpolator,
)

Array: TypeAlias = NDArray[np.float64]
Predict: TypeAlias = Callable[[Array], Array]
"""Points (m, d) to values (m,)."""


@final
@dataclass(frozen=True)
class Fitted:
    """What a peer made of its points.

    Args:
        predict: the approximation.
        std: its standard deviation about the exact function, in the units of y, if it has one.
        noise_std: the standard deviation of the noise that it found, if it looked for any.
    """

    predict: Predict
    std: Predict | None = None
    noise_std: float | None = None


Peer: TypeAlias = Callable[[Array, Array, Array], Fitted]
"""Points (n, d), values (n,) and bounds (d, 2) to an approximation."""


def thin_plate_spline(x: Array, y: Array, bounds: Array) -> Fitted:
    """Interpolate by SciPy's radial basis functions, with their default kernel."""
    fitted = RBFInterpolator(to_unit(x, bounds), y)
    return Fitted(lambda new: np.asarray(fitted(to_unit(new, bounds))))


def chebyshev(x: Array, y: Array, bounds: Array) -> Fitted:
    """Interpolate in 1-D by the polynomial through all points; they should be Chebyshev's."""
    fit = np.polynomial.Chebyshev.fit(x[:, 0], y, len(x) - 1, domain=bounds[0].tolist())
    return Fitted(lambda new: np.asarray(fit(new[:, 0])))


def aaa(x: Array, y: Array, bounds: Array) -> Fitted:
    """Approximate in 1-D by a rational function (Nakatsukasa, Sète and Trefethen 2018)."""
    del bounds
    fit = AAA(x[:, 0], y)
    return Fitted(lambda new: np.real(fit(new[:, 0])))


def botorch_matern(x: Array, y: Array, bounds: Array) -> Fitted:
    """Fit BoTorch's Gaussian process with a Matérn-5/2 kernel to exact values."""
    return _gaussian_process(x, y, bounds, "matern", noisy=False)


def botorch_rbf(x: Array, y: Array, bounds: Array) -> Fitted:
    """Fit BoTorch's Gaussian process with a squared exponential kernel to exact values."""
    return _gaussian_process(x, y, bounds, "rbf", noisy=False)


def botorch_noisy_matern(x: Array, y: Array, bounds: Array) -> Fitted:
    """Fit BoTorch's Gaussian process with a Matérn-5/2 kernel and a noise to be found."""
    return _gaussian_process(x, y, bounds, "matern", noisy=True)


def botorch_noisy_rbf(x: Array, y: Array, bounds: Array) -> Fitted:
    """Fit BoTorch's Gaussian process with a squared exponential kernel and a noise to be found."""
    return _gaussian_process(x, y, bounds, "rbf", noisy=True)


PEERS: Final[Mapping[str, Peer]] = {
    "scipy-thin-plate": thin_plate_spline,
    "scipy-aaa": aaa,
    "chebyshev": chebyshev,
    "botorch-matern": botorch_matern,
    "botorch-rbf": botorch_rbf,
    "botorch-noisy-matern": botorch_noisy_matern,
    "botorch-noisy-rbf": botorch_noisy_rbf,
}
"""Peers that are given points, by name."""


def adaptive(function: Callable[[Array], float], bounds: Array, n: int) -> Fitted:
    """Let the package adaptive choose and evaluate n points of a function of one point (d,).

    Its learner's points are interpolated by a cubic (2-D) or linearly (above); outside of their
    convex hull, where the corners are missing, by the nearest point.
    """
    from adaptive import Learner2D, LearnerND  # noqa: PLC0415
    from adaptive.runner import simple  # noqa: PLC0415

    learner_class = Learner2D if len(bounds) == 2 else LearnerND
    learner = learner_class(lambda point: function(np.array(point)), [tuple(b) for b in bounds])
    simple(learner, npoints_goal=n)
    table = learner.to_numpy()
    assert len(table) == n, f"the learner has {len(table)} points, not {n}"
    u, y = to_unit(table[:, :-1], bounds), table[:, -1]
    inner = CloughTocher2DInterpolator(u, y) if len(bounds) == 2 else LinearNDInterpolator(u, y)
    outer = NearestNDInterpolator(u, y)

    def predict(new: Array) -> Array:
        v = to_unit(new, bounds)
        z = np.asarray(inner(v))
        return np.where(np.isfinite(z), z, outer(v))

    return Fitted(predict)


def to_unit(x: Array, bounds: Array) -> Array:
    """Return points (n, d) in the unit cube."""
    return (x - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0])


def _gaussian_process(
    x: Array, y: Array, bounds: Array, kernel: Literal["matern", "rbf"], *, noisy: bool
) -> Fitted:
    """Fit BoTorch's SingleTaskGP with its own priors, one length scale an axis.

    A learned output scale, several starts and, for exact values, two tiny variances of noise made
    it better than its defaults do on the functions here; the marginal likelihood chooses.

    Raises:
        RuntimeError: every start failed.
    """
    from botorch.exceptions.errors import ModelFittingError  # noqa: PLC0415
    from botorch.fit import fit_gpytorch_mll  # noqa: PLC0415
    from botorch.models import SingleTaskGP  # noqa: PLC0415
    from botorch.models.transforms import Normalize, Standardize  # noqa: PLC0415
    from botorch.models.utils.gpytorch_modules import (  # noqa: PLC0415
        get_covar_module_with_dim_scaled_prior,
    )
    from gpytorch.kernels import ScaleKernel  # noqa: PLC0415
    from gpytorch.mlls import ExactMarginalLogLikelihood  # noqa: PLC0415
    from gpytorch.settings import min_fixed_noise  # noqa: PLC0415
    from linear_operator.utils.errors import NanError, NotPSDError  # noqa: PLC0415

    points, values = torch.from_numpy(x), torch.from_numpy(y)[:, None]
    fits: list[tuple[float, Any]] = []
    failure = ""
    # BoTorch draws from torch's global generator
    with torch.random.fork_rng(), warnings.catch_warnings(), min_fixed_noise(double_value=1e-12):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        for noise, start in product((None,) if noisy else _VARIANCES, range(_STARTS)):
            scales = get_covar_module_with_dim_scaled_prior(
                len(bounds), use_rbf_kernel=kernel == "rbf"
            )
            if start > 0:
                scales.sample_from_prior("lengthscale_prior")
            model: Any = SingleTaskGP(
                points,
                values,
                None if noise is None else torch.full_like(values, noise * float(values.var())),
                covar_module=ScaleKernel(scales),
                input_transform=Normalize(len(bounds), bounds=torch.from_numpy(bounds).T),
                outcome_transform=Standardize(1),
            )
            likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
            try:
                fit_gpytorch_mll(likelihood)
                model.train()
                with torch.no_grad():
                    fits.append(
                        (float(likelihood(model(*model.train_inputs), model.train_targets)), model)
                    )
            except (ModelFittingError, NanError, NotPSDError) as error:
                failure = f"{type(error).__name__}: {error}"
    if not fits:
        raise RuntimeError(f"every start failed, the last one with {failure}")
    model = max(fits, key=lambda fit: fit[0])[1].eval()
    return _posterior(model, float(values.std()), noisy=noisy)


_VARIANCES = (1e-6, 1e-8)  # of exact values, in units of their variance
_STARTS = 4


def _posterior(model: Any, spread: float, *, noisy: bool) -> Fitted:
    def moments(new: Array) -> tuple[Array, Array]:
        # in pieces: the covariances of all points with one another are computed and not needed
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = np.array_split(new, 1 + len(new) // 500)
            pieces = [model.posterior(torch.from_numpy(part)) for part in parts]
            mean = torch.cat([piece.mean[:, 0] for piece in pieces])
            variance = torch.cat([piece.variance[:, 0] for piece in pieces])
        return mean.numpy(), variance.sqrt().numpy()

    noise = float(model.likelihood.noise.mean().sqrt()) * spread if noisy else None
    return Fitted(lambda new: moments(new)[0], lambda new: moments(new)[1], noise)
