from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptsample import Box, Sampler
from adaptsample.comparison.plots.run import plot_run
from adaptsample.oracles import ExpressionOracle, FunctionOracle
from adaptsample.oracles.problems import problem
from benchmarks.reliability.referee import Plane


def _free(d: int) -> FunctionOracle:
    box = Box({f"x{i}": (0, 1) for i in range(d)})
    return FunctionOracle(lambda x: np.sin(x).sum(axis=1), box)


@pytest.mark.parametrize(
    "oracle",
    [
        lambda: problem("noisy_line"),
        lambda: problem("franke"),
        lambda: problem("ishigami"),
        lambda: _free(1),
        lambda: _free(2),
        lambda: _free(3),
        lambda: ExpressionOracle("3", {"x": (0, 1), "y": (0, 1)}),
        lambda: ExpressionOracle("1/(x - 0.5)", {"x": (0, 1), "y": (0, 1)}),
        lambda: ExpressionOracle("log(x - 0.2)", {"x": (0, 1)}),
    ],
)
def test_every_kind_of_run_has_a_picture(oracle: Any, tmp_path: Path) -> None:
    oracle = oracle()
    run = Sampler(oracle, surrogate=Plane(), strategy="random").run(25)
    path = tmp_path / "picture.png"
    plot_run(run, oracle, path, title=r"a $\frac$ title_ 100% odd} {signs")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000
