from dataclasses import dataclass
from typing import Any

import pytest

from adaptsample import Box, Sampler
from adaptsample.core import Dataset
from adaptsample.oracles import FunctionOracle
from adaptsample.registry import make_surrogate, surrogates
from adaptsample.surrogates.committee import Committee
from adaptsample.surrogates.protocol import check_fit
from tests.conftest import CountingFunction


@dataclass(frozen=True)
class WithoutGenerator:
    def fit(self, data: Dataset, *, start: Any = None) -> Any:
        raise AssertionError


@dataclass(frozen=True)
class WithoutStart:
    def fit(self, data: Dataset, *, generator: Any) -> Any:
        raise AssertionError


@dataclass(frozen=True)
class OfTwoArrays:
    def fit(self, x: Any, y: Any, *, generator: Any, start: Any = None) -> Any:
        raise AssertionError


@dataclass(frozen=True)
class NoMethod:
    fit: float = 0.5


@dataclass(frozen=True)
class OfAnything:
    def fit(self, *given: Any, **options: Any) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    ("surrogate", "reason"),
    [
        (WithoutGenerator(), "unexpected keyword argument 'generator'"),
        (WithoutStart(), "unexpected keyword argument 'start'"),
        (OfTwoArrays(), "missing a required argument: 'y'"),
        (NoMethod(), "not a callable"),
    ],
)
def test_a_fit_that_cannot_be_called_is_refused_before_anything_is_paid(
    surrogate: Any, reason: str, box: Box
) -> None:
    function = CountingFunction()
    oracle = FunctionOracle(function, box)
    expected = rf"{type(surrogate).__name__}\.fit .*{reason}.*define fit\(self, data, \*, generator"
    with pytest.raises(ValueError, match=expected):
        Sampler(oracle, surrogate=surrogate, strategy="sobol").run(budget=4)
    with pytest.raises(ValueError, match=expected):
        Committee(surrogate)
    assert function.calls == []


def test_every_surrogate_that_ships_can_be_fitted() -> None:
    for name in surrogates().keys() - {"formula"}:
        check_fit(make_surrogate(name))
    check_fit(OfAnything())
