"""Where errors come from."""

import pytest
import torch

from adaptsample import Box, Dataset
from adaptsample.core import derive_generator
from adaptsample.diagnostics.error_decomposition import error_sources
from adaptsample.surrogates.formula import Formula, FormulaModel

LINE = Formula("a*x + b", ("x",), ("a", "b"))
X = Box({"x": (-1, 1)}).grid(201)
REFERENCE = Dataset(X, X**2)


def line(a: float, b: float) -> FormulaModel:
    theta = torch.tensor([a, b], dtype=torch.float64)
    return FormulaModel(LINE, theta, torch.zeros_like(theta), 0.0)


def best(data: Dataset) -> FormulaModel:
    return LINE.fit(data, generator=derive_generator(0, "fit"))


def test_constants_beside_a_constant_have_errors_known_by_heart():
    zero = Dataset(X, torch.zeros_like(X))
    found = error_sources(line(0, 3), line(0, 2), line(0, 1), zero)
    assert (found.approximation, found.generalisation, found.optimisation) == (1, 3, 5)
    assert found.total == 9


def test_a_parabola_is_as_far_from_lines_as_its_variance():
    of_space = best(REFERENCE)
    found = error_sources(of_space, of_space, of_space, REFERENCE)
    assert found.approximation == pytest.approx(float(REFERENCE.y.var(correction=0)))
    assert found.approximation == pytest.approx(4 / 45, rel=0.03)  # of infinitely many points
    assert found.generalisation == found.optimisation == 0


def test_in_a_linear_space_what_data_add_is_the_distance_of_the_fits():
    few = Box({"x": (-1, 1)}).uniform(4, generator=derive_generator(0, "few"))
    of_space, on_data, trained = best(REFERENCE), best(Dataset(few, few**2)), line(0.3, 0.1)
    found = error_sources(trained, on_data, of_space, REFERENCE)

    def distance(model: FormulaModel) -> float:
        return float((model.predict(X) - of_space.predict(X)).square().mean())

    assert found.generalisation == pytest.approx(distance(on_data))
    assert found.optimisation == pytest.approx(distance(trained) - distance(on_data))
    square = float((trained.predict(X) - REFERENCE.y).square().mean())
    assert found.total == pytest.approx(square)


def test_training_that_stopped_early_may_be_lucky():
    found = error_sources(line(0, 1 / 3), line(0, 1), line(0, 1 / 3), REFERENCE)
    assert found.optimisation < 0
    assert found.total == pytest.approx(found.approximation)
