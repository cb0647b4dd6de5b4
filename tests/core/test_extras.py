"""Each extra is named by the error that whoever lacks it meets."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from adaptsample import Box, Sampler
from adaptsample.core.extras import needs_extra
from adaptsample.errors import MissingExtraError
from adaptsample.evaluation.executors import open_executor
from adaptsample.oracles import FunctionOracle
from adaptsample.record import export


def _data_frame_of_evaluations() -> None:
    export.to_dataframe({})


def _data_frame_of_a_run() -> None:
    oracle = FunctionOracle(lambda x: x[:, 0], Box({"x": (0, 1)}))
    Sampler(oracle, surrogate="polynomial", strategy="sobol", n_initial=4).run(4).to_dataframe()


def _parquet() -> None:
    export.write_parquet({}, Path("never.parquet"))


def _dask() -> None:
    with open_executor("dask", 1):
        pass


def _botorch() -> None:
    oracle = FunctionOracle(lambda x: x[:, 0], Box({"x": (0, 1)}))
    Sampler(oracle, surrogate="polynomial", strategy="botorch_variance", n_initial=4).run(5)


def _statistics() -> None:
    importlib.import_module("adaptsample.comparison.statistics")


def _rank_plots() -> None:
    importlib.import_module("adaptsample.comparison.plots.rivals")


def _sklearn() -> None:
    importlib.import_module("adaptsample.sklearn")


@pytest.mark.parametrize(
    ("use", "package", "extra"),
    [
        (_data_frame_of_evaluations, "pandas", "pandas"),
        (_data_frame_of_a_run, "pandas", "pandas"),
        (_parquet, "pyarrow", "parquet"),
        (_dask, "distributed", "dask"),
        (_botorch, "botorch", "botorch"),
        (_statistics, "pandas", "compare"),
        (_statistics, "scikit_posthocs", "compare"),
        (_rank_plots, "scikit_posthocs", "compare"),
        (_sklearn, "sklearn", "sklearn"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    use: object, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.split(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("comparison.statistics", "comparison.plots.rivals", "sklearn"):
        monkeypatch.delitem(sys.modules, f"adaptsample.{name}", raising=False)
    assert callable(use)
    with pytest.raises(MissingExtraError, match=rf"needs {package}.*adaptsample\[{extra}\]") as e:
        use()
    assert isinstance(e.value, ImportError)
    assert isinstance(e.value, ValueError)  # commands tell it as they tell wrong input


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), needs_extra("pandas", "this"):
        torch.tensor(1 // 0)
