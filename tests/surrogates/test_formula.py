"""Formulas whose constants are fitted."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptsample import Box, Dataset, Sampler
from adaptsample.core import derive_generator
from adaptsample.errors import DegenerateDataWarning, ExpressionError
from adaptsample.oracles import ExpressionOracle
from adaptsample.record.checkpoint import Checkpoint
from adaptsample.registry import describe, label, make_surrogate, rebuild, surrogates
from adaptsample.surrogates import SupportsGradient, SupportsNoise, SupportsParameterGradient
from adaptsample.surrogates.formula import Formula, FormulaModel

LINE = Formula("a*x + b", ("x",), ("a", "b"))
DECAY = Formula("a*exp(-k*x) + c", ("x",), ("a", "k", "c"))
X = Box({"x": (0, 4)}).uniform(60, generator=derive_generator(0, "x"))


def fit(formula: Formula, y: Tensor, x: Tensor = X) -> FormulaModel:
    return formula.fit(Dataset(x, y), generator=derive_generator(0, "fit"))


def normals() -> Tensor:
    return torch.randn(X.shape, dtype=torch.float64, generator=derive_generator(0, "noise"))


def close(found: dict[str, float], rel: float = 1e-9, **expected: float) -> bool:
    return found == pytest.approx(expected, rel=rel, abs=1e-9)


def test_a_line_is_the_least_squares_line():
    y = -0.68 * X + 1.4 + 0.1 * normals()
    model = fit(LINE, y)
    columns = torch.cat([X, torch.ones_like(X)], dim=1)
    a, b = torch.linalg.lstsq(columns, y).solution[:, 0].tolist()
    assert close(model.parameters, 1e-12, a=a, b=b)
    residual = y - columns @ model.theta[:, None]
    noise = float(residual.norm()) / math.sqrt(len(X) - 2)
    assert float(model.noise_std) == pytest.approx(noise)
    covariance = noise**2 * torch.linalg.inv(columns.T @ columns)
    assert close(model.parameters_std, a=math.sqrt(covariance[0, 0]), b=math.sqrt(covariance[1, 1]))


@pytest.mark.parametrize(
    ("formula", "y", "expected"),
    [
        (DECAY, 2 * torch.exp(-0.7 * X) + 0.3, {"a": 2, "k": 0.7, "c": 0.3}),
        (Formula("a*x**p", ("x",), ("a", "p")), 2e5 * X**1.7, {"a": 2e5, "p": 1.7}),
        (Formula("b*log(a + x)", ("x",), ("a", "b")), 3 * torch.log(X + 0.5), {"a": 0.5, "b": 3}),
    ],
)
def test_a_law_is_found_exactly_from_exact_data(
    formula: Formula, y: Tensor, expected: dict[str, float]
):
    assert close(fit(formula, y).parameters, **expected)


def test_a_wave_is_found_among_many_local_minima():
    model = fit(Formula("a*sin(w*x + p)", ("x",), ("a", "w", "p")), 3 * torch.sin(5 * X + 1))
    x = torch.linspace(-9, 9, 50, dtype=torch.float64)[:, None]
    torch.testing.assert_close(model.predict(x), 3 * torch.sin(5 * x + 1), atol=1e-8, rtol=0)


def test_a_law_is_known_outside_of_the_data():
    model = fit(DECAY, 2 * torch.exp(-0.7 * X) + 0.3)
    x = torch.tensor([[-3.0], [50.0]], dtype=torch.float64)
    torch.testing.assert_close(model.predict(x), 2 * torch.exp(-0.7 * x) + 0.3)


def test_a_start_tells_where_to_look():
    y = torch.sin(40 * X)
    near = Formula("sin(w*x)", ("x",), ("w",), start=(39.9,), n_starts=1)
    assert close(fit(near, y).parameters, w=40)
    far = Formula("sin(w*x)", ("x",), ("w",), start=(1.0,), n_starts=1)
    assert abs(fit(far, y).parameters["w"]) < 20


def test_an_earlier_model_is_a_start():
    single = Formula("sin(w*x)", ("x",), ("w",), n_starts=1)
    before = FormulaModel(single, torch.tensor([39.9], dtype=torch.float64), torch.zeros(1), 0.0)
    data = Dataset(X, torch.sin(40 * X))
    model = single.fit(data, generator=derive_generator(0, "fit"), start=before)
    assert close(model.parameters, w=40)


def test_a_slope_that_depends_on_a_sign_is_not_taken_for_linear():
    negative = fit(Formula("abs(a)*x", ("x",), ("a",)), -X)  # the best is 0
    assert abs(negative.parameters["a"]) < 1e-6


def test_what_the_data_do_not_tell_is_said():
    twice = fit(Formula("(a + b)*x", ("x",), ("a", "b")), 3 * X)
    assert close(twice.parameters, a=1.5, b=1.5)  # of least distance from the start
    assert all(math.isnan(std) for std in twice.parameters_std.values())
    few = fit(LINE, X[:2], X[:2])
    assert math.isnan(float(few.noise_std))
    assert close(few.parameters, a=1, b=0)


def test_values_that_differ_at_a_point_tell_the_noise() -> None:
    noise = torch.randn(5, len(X), dtype=torch.float64, generator=derive_generator(0, "repeats"))
    y = (2 * X + 1).repeat(5, 1) + noise.reshape(-1, 1)
    pooled = float(noise.var(dim=0).mean().sqrt())
    with pytest.warns(DegenerateDataWarning, match="240 of 300 points repeat another"):
        model = fit(LINE, y, X.repeat(5, 1))
    assert float(model.noise_std) == pytest.approx(pooled)


def test_parameters_of_other_sizes_are_found_as_well():
    y = 3e-12 * X + 7e8 * X**2
    model = fit(Formula("1e-15*a*x + b*x**2", ("x",), ("a", "b")), y)
    assert model.parameters["b"] == pytest.approx(7e8)


def test_gradients_are_those_of_the_formula():
    model = fit(DECAY, 2 * torch.exp(-0.7 * X) + 0.3 + 0.01 * normals())
    assert isinstance(model, SupportsGradient)
    assert isinstance(model, SupportsNoise)
    assert isinstance(model, SupportsParameterGradient)
    a, k, _ = model.theta
    slope = -a * k * torch.exp(-k * X)
    torch.testing.assert_close(model.gradient(X)[:, :, 0], slope)
    e = torch.exp(-k * X)
    columns = torch.cat([e, -a * X * e, torch.ones_like(X)], dim=1)
    torch.testing.assert_close(model.parameter_gradient(X)[:, 0], columns)


def test_arrays_in_arrays_out_and_equal_generators_give_equal_models():
    y = 2 * torch.exp(-0.7 * X) + 0.1 * normals()
    first, again = fit(DECAY, y), fit(DECAY, y)
    assert torch.equal(first.theta, again.theta)
    answer = first.predict(X.numpy())
    assert isinstance(answer, np.ndarray)
    assert np.array_equal(answer, first.predict(X).numpy())


def test_a_start_without_values_is_passed_over():
    model = fit(
        Formula("log(a + x)", ("x",), ("a",), start=(-8.0,), n_starts=20), torch.log(X + 0.5)
    )
    assert close(model.parameters, a=0.5)


def test_a_formula_that_never_has_values_is_refused():
    with pytest.raises(ValueError, match="no finite values at the points"):
        fit(Formula("a*log(-1 - x)", ("x",), ("a",)), X)
    with pytest.raises(ValueError, match="no finite values at the points"):
        fit(Formula("log(-a**2 - 1)*x", ("x",), ("a",)), X)


def test_a_point_without_value_is_named():
    model = fit(Formula("a*log(x + 1)", ("x",), ("a",)), torch.log(X + 1))
    with pytest.raises(ValueError, match=r"no value at \[-2.0\]"):
        model.predict(torch.tensor([[0.0], [-2.0]], dtype=torch.float64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": ()}, "parameters must be a tuple of names"),
        ({"variables": "x"}, "variables must be a tuple of names"),
        ({"parameters": ("a", "x")}, "a name stands twice"),
        ({"start": (1.0,)}, "a number for each of a, b"),
        ({"n_starts": 0}, "n_starts must be at least 1"),
    ],
)
def test_what_cannot_be_a_recipe_is_refused(change: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        Formula(**{"text": "a*x + b", "variables": ("x",), "parameters": ("a", "b"), **change})


def test_an_unknown_name_is_shown_in_the_text():
    with pytest.raises(ExpressionError, match="c"):
        Formula("a*x + c", ("x",), ("a", "b"))


def test_data_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="60 points of 2 coordinates and 1 outputs"):
        fit(LINE, X, torch.cat([X, X.cos()], dim=1))
    with pytest.raises(ValueError, match="2 outputs"):
        fit(LINE, X.expand(-1, 2))


def test_it_is_a_recipe_that_can_be_typed():
    text = "formula('a*x + b', ('x',), ('a', 'b'))"
    assert make_surrogate(text) == LINE
    assert make_surrogate(label(LINE)) == LINE
    assert (
        rebuild(json.loads(json.dumps(describe(LINE), allow_nan=False), object_hook=None)) == LINE
    )
    assert surrogates()["formula"] is Formula


def test_a_run_finds_the_constants_and_keeps_the_model(tmp_path: Path):
    oracle = ExpressionOracle("2*exp(-0.7*x) + 0.3", {"x": (0, 4)})
    run = Sampler(oracle, surrogate=DECAY, strategy="random", n_initial=5, batch_size=5).run(10)
    assert run.rounds[-1].errors["max"] < 1e-9
    model = fit(DECAY, 2 * torch.exp(-0.7 * X))
    Checkpoint(1, "", model, None).write(tmp_path / "model")
    kept = Checkpoint.read(tmp_path / "model", package="adaptsample")
    assert kept is not None
    assert torch.equal(kept.model.predict(X), model.predict(X))
