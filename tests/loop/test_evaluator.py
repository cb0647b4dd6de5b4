from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptsample import Box
from adaptsample.evaluation.evaluation import Evaluation, Status
from adaptsample.evaluation.spool import Spool
from adaptsample.loop.evaluator import Evaluator
from adaptsample.loop.journal import Journal
from adaptsample.loop.specification import Specification
from adaptsample.oracles import ExpressionOracle, FunctionOracle, Oracle
from tests.conftest import CountingFunction

BOX = Box({"x": (0, 1), "y": (-2, 3)})


def _evaluator(oracle: Oracle, budget: float = 10, **settings: Any) -> Evaluator:
    spec = Specification(oracle, surrogate="polynomial", strategy="sobol", **settings)
    evaluator = Evaluator(spec, executor=None, on_change=lambda: None)
    evaluator.budget = budget
    return evaluator


def _no_gradient(x: Tensor) -> Tensor:
    return torch.zeros(len(x), dtype=torch.bool)


def _points(*rows: tuple[float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_the_same_question_is_paid_once() -> None:
    function = CountingFunction()
    evaluator = _evaluator(FunctionOracle(function, BOX))
    x = _points((0.5, 0), (0.25, 1), (0.5, 0))
    bought = evaluator.buy(x, _no_gradient(x), number=0)
    again = evaluator.buy(x, _no_gradient(x), number=1)
    assert [e.x.tolist() for e in bought] == [e.x.tolist() for e in again] == x.tolist()
    assert function.calls == [(0.5, 0), (0.25, 1)]
    assert (evaluator.spent, evaluator.left) == (2, 8)
    assert all(evaluator.has(e) for e in bought + again)


def test_a_value_bought_before_costs_only_its_gradient() -> None:
    evaluator = _evaluator(ExpressionOracle("x*y", BOX), gradient_cost=0.5)
    x = _points((0.5, 2))
    evaluator.buy(x, _no_gradient(x), number=0)
    wanted = torch.ones(1, dtype=torch.bool)
    (with_gradient,) = evaluator.buy(x, wanted, number=1)
    assert with_gradient.gradient is not None
    assert with_gradient.gradient.tolist() == [[2, 0.5]]
    assert evaluator.spent == 1.5
    evaluator.buy(x, wanted, number=2)
    assert evaluator.spent == 1.5


def test_what_is_ordered_is_committed_until_it_is_delivered() -> None:
    evaluator = _evaluator(FunctionOracle(CountingFunction(), BOX))
    x = _points((0.5, 0), (0.25, 1), (0.75, 1))
    evaluator.order(x, _no_gradient(x), number=0)
    assert (evaluator.spent, evaluator.left) == (0, 7)
    assert evaluator.is_waiting
    evaluator.deliver()
    assert (evaluator.spent, evaluator.left) == (1, 7)


def test_each_attempt_is_charged_and_none_is_beyond_the_budget() -> None:
    def broken(x: np.ndarray) -> np.ndarray:
        raise RuntimeError("no licence")

    x = _points((0.5, 0))
    evaluator = _evaluator(FunctionOracle(broken, BOX), budget=10, retries=2)
    (failed,) = evaluator.buy(x, _no_gradient(x), number=0)
    assert (failed.status, failed.attempt, evaluator.spent) == (Status.FAILED, 3, 3)
    evaluator = _evaluator(FunctionOracle(broken, BOX), budget=2, retries=5)
    evaluator.buy(x, _no_gradient(x), number=0)
    assert evaluator.spent == 2
    assert evaluator.failures() == "2 x failed: RuntimeError: no licence"


def test_what_a_run_file_holds_is_counted_and_not_paid_again(tmp_path: Path) -> None:
    function = CountingFunction()
    counted, x = FunctionOracle(function, BOX), _points((0.5, 0), (0.25, 1))
    spec = Specification(counted, surrogate="polynomial", strategy="sobol")
    for _ in range(2):
        journal = Journal.open(tmp_path / "run.jsonl", spec, budget=10, existing="resume")
        evaluator = _evaluator(counted)
        evaluator.keep_in(journal, Spool(tmp_path / "run.spool"))
        bought = evaluator.buy(x, _no_gradient(x), number=0)
        assert [e.asked for e in bought] == [1, 2]
        assert evaluator.spent == 2
        journal.close()
        assert len(function.calls) == 2


def test_evaluations_of_others_are_counted_at_their_price() -> None:
    spec = Specification(BOX, surrogate="polynomial", strategy="sobol")
    evaluator = Evaluator(spec, executor=None, on_change=lambda: None)
    x = _points((0.5, 0))
    evaluator.record([Evaluation(x[0], torch.ones(1, dtype=torch.float64), price=1.5)])
    assert evaluator.n_evaluations == 1.5
    with pytest.raises(ValueError, match="no oracle to ask"):
        evaluator.buy(_points((0.1, 0)), _no_gradient(x), number=0)
