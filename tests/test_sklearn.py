"""Both ways between scikit-learn and adaptsample."""

import importlib
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")

from sklearn.ensemble import ExtraTreesRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from adaptsample import Box, Dataset, Surrogate
from adaptsample.core import derive_generator
from adaptsample.errors import UnknownNameError
from adaptsample.sklearn import SklearnRegressor, SurrogateRegressor
from adaptsample.surrogates.gaussian_process import GaussianProcess
from adaptsample.surrogates.polynomial import Polynomial
from adaptsample.surrogates.protocol import SupportsStd

BOX = Box({"x": (0, 1), "y": (0, 2)})


def data(k: int = 1, n: int = 30) -> Dataset:
    x = BOX.sobol(n, generator=derive_generator(0, "data"))
    return Dataset(x, torch.stack([(3 * x[:, 0] + j).sin() + x[:, 1] for j in range(k)], dim=1))


@parametrize_with_checks([SurrogateRegressor("polynomial(max_degree=1)", random_state=0)])
def test_scikit_learn_accepts_the_estimator(estimator, check):
    state = np.random.get_state()  # noqa: NPY002  # one of the checks itself draws from it
    check(estimator)
    np.random.set_state(state)  # noqa: NPY002


def test_an_estimator_predicts_what_its_surrogate_does():
    d = data(2)
    estimator = SurrogateRegressor(Polynomial(), random_state=3).fit(d.x.numpy(), d.y.numpy())
    model = Polynomial().fit(d, generator=derive_generator(3, "fit"))
    x = BOX.grid(5)
    assert np.array_equal(estimator.predict(x.numpy()), model.predict(x).numpy())


def test_std_is_in_the_units_of_y_and_of_its_shape():
    d = data()
    x, y = d.x.numpy(), 1024 * d.y.numpy()[:, 0]  # the same when scaled, to the bit
    recipe = GaussianProcess(("rbf",), n_starts=1)
    grid = BOX.grid(5)
    mean, std = SurrogateRegressor(recipe).fit(x, y).predict(grid.numpy(), return_std=True)
    model = recipe.fit(d, generator=derive_generator(0, "fit"))
    assert mean.shape == std.shape == (25,)
    np.testing.assert_allclose(std, 1024 * model.std(grid).numpy()[:, 0], rtol=1e-9)


def test_estimators_cross_validate_in_pipelines():
    d = data(n=40)
    pipeline = make_pipeline(StandardScaler(), SurrogateRegressor("polynomial", random_state=0))
    scores = cross_val_score(pipeline, d.x.numpy(), d.y.numpy()[:, 0], cv=4)
    assert scores.min() > 0.99


def test_random_states_are_integers_streams_or_fresh():
    d = data()

    def seeds(random_state) -> int:
        recorder = SurrogateRegressor(_Seed(), random_state).fit(d.x.numpy(), d.y.numpy())
        return recorder.model_.seed

    assert seeds(1) == seeds(np.int64(1)) != seeds(2)
    stream, again = np.random.RandomState(0), np.random.RandomState(0)
    first, second = seeds(stream), seeds(stream)
    assert first != second
    assert (first, second) == (seeds(again), seeds(again))
    assert seeds(None) != seeds(None)


class _Seed:
    """A surrogate whose model is the seed of its generator."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, data: Dataset, *, generator: torch.Generator, start=None) -> "_Seed":
        return _Seed(generator.initial_seed())

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full((len(x), 1), float(self.seed), dtype=torch.float64)


def test_wrong_use_is_explained():
    d = data()
    x, y = d.x.numpy(), d.y.numpy()
    with pytest.raises(UnknownNameError, match="polynomial"):
        SurrogateRegressor("polynomal").fit(x, y)
    with pytest.raises(ValueError, match="has no std"):
        SurrogateRegressor(_Seed()).fit(x, y).predict(x, return_std=True)


def test_a_missing_scikit_learn_is_explained(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "adaptsample.sklearn")
    with pytest.raises(ImportError, match=r"adaptsample\[sklearn\]"):
        importlib.import_module("adaptsample.sklearn")


ESTIMATORS = [
    LinearRegression(),
    ExtraTreesRegressor(n_estimators=5),
    make_pipeline(StandardScaler(), GaussianProcessRegressor(RBF(1.0, "fixed"), alpha=1e-6)),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["linear", "trees", "pipeline"])
def test_any_regressor_is_a_surrogate(estimator):
    recipe = SklearnRegressor(estimator)
    assert isinstance(recipe, Surrogate)
    d, x = data(2), BOX.grid(5)
    model = recipe.fit(d, generator=derive_generator(0, "fit"))
    y = model.predict(x)
    assert y.shape == (25, 2)
    assert y.dtype == torch.float64
    assert np.array_equal(model.predict(x.numpy()), y.numpy())
    again = recipe.fit(d, generator=derive_generator(0, "fit"), start=model)
    assert torch.equal(again.predict(x), y)
    assert not hasattr(estimator, "n_features_in_")


def test_a_linear_regressor_finds_the_line():
    x = data().x
    line = Dataset(x, 2 * x[:, :1] - x[:, 1:] + 3)
    model = SklearnRegressor(LinearRegression()).fit(line, generator=derive_generator(0, "fit"))
    torch.testing.assert_close(model.predict(line.x), line.y)
    assert not isinstance(model, SupportsStd)


def test_the_std_of_an_estimator_is_in_the_units_of_the_data():
    process = GaussianProcessRegressor(RBF(1.0, "fixed"), alpha=1e-6)
    d, x = data(), BOX.grid(5)
    large = Dataset(d.x, 1e3 * d.y)
    model = SklearnRegressor(process).fit(large, generator=derive_generator(0, "fit"))
    assert isinstance(model, SupportsStd)
    expected = process.fit(d.x.numpy(), large.y.numpy()[:, 0]).predict(x.numpy(), return_std=True)
    np.testing.assert_allclose(model.std(x)[:, 0], expected[1], rtol=1e-9)


def test_open_random_states_follow_the_generator_and_given_ones_stay():
    d, x = data(), BOX.grid(5)

    def predict(random_state: int | None, seed: int) -> torch.Tensor:
        trees = ExtraTreesRegressor(n_estimators=3, random_state=random_state)
        recipe = SklearnRegressor(make_pipeline(StandardScaler(), trees))
        return recipe.fit(d, generator=derive_generator(seed, "fit")).predict(x)

    assert torch.equal(predict(None, 1), predict(None, 1))
    assert not torch.equal(predict(None, 1), predict(None, 2))
    assert torch.equal(predict(7, 1), predict(7, 2))
