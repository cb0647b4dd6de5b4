"""The contract of surrogates catches each promise that is broken, and names it."""

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from adaptsample import Dataset
from adaptsample.errors import DegenerateDataWarning
from adaptsample.surrogates import accepts_arrays, warns_of_degenerate_data
from adaptsample.testing import SurrogateContract

_MOODS = count()


@final
@dataclass(frozen=True, eq=False)
class LineModel:
    """Predicts the mean plus a slope, and breaks one promise at a time."""

    mean: Tensor
    dimension: int
    how: str
    shifts: list[float] = field(default_factory=lambda: [0.0])

    def predict(self, x: Any) -> Any:
        if self.how == "tensors only":
            return self._line(x)
        answer = self._arrays(x)
        if self.how == "writes into x" and isinstance(x, Tensor):
            x += 1
        return answer

    @accepts_arrays
    def _arrays(self, x: Tensor) -> Tensor:
        y = self._line(x)
        return {
            "another shape": lambda: y[:, 0],
            "short numbers": y.float,
            "not finite": lambda: y / 0,
            "moody prediction": lambda: y + next(_MOODS),
        }.get(self.how, lambda: y)()

    @accepts_arrays
    def gradient(self, x: Tensor) -> Tensor:
        slope = 0.5 if self.how == "another slope" else 1.0
        return torch.full((len(x), len(self.mean), self.dimension), slope, dtype=torch.float64)

    @accepts_arrays
    def std(self, x: Tensor) -> Tensor:
        std = torch.zeros(len(x), len(self.mean), dtype=torch.float64)
        return std - 1 if self.how == "negative doubts" else std

    @accepts_arrays
    def committee(self, x: Tensor) -> Tensor:
        y = self._line(x)
        return y if self.how == "a committee of none" else torch.stack([y, y])

    def held_out_residuals(self, *, generator: Generator) -> Tensor:
        n = 3 if self.how == "some residuals" else 15
        return torch.randn(n, len(self.mean), dtype=torch.float64, generator=generator)

    def _line(self, x: Tensor) -> Tensor:
        return torch.as_tensor(x).sum(dim=1, keepdim=True) + self.mean + self.shifts[0]


class _Base:
    how: str

    @warns_of_degenerate_data
    def fit(
        self, data: Dataset, *, generator: Generator, start: LineModel | None = None
    ) -> LineModel:
        model = LineModel(data.y.mean(dim=0), data.x.shape[1], self.how)
        spoil: dict[str, Callable[[], object]] = {
            "moody": lambda: model.shifts.append(model.shifts.pop() + next(_MOODS)),
            "draws from torch": lambda: torch.rand(1),
            "draws from numpy": np.random.rand,
            "draws from random": random.random,
            "changes the points": lambda: data.x.add_(1),
            "changes the values": lambda: data.y.add_(1),
            "changes its start": lambda: start and start.shifts.append(start.shifts.pop() + 1),
            "other warnings": lambda: warnings.warn("no", UserWarning, stacklevel=1),
            "warns again": lambda: warnings.warn("no", DegenerateDataWarning, stacklevel=1),
            "gradients or nothing": lambda: data.gradient is None or model.mean.div_(0),
        }
        spoil.get(self.how, lambda: None)()
        return model


@final
@dataclass(frozen=True)
class Line(_Base):
    how: str = ""


@final
@dataclass
class Thawed(_Base):
    how: str = ""


@final
@dataclass(frozen=True)
class Opaque(_Base):
    how: str = ""
    size: float = float("nan")


@final
@dataclass(frozen=True)
class Unannotated:
    def fit(self, data, *, generator, start=None):  # type: ignore[no-untyped-def]
        return Line().fit(data, generator=generator)


@final
@dataclass(frozen=True)
class Misannotated:
    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> "Promised":
        return Line().fit(data, generator=generator)  # type: ignore[return-value]


@dataclass(frozen=True)
class Promised:
    def predict(self, x: Tensor) -> Tensor:
        return x


@final
@dataclass(frozen=True)
class Positional:
    def fit(self, data: Dataset, generator: Generator, start: Any = None) -> LineModel:
        return Line().fit(data, generator=generator)


@final
@dataclass(frozen=True)
class Startless:
    def fit(self, data: Dataset, *, generator: Generator) -> LineModel:
        return Line().fit(data, generator=generator)


@final
@dataclass(frozen=True)
class Silent:
    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> LineModel:
        return LineModel(data.y.mean(dim=0), data.x.shape[1], "")


RECIPE = "test_a_recipe_is_a_frozen_dataclass_of_plain_values"
FIT = "test_fit_takes_data_and_by_name_a_generator_and_a_model_to_start_from"
ANNOTATED = "test_fit_is_annotated_with_the_model_that_it_returns"
PREDICTS = "test_a_model_predicts_finite_values_in_the_kind_it_was_asked"
REPEATED = "test_a_fit_is_a_function_of_data_and_generator"
START = "test_a_fit_leaves_the_model_it_starts_from_alone"
SLOPE = "test_the_gradient_of_a_model_is_the_slope_of_its_prediction"
OBSERVED = "test_gradients_of_some_points_are_taken_or_left"
DEGENERATE = "test_degenerate_data_give_finite_predictions_and_one_warning"
CASES: dict[str, dict[str, Any]] = {PREDICTS: {"shape": (2, 2)}, DEGENERATE: {"kind": "zero"}}

BREACHES = [
    (Thawed(), RECIPE, "frozen"),
    (Opaque(), RECIPE, "plain, finite values"),
    (Positional(), FIT, r"fit\(self, data, \*, generator, start=None\)"),
    (Startless(), FIT, r"fit\(self, data, \*, generator, start=None\)"),
    (Unannotated(), ANNOTATED, "annotated"),
    (Misannotated(), ANNOTATED, "fit says that it returns"),
    (Line("another shape"), PREDICTS, r"shape \(40, 2\)"),
    (Line("short numbers"), PREDICTS, "float64"),
    (Line("not finite"), PREDICTS, "finite"),
    (Line("writes into x"), PREDICTS, "leave x as it is"),
    (Line("moody prediction"), PREDICTS, "asked again"),
    (Line("tensors only"), PREDICTS, "must be an array"),
    (Line("negative doubts"), PREDICTS, "at least 0"),
    (Line("a committee of none"), PREDICTS, r"committee\(x\) must have the shape"),
    (Line("some residuals"), PREDICTS, "held_out_residuals"),
    (Line("moody"), REPEATED, "predict the same"),
    (Line("draws from torch"), REPEATED, "state of torch has changed"),
    (Line("draws from numpy"), REPEATED, "state of numpy has changed"),
    (Line("draws from random"), REPEATED, "state of random has changed"),
    (Line("changes the points"), REPEATED, "leave the points"),
    (Line("changes the values"), REPEATED, "leave the values"),
    (Line("changes its start"), START, "starts from"),
    (Line("another slope"), SLOPE, "no slope of the values"),
    (Line("gradients or nothing"), OBSERVED, "finite"),
    (Line("other warnings"), DEGENERATE, "no other warning"),
    (Line("warns again"), DEGENERATE, "gave 2"),
    (Silent(), DEGENERATE, "gave 0"),
]


def _hold(surrogate: Any, promise: str) -> None:
    contract = SurrogateContract()
    contract.recipe = surrogate
    getattr(contract, promise)(**CASES.get(promise, {}))


@pytest.fixture
def _global_randomness_is_put_back() -> Any:
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    yield
    torch.set_rng_state(before[0])
    np.random.set_state(before[1])  # noqa: NPY002
    random.setstate(before[2])


@pytest.mark.usefixtures("_global_randomness_is_put_back")
@pytest.mark.parametrize(("broken", "promise", "message"), BREACHES)
def test_the_contract_catches_a_broken_surrogate(broken: Any, promise: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        _hold(broken, promise)


@pytest.mark.parametrize("promise", sorted({promise for _, promise, _ in BREACHES}))
def test_the_contract_lets_a_sound_surrogate_pass(promise: str) -> None:
    _hold(Line(), promise)
