"""Every oracle that comes with the library keeps the contract."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from adaptsample import Box
from adaptsample.oracles import (
    CommandOracle,
    ExpressionOracle,
    FunctionOracle,
    NoisyOracle,
    Oracle,
    TableOracle,
)
from adaptsample.oracles.problems import PROBLEMS, problem
from adaptsample.testing import OracleContract

BOX = Box({"x": (0, 1), "y": (-2, 3)})
PROGRAM = "import json; x, y = json.loads(input())['x']; print(json.dumps({'y': [x * y, x + y]}))"
SLOPES = (
    "import json; x, y = json.loads(input())['x']; "
    "print(json.dumps({'y': x * x * y, 'gradient': [2 * x * y, x * x]}))"
)


class TestProblems(OracleContract):
    n_points = 1024  # all corners of ten variables

    @pytest.fixture(params=[*PROBLEMS, "monomial(1)", "monomial(7)", "monomial(40)"], autouse=True)
    def _name(self, request: pytest.FixtureRequest) -> None:
        self.oracle = problem(request.param)


class TestNoisyProblemsWithoutTheirNoise(OracleContract):
    n_points = 1024  # all corners of ten variables

    @pytest.fixture(params=["noisy_cosine", "noisy_line"], autouse=True)
    def _name(self, request: pytest.FixtureRequest) -> None:
        self.oracle = problem(request.param).exact


def _wave(x: np.ndarray) -> np.ndarray:
    return np.sin(3 * x[:, 0]) * x[:, 1]


def _slopes(x: np.ndarray) -> np.ndarray:
    return np.stack([3 * np.cos(3 * x[:, 0]) * x[:, 1], np.sin(3 * x[:, 0])], axis=1)


def _table() -> TableOracle:
    x = np.random.default_rng(0).random((80, 2)) ** 2
    x[40:60] = x[:20]  # measured twice
    columns = {"a": x[:, 0], "b": 100 * x[:, 1], "y": x[:, 0] + x[:, 1], "z": x[:, 0]}
    return TableOracle(columns, inputs=["a", "b"], outputs=["y", "z"])


KINDS: dict[str, Callable[[], Oracle]] = {
    "expressions": lambda: ExpressionOracle(["x*exp(y)", "x - y"], BOX),
    "a function": lambda: FunctionOracle(_wave, BOX),
    "a function with slopes": lambda: FunctionOracle(_wave, BOX, gradient=_slopes, exact=_wave),
    "noise": lambda: NoisyOracle(FunctionOracle(_wave, BOX), x_noise=(0, 0.1), y_noise=(0.1, 0.2)),
    "a table": _table,
}


class TestKinds(OracleContract):
    @pytest.fixture(params=KINDS, autouse=True)
    def _kind(self, request: pytest.FixtureRequest) -> None:
        self.oracle = KINDS[request.param]()


class TestCommands(OracleContract):
    n_points = 3

    @pytest.fixture(
        params=[(PROGRAM, 2, False), (SLOPES, 1, True)], ids=["two", "slopes"], autouse=True
    )
    def _program(self, request: pytest.FixtureRequest) -> None:
        code, k, gradient = request.param
        command = [sys.executable, "-S", "-E", "-c", code]
        self.oracle = CommandOracle(command, BOX, n_outputs=k, with_gradient=gradient)
