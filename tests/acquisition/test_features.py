"""Feature maps."""

import pytest
import torch

from adaptsample import Box, Dataset, State
from adaptsample.acquisition import FullGradient, Inputs, LastLayer, Sketched
from adaptsample.core import derive_generator
from adaptsample.errors import UnsupportedModelError
from adaptsample.surrogates import SupportsFeatures, SupportsParameterGradient, capable
from adaptsample.testing.fakes import FormulaModel
from benchmarks.reliability.referee import PlaneModel

BOX = Box({"x": (0, 4), "y": (-1, 1)})
X = BOX.sobol(9, generator=derive_generator(0, "x"))


class Linear:
    """A model that is linear in many features."""

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.features(x).sum(dim=1, keepdim=True)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        frequencies = torch.arange(2000, dtype=torch.float64)
        return torch.cos(x[:, :1] * frequencies + x[:, 1:] * frequencies.flip(0))


def _state(model: object, *, k: int = 1, number: int = 2) -> State[object]:
    data = Dataset(X[:5], X[:5, :1].expand(-1, k))
    return State(BOX, data, model, None, X[:0], round=number)


def _formulas(k: int) -> FormulaModel:
    return FormulaModel(BOX, _state(None, k=k).data)


def test_inputs_are_the_coordinates_in_the_unit_cube() -> None:
    assert torch.equal(Inputs()(X, _state(None)), BOX.to_unit(X))


def test_the_last_layer_is_what_the_prediction_is_linear_in() -> None:
    model = _formulas(2)
    assert torch.equal(LastLayer()(X, _state(model, k=2)), model.features(X))


def test_the_full_gradient_has_the_derivatives_of_all_outputs_side_by_side() -> None:
    model = _formulas(3)
    rows, jacobian = FullGradient()(X, _state(model, k=3)), model.parameter_gradient(X)
    assert torch.equal(rows, torch.cat([jacobian[:, k] for k in range(3)], dim=1))


def test_the_full_gradient_of_a_linear_model_is_its_features() -> None:
    assert torch.equal(FullGradient()(X, _state(Linear())), Linear().features(X))


def test_a_sketch_nearly_keeps_products_and_is_the_same_in_all_rounds() -> None:
    whole = LastLayer()(X, _state(Linear()))
    sketch = Sketched(LastLayer(), n=1000)(X, _state(Linear()))
    assert sketch.shape == (len(X), 1000)
    unit = whole.square().sum(dim=1).mean()
    off = (sketch @ sketch.T - whole @ whole.T) / unit
    assert float(off.abs().max()) < 6 / 1000**0.5  # six standard deviations
    assert torch.equal(sketch, Sketched(LastLayer(), n=1000)(X, _state(Linear(), number=7)))
    assert torch.equal(sketch[:4], Sketched(LastLayer(), n=1000)(X[:4], _state(Linear())))


def test_few_features_stay_as_they_are() -> None:
    state = _state(_formulas(1))
    assert torch.equal(Sketched()(X, state), FullGradient()(X, state))


def test_a_sketch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="n must be at least 1"):
        Sketched(n=0)


@pytest.mark.parametrize("features", [LastLayer(), FullGradient(), Sketched()])
def test_a_model_without_features_is_refused_by_the_name_of_the_method(features: LastLayer) -> None:
    plane = PlaneModel(torch.zeros(3, 1, dtype=torch.float64))
    with pytest.raises(UnsupportedModelError, match=r"features\(\).*PlaneModel"):
        features(X, _state(plane))


def test_capable_returns_the_model_or_names_what_it_lacks() -> None:
    model = _formulas(1)
    assert capable(model, SupportsFeatures) is model
    with pytest.raises(UnsupportedModelError, match=r"parameter_gradient\(\).*Linear") as refused:
        capable(Linear(), SupportsParameterGradient)
    assert isinstance(refused.value, ValueError)
