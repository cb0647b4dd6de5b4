"""A package of somebody else's is held to the contracts by three lines for each."""

import subprocess
import sys
from pathlib import Path

import pytest

OWN = """
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Generator, Tensor

from adaptsample import Box, Dataset
from adaptsample.acquisition import PoolStrategy
from adaptsample.surrogates import accepts_arrays, warns_of_degenerate_data

@final
@dataclass(frozen=True, eq=False)
class MeanModel:
    mean: Tensor
    dimension: int

    @accepts_arrays
    def predict(self, x: Tensor) -> Tensor:
        return self.mean.expand(len(x), -1)


@final
@dataclass(frozen=True)
class Mean:
    @warns_of_degenerate_data
    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> MeanModel:
        return MeanModel((data.y / len(data)).sum(dim=0), data.x.shape[1])


@final
@dataclass(frozen=True)
class Farthest(PoolStrategy[Any]):
    uses_model: ClassVar[bool] = False

    def score(self, x, state):
        return state.distance(x)


@final
@dataclass(frozen=True)
class Product:
    domain = Box({"x": (0, 1), "y": (0, 2)})
    n_outputs = 1

    def __call__(self, x: Tensor) -> Tensor:
        return x.prod(dim=1, keepdim=True)
"""

TESTS = """
import own
from adaptsample.testing import OracleContract, StrategyContract, SurrogateContract


class TestMean(SurrogateContract):
    recipe = own.Mean()


class TestFarthest(StrategyContract):
    recipe = own.Farthest()
    test_a_batch_does_not_crowd = None


class TestProduct(OracleContract):
    oracle = own.Product()
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "test_own.py").write_text(TESTS)
    return tmp_path


def _pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(  # noqa: S603  # a program of our own
        command, cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_sound_package_passes_and_hears_what_did_not_apply(package: Path) -> None:
    done = _pytest(package, "-rs", "-v")
    assert done.returncode == 0, done.stdout
    assert "MeanModel has no gradient" in done.stdout
    assert "farthest is not registered: no entry point names its package" in done.stdout
    assert "[2]" in next(line for line in done.stdout.splitlines() if "not Dispersed" in line)
    assert "TestFarthest::test_points_that_are_awaited_are_kept_away_from" in done.stdout
    assert "test_a_batch_does_not_crowd" not in done.stdout  # a promise that is not made


BREACHES = {
    "(data.y / len(data)).sum(dim=0)": "data.y.sum() + torch.rand(1).double()",
    "return state.distance(x)": "return state.distance(x.clamp(max=0.5 * state.spread))",
    "return x.prod(dim=1, keepdim=True)": "return x.prod(dim=1, keepdim=True) / 0",
}
PROMISES = {
    "TestMean::test_a_fit_is_a_function": "the global random state of torch has changed",
    "TestFarthest::test_units_of_the_output": "an output in units of 1e-08 must not change",
    "TestProduct::test_values_are_finite": "the values must be finite",
}


def test_a_package_with_breaches_is_told_the_promises(package: Path) -> None:
    code = OWN
    for sound, broken in BREACHES.items():
        assert sound in code
        code = code.replace(sound, broken)
    (package / "own.py").write_text(code)
    done = _pytest(package, "-k", "is_a_function or units_of_the_output or values_are_finite")
    assert done.returncode == 1
    for sentence, message in PROMISES.items():
        assert sentence in done.stdout
        assert message in done.stdout
