"""A contract that every registered surrogate keeps; a new file in surrogates/ is tested unasked."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptsample import Box, Dataset, Surrogate
from adaptsample.core import derive_generator
from adaptsample.errors import DegenerateDataWarning
from adaptsample.registry import describe, label, make_surrogate, surrogates
from adaptsample.surrogates import SupportsGradient, SupportsStd
from tests.conftest import SMALL_AUTO

# The same classes with less work than their defaults; whatever is not here is tested as it is.
QUICK = {
    "mlp": "mlp(training=levenberg_marquardt(starts=2, iterations=60, continued_iterations=30))",
    "committee": "committee(n_members=3, surrogate=mlp(hidden=(8, 8), "
    "training=levenberg_marquardt(starts=1, iterations=60, continued_iterations=30)))",
    "auto": "auto(transforms=('identity',))",
    "crease": "crease(n_starts=20)",
    "jump": "jump(seconds=0)",
    "formula": "formula('a*x + b', ('x',), ('a', 'b'))",
}

# A formula names its variables, so it fits data of one shape only; its own tests have the contract.
ANY_SHAPE = sorted(set(surrogates()) - {"formula"})


@pytest.fixture(params=ANY_SHAPE)
def surrogate(request: pytest.FixtureRequest) -> Surrogate:
    if request.param == "auto":
        return SMALL_AUTO
    return make_surrogate(QUICK.get(request.param, request.param))


def _data(d: int, k: int = 1, n: int = 15) -> Dataset:
    box = Box({f"x{i}": (-1.0, 2.0) for i in range(d)})
    x = box.sobol(n, generator=derive_generator(0, "data"))
    return Dataset(x, torch.stack([(x + j).sin().sum(dim=1) for j in range(k)], dim=1))


@pytest.mark.parametrize(("d", "k"), [(1, 1), (2, 2), (6, 1)])
def test_a_model_predicts_finite_values_in_the_kind_it_was_asked(
    surrogate: Surrogate, d: int, k: int
) -> None:
    data = _data(d, k)
    model = surrogate.fit(data, generator=derive_generator(0, "fit"))
    x = _data(d, n=40).x
    y = model.predict(x)
    assert y.shape == (40, k)
    assert y.dtype == torch.float64
    assert bool(torch.isfinite(y).all())
    as_array = model.predict(x.numpy())
    assert isinstance(as_array, np.ndarray)
    assert np.array_equal(as_array, y.numpy())
    if isinstance(model, SupportsStd):
        std = model.std(x)
        assert std.shape == (40, k)
        assert bool((std >= 0).all())
        assert bool(torch.isfinite(std).all())


def test_predictions_and_deviations_are_in_the_units_of_the_data(surrogate: Surrogate) -> None:
    """In units a power of two smaller: then scaled values are the same to the bit, and so fits."""
    data, x = _data(2, k=2), _data(2, n=40).x
    factors = torch.tensor([2.0**10, 2.0**-3], dtype=torch.float64)
    scaled = Dataset(data.x, data.y * factors)
    model, other = (
        surrogate.fit(given, generator=derive_generator(0, "fit")) for given in (data, scaled)
    )
    torch.testing.assert_close(other.predict(x), model.predict(x) * factors)
    if isinstance(model, SupportsStd):
        assert float(model.std(x).max()) > 0
        torch.testing.assert_close(other.std(x), model.std(x) * factors, rtol=1e-7, atol=0)


def test_a_fit_is_a_function_of_data_and_generator(surrogate: Surrogate) -> None:
    x = _data(2, n=40).x
    first, again = (
        surrogate.fit(_data(2), generator=derive_generator(1, "fit")).predict(x) for _ in range(2)
    )
    assert torch.equal(first, again)


def test_a_fit_leaves_the_model_it_starts_from_alone(surrogate: Surrogate) -> None:
    x = _data(2, n=40).x
    start = surrogate.fit(_data(2), generator=derive_generator(1, "fit"))
    before = start.predict(x)
    surrogate.fit(_data(2, n=20), generator=derive_generator(2, "fit"), start=start)
    assert torch.equal(before, start.predict(x))


def test_the_gradient_of_a_model_is_the_slope_of_its_prediction(surrogate: Surrogate) -> None:
    model = surrogate.fit(_data(2, k=2), generator=derive_generator(1, "fit"))
    if not isinstance(model, SupportsGradient):
        return
    x, h = _data(2, n=20).x, 1e-6
    gradient = model.gradient(x)
    for j in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[j] = h
        slope = (model.predict(x + step) - model.predict(x - step)) / (2 * h)
        assert torch.allclose(gradient[:, :, j], slope, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(surrogates()))
def test_recipes_are_plain_values_and_read_back_from_their_label(name: str) -> None:
    surrogate = make_surrogate(QUICK.get(name, name))
    json.dumps(describe(surrogate), allow_nan=False)
    assert make_surrogate(label(surrogate)) == surrogate


_X = _data(2).x
DEGENERATE = {
    "one point": Dataset(_X[:1], _X[:1, :1]),
    "constant": Dataset(_X, torch.ones(len(_X), 1, dtype=torch.float64)),
    "zero": Dataset(_X, torch.zeros(len(_X), 1, dtype=torch.float64)),
    "same point twice": Dataset(_X[[0, 0, 1, 2]], _X[[0, 0, 1, 2], :1]),
    "same point, other values": Dataset(_X[[0, 0, 1, 2]], _X[[0, 3, 1, 2], :1]),
    "one point only, again and again": Dataset(_X[[0, 0, 0]], _X[[0, 1, 2], :1]),
    "huge values": Dataset(_X, 1e300 * _X[:, :1]),
    "tiny values": Dataset(_X, 1e-300 * _X[:, :1]),
    "points 1e-15 apart": Dataset(torch.cat([_X, _X[:1] + 1e-15]), torch.cat([_X, _X[:1]])[:, :1]),
    "collinear": Dataset(_X[:, :1].expand(-1, 5).contiguous(), _X[:, :1]),
}


@pytest.mark.parametrize("kind", DEGENERATE)
def test_degenerate_data_gives_a_finite_prediction_and_a_warning(
    surrogate: Surrogate, kind: str
) -> None:
    data = DEGENERATE[kind]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = surrogate.fit(data, generator=derive_generator(0, "fit"))
        assert bool(torch.isfinite(model.predict(data.x)).all())
        assert bool(torch.isfinite(model.predict(data.x + 0.1)).all())
        if isinstance(model, SupportsStd):
            assert bool(torch.isfinite(model.std(data.x + 0.1)).all())
    said = [w for w in told if w.category is DegenerateDataWarning]
    assert len(said) == (kind != "tiny values")  # once, not for every fit within
    assert all(Path(w.filename) == Path(__file__) for w in said)
