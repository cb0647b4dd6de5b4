"""Both ways between scikit-learn and adaptsample.

`SurrogateRegressor` is a scikit-learn estimator around one of our surrogates, for pipelines, cross
validation and comparisons. `SklearnRegressor` is a surrogate around a scikit-learn regressor, for
active learning with any of theirs.
"""

from dataclasses import dataclass
from inspect import signature
from numbers import Integral
from typing import Any, Self, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator

from adaptsample.core.dataset import Dataset
from adaptsample.core.extras import needs_extra
from adaptsample.core.randomness import derive_generator, draw_seed
from adaptsample.core.shapes import Points, Values
from adaptsample.registry import make_surrogate
from adaptsample.surrogates.conversion import accepts_arrays
from adaptsample.surrogates.protocol import SupportsStd, Surrogate

with needs_extra("sklearn", "adaptsample.sklearn"):
    from sklearn.base import BaseEstimator, RegressorMixin, clone
    from sklearn.pipeline import Pipeline
    from sklearn.utils import Tags, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data

Array: TypeAlias = npt.NDArray[np.float64]


@final
class SurrogateRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # untyped bases
    """A scikit-learn regressor around a surrogate.

    Args:
        surrogate: a recipe, or its name, e.g. ``"gaussian_process"``.
        random_state: an integer or a ``RandomState`` for fits that can be repeated; None draws a
            new seed for each fit.

    Attributes:
        model_: the fitted model.
        n_features_in_: number of variables, d.
    """

    def __init__(
        self,
        surrogate: Surrogate | str = "mlp",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.surrogate = surrogate
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:  # noqa: N803  # scikit-learn's name
        """Fit the surrogate.

        Args:
            X: points (n, d).
            y: values (n,) or (n, k).

        Raises:
            ValueError: an unknown surrogate, or data that scikit-learn refuses.
        """
        x, values = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        recipe = self.surrogate
        if isinstance(recipe, str):
            recipe = make_surrogate(recipe)
        columns = torch.tensor(values, dtype=torch.float64).reshape(len(x), -1)
        generator = derive_generator(_seed(self.random_state), "fit")
        self.model_ = recipe.fit(Dataset(torch.tensor(x), columns), generator=generator)
        self._y_ndim = values.ndim
        return self

    def predict(
        self,
        X: npt.ArrayLike,  # noqa: N803  # scikit-learn's name
        return_std: bool = False,
    ) -> Array | tuple[Array, Array]:
        """Predict at n points.

        Args:
            X: points (n, d).
            return_std: also return the standard deviation, in the units of y.

        Returns:
            Values of the shape of the y that was fitted; with ``return_std`` a pair of such.

        Raises:
            ValueError: ``return_std`` of a surrogate that has no std, or points that scikit-learn
                refuses.
        """
        check_is_fitted(self)
        x = torch.tensor(validate_data(self, X, dtype=np.float64, reset=False))
        mean = self._as_fitted(self.model_.predict(x).numpy())
        if not return_std:
            return mean
        if not isinstance(self.model_, SupportsStd):
            raise ValueError(
                f"surrogate {self.surrogate!r} has no std; "
                "predict without return_std, or use e.g. 'gaussian_process'"
            )
        return mean, self._as_fitted(self.model_.std(x).numpy())

    def _as_fitted(self, values: Array) -> Array:
        return values[:, 0] if self._y_ndim == 1 else values

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@final
@dataclass(frozen=True)
class SklearnRegressor:
    """A surrogate around a scikit-learn regressor; each output gets a clone of its own.

    Args:
        estimator: an unfitted regressor, or a pipeline that ends in one. Where it leaves its
            ``random_state`` open, the seed follows from the run's.
    """

    estimator: BaseEstimator

    def fit(
        self, data: Dataset, *, generator: Generator, start: Any = None
    ) -> "SklearnModel | SklearnModelWithStd":
        """Fit; ``start`` is not used, a clone knows nothing of earlier fits."""
        del start
        x, y = data.x.numpy(), data.y.numpy()
        fitted = []
        for column in y.T:
            estimator = clone(self.estimator)
            open_ = [
                name
                for name, value in sorted(estimator.get_params().items())
                if value is None and name.rpartition("__")[2] == "random_state"
            ]
            estimator.set_params(**{name: draw_seed(generator) for name in open_})
            fitted.append(estimator.fit(x, column))
        model = SklearnModel(data.x.shape[1], tuple(fitted))
        if not _returns_std(self.estimator):
            return model
        return SklearnModelWithStd(model)


@final
@dataclass(frozen=True, eq=False)
class SklearnModel:
    """A fitted scikit-learn regressor for each output."""

    dimension: int
    estimators: tuple[Any, ...]

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Predict at n points."""
        columns = [estimator.predict(x.numpy()) for estimator in self.estimators]
        return torch.tensor(np.stack(columns, axis=1), dtype=torch.float64)


@final
@dataclass(frozen=True, eq=False)
class SklearnModelWithStd:
    """Fitted scikit-learn regressors that know how uncertain they are."""

    model: SklearnModel

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point, d."""
        return self.model.dimension

    @accepts_arrays
    def predict(self, x: Points) -> Values:
        """Predict at n points."""
        return self.model.predict(x)

    @accepts_arrays
    def std(self, x: Points) -> Values:
        """Return the estimators' standard deviation."""
        columns = [e.predict(x.numpy(), return_std=True)[1] for e in self.model.estimators]
        return torch.tensor(np.stack(columns, axis=1), dtype=torch.float64)


def _returns_std(estimator: Any) -> bool:
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    return "return_std" in signature(last.predict).parameters


def _seed(random_state: int | np.random.RandomState | None) -> int:
    if random_state is None:  # scikit-learn would draw from NumPy's global state
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
