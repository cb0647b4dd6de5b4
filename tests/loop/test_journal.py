from pathlib import Path
from typing import Any

import pytest
import torch

from adaptsample import Box
from adaptsample.errors import LedgerError
from adaptsample.evaluation.evaluation import Evaluation, point_key
from adaptsample.loop.journal import Existing, Journal
from adaptsample.loop.specification import Specification
from adaptsample.record.run_file import read

BOX = Box({"x": (0, 1)})
SPEC = Specification(BOX, surrogate="polynomial", strategy="sobol")


def _open(path: Path, existing: Existing = "resume", spec: Specification = SPEC) -> Journal:
    return Journal.open(path, spec, budget=20, existing=existing)


def _proposal(number: int, x: list[list[float]]) -> dict[str, Any]:
    return {"kind": "proposal", "round": number, "x": x}


def _evaluation(x: float, *, round: int = 0, asked: int | None = None) -> Evaluation:
    point = torch.tensor([x], dtype=torch.float64)
    return Evaluation(point, point + 1, round=round, asked=asked)


def _never() -> Any:
    raise AssertionError("what is on file is not made again")


def test_a_line_is_made_once_and_comes_from_the_file_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first, made = _open(path), _proposal(0, [[0.5]])
    assert first.line("proposal", 0, lambda: made) is made
    assert read(path).proposals[0]["x"] == [[0.5]]  # before anybody uses it
    first.close()
    again = _open(path)
    assert again.n_rounds == 1
    assert again.holds("proposal", 0)
    assert again.line("proposal", 0, _never)["x"] == [[0.5]]
    assert not again.holds("proposal", 1)
    again.close()
    assert len(read(path).proposals) == 1


def test_lines_of_lost_rounds_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = _open(path)
    for number in (0, 1, 3):
        first.line("proposal", number, lambda n=number: _proposal(n, [[n / 4]]))  # type: ignore[misc]
    first.close()
    again = _open(path)
    assert again.n_rounds == 4
    assert not again.holds("proposal", 2)
    assert again.line("proposal", 3, _never)["x"] == [[0.75]]
    again.close()


def test_a_proposal_of_no_points_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    journal = _open(path)
    assert journal.line("proposal", 0, lambda: _proposal(0, []))["x"] == []
    journal.close()
    assert read(path).proposals == ()


def test_evaluations_come_in_the_order_of_the_file_and_once(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = _open(path)
    assert first.add([_evaluation(0.1, asked=1), _evaluation(0.2, asked=2)]) == 0
    assert first.add([_evaluation(0.1, round=1)]) == 2
    first.close()
    again = _open(path)
    assert again.answered == {(1, 1), (2, 1)}
    key = point_key(torch.tensor([0.1], dtype=torch.float64))
    found = again.evaluation(key)
    assert found is not None
    assert (found[0], found[1].asked) == (0, 1)
    assert [e.x.item() for e in again.left_over(0)] == [0.2]
    assert again.left_over(0) == []
    assert [e.round for e in again.left_over()] == [1]
    assert again.evaluation(key) is None
    assert again.add([_evaluation(0.3)]) == 3
    again.close()


def test_minus_zero_is_zero(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = _open(path)
    first.add([_evaluation(-0.0)])
    first.close()
    again = _open(path)
    assert again.evaluation(point_key(torch.zeros(1, dtype=torch.float64))) is not None
    again.close()


def test_another_run_and_one_that_is_there_unasked_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    _open(path).close()
    other = Specification(BOX, surrogate="polynomial", strategy="sobol", seed=5)
    with pytest.raises(LedgerError, match="holds another run: seed is 0 there and 5 now"):
        _open(path, spec=other)
    with pytest.raises(LedgerError, match="is there already; resume it or overwrite it"):
        _open(path, "refuse")
    _open(path, "overwrite", other).close()
    assert read(path).spec["seed"] == 5


def test_without_a_file_nothing_is_held_and_nothing_written() -> None:
    journal = Journal()
    assert journal.n_rounds == 0
    assert journal.says_what_was_asked
    assert journal.line("round", 0, lambda: {"kind": "round", "round": 0})["round"] == 0
    assert journal.add([_evaluation(0.5)]) == 0
    assert journal.left_over() == []
    journal.end({"status": "done"})
    journal.close()
