from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from adaptsample.evaluation.executors import open_executor
from adaptsample.evaluation.workers import Processes


@pytest.mark.parametrize(
    ("kind", "n", "expected"),
    [("processes", 1, type(None)), ("processes", 2, Processes), ("threads", 2, ThreadPoolExecutor)],
)
def test_executors_have_names(kind: Any, n: int, expected: type) -> None:
    with open_executor(kind, n) as executor:
        assert isinstance(executor, expected)


@pytest.mark.parametrize(
    ("kind", "n", "scheduler", "message"),
    [
        ("processes", 0, None, "at least 1 worker"),
        ("processes", 2, "tcp://127.0.0.1:1", "is for the executor dask"),
    ],
)
def test_wrong_executors_are_refused(kind: Any, n: int, scheduler: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message), open_executor(kind, n, scheduler=scheduler):
        pass
