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

SHIFT = 0.0


@final
@dataclass(frozen=True, eq=False)
class MeanModel:
    mean: Tensor
    dimension: int

    @accepts_arrays
    def predict(self, x: Tensor) -> Tensor:
        return self.mean.expand(len(x), -1) + SHIFT


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
        return state.distance(x) + SHIFT


@final
@dataclass(frozen=True)
class Product:
    domain = Box({"x": (0, 1), "y": (0, 2)})
    n_outputs = 1

    def __call__(self, x: Tensor) -> Tensor:
        return x.prod(dim=1, keepdim=True) + SHIFT
"""

TESTS = """
import own
from adaptsample.testing import OracleContract, StrategyContract, SurrogateContract


class TestMean(SurrogateContract):
    recipe = own.Mean()


class TestFarthest(StrategyContract):
    recipe = own.Farthest()


class TestProduct(OracleContract):
    oracle = own.Product()
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "test_own.py").write_text(TESTS)
    return tmp_path


def _pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(  # noqa: S603  # a program of our own
        command, cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_sound_package_passes_and_hears_what_did_not_apply(package: Path) -> None:
    done = _pytest(package, "-rs")
    assert done.returncode == 0, done.stdout
    assert "MeanModel has no gradient" in done.stdout
    assert "farthest is not registered: no entry point names its package" in done.stdout
    assert "its selection is Highest, not Dispersed" in done.stdout


@pytest.mark.parametrize(
    ("sound", "broken", "sentence", "message"),
    [
        (
            "SHIFT = 0.0",
            "SHIFT = float('nan')",
            "TestProduct::test_values_are_finite_on_the_closed_domain",
            "the values must be finite",
        ),
        (
            "SHIFT = 0.0",
            "SHIFT = float('inf')",
            "TestMean::test_a_model_predicts_finite_values_in_the_kind_it_was_asked",
            "predict(x) must be finite",
        ),
        (
            "return state.distance(x) + SHIFT",
            "return state.data.y.sum() * x[:, 0] + torch.rand(len(x))",
            "TestFarthest::test_units_of_the_output_do_not_matter",
            "the global random state of torch has changed",
        ),
    ],
)
def test_a_package_with_a_breach_is_told_the_promise(
    package: Path, sound: str, broken: str, sentence: str, message: str
) -> None:
    assert sound in OWN
    (package / "own.py").write_text(OWN.replace(sound, broken))
    done = _pytest(package)
    assert done.returncode == 1
    assert sentence in done.stdout
    assert message in done.stdout


def test_a_promise_that_is_not_made_is_taken_out_by_name(package: Path) -> None:
    (package / "own.py").write_text(OWN.replace("SHIFT = 0.0", "SHIFT = float('nan')"))
    without = TESTS.replace(
        "    oracle =", "    test_values_are_finite_on_the_closed_domain = None\n    oracle ="
    )
    (package / "test_own.py").write_text(without)
    done = _pytest(package, "-k", "Product and not same_point")
    assert done.returncode == 0, done.stdout
    assert "test_values_are_finite" not in done.stdout
