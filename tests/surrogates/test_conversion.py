from dataclasses import dataclass
from typing import final

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptsample.surrogates.conversion import accepts_arrays


@final
@dataclass(frozen=True)
class Sum:
    dimension: int = 3

    @accepts_arrays
    def predict(self, x: Tensor) -> Tensor:
        """Return the sums of the coordinates."""
        assert x.dtype == torch.float64
        return x.sum(dim=1, keepdim=True)


def test_a_tensor_is_answered_by_a_tensor_and_an_array_by_an_array() -> None:
    x = torch.arange(6.0, dtype=torch.float64).reshape(2, 3)
    assert torch.equal(Sum().predict(x), torch.tensor([[3.0], [12.0]], dtype=torch.float64))
    answer = Sum().predict(x.numpy())
    assert isinstance(answer, np.ndarray)
    assert answer.dtype == np.float64
    assert answer.tolist() == [[3.0], [12.0]]


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_other_number_types_are_converted(dtype: type) -> None:
    answer = Sum().predict(np.ones((2, 3), dtype=dtype))
    assert answer.dtype == np.float64


def test_no_points_have_no_answers() -> None:
    assert Sum().predict(np.empty((0, 3))).shape == (0, 1)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1, 2, 3), ()])
def test_points_of_another_shape_are_refused_by_naming_both(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 3\), got ") as caught:
        Sum().predict(torch.zeros(shape))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_points_that_are_not_finite_are_refused_by_their_row(bad: float) -> None:
    x = np.ones((4, 3))
    x[2, 1] = bad
    with pytest.raises(ValueError, match="in row 2"):
        Sum().predict(x)


def test_the_method_keeps_its_documentation() -> None:
    assert Sum.predict.__name__ == "predict"
    assert Sum.predict.__doc__ == "Return the sums of the coordinates."
