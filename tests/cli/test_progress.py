"""What is shown while runs are made: something where somebody watches, nothing elsewhere."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adaptsample.cli.main import make_parsers
from adaptsample.cli.progress import Board, ProgressBar
from adaptsample.cli.run import experiment_of
from adaptsample.experiments.campaign import run_all


@pytest.fixture
def experiment() -> Any:
    words = ["--oracle", "sin", "--strategy", "random", "--surrogate", "polynomial"]
    return experiment_of(make_parsers()["run"].parse_args([*words, "--budget", "12"]))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes stderr for a terminal then
    monkeypatch.setenv("COLUMNS", "140")


@pytest.mark.usefixtures("watched")
def test_a_bar_shows_the_budget_and_the_error(
    experiment: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressBar(experiment.budget) as bar:
        experiment.run(tmp_path, observer=bar)
    told = capsys.readouterr()
    assert told.out == ""
    assert "12/12 evaluations" in told.err
    assert "grid MAE" in told.err


@pytest.mark.usefixtures("watched")
def test_a_board_counts_runs_failures_and_errors(
    experiment: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Board([experiment, experiment], measure="max") as board:
        (outcome,) = run_all([experiment], tmp_path, executor=None)
        board.add(outcome)
        board.add(replace(outcome, errors={}, failure="no licence"))
    told = capsys.readouterr().err
    assert "polynomial, random" in told
    assert "largest grid error" in told
    assert "1 of 2 runs" in told
    assert "2 of 2 runs, 1 failed" in told
    assert "1/2" in told


def test_nothing_is_shown_where_nobody_watches(
    experiment: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressBar(experiment.budget) as bar, Board([experiment]) as board:
        experiment.run(tmp_path, observer=bar)
        for outcome in run_all([experiment], tmp_path, executor=None):
            board.add(outcome)
    assert capsys.readouterr() == ("", "")
