"""The command that repeats the studies; CI runs all of them with --quick besides."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

import scripts.studies
from adaptsample.cli import reproduce
from adaptsample.cli.main import main
from adaptsample.comparison.tables import Table
from scripts.studies import Effort, Finding, Study, studies
from scripts.studies.common import study as study_module

ROOT = Path(__file__).parents[2]


def _finding() -> Finding:
    table = Table.of(("", "reported"), [("error", "1e-3")])
    return Finding("yes", "It is small.", [("Errors", table)], Figure(), "A note.")


STUDY = Study("A title", "It is small.", lambda effort: _finding())


def test_an_unknown_name_is_refused_with_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "rung"]) == 2
    assert "did you mean runge?" in capsys.readouterr().err


def test_names_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce"]) == 2
    assert "--list shows them" in capsys.readouterr().err


def test_list_names_all_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(studies()) > 10


def _fail(effort: Effort) -> Finding:
    raise RuntimeError("no luck")


def test_the_others_run_when_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"bad": Study("Bad", "It runs.", _fail), "good": STUDY}
    monkeypatch.setattr(scripts.studies, "studies", lambda: known)
    monkeypatch.setattr(study_module, "studies", lambda: known)
    assert main(["reproduce", "all", "--workers", "1", "--out", str(tmp_path)]) == 1
    assert "no luck" in capsys.readouterr().err
    assert (tmp_path / "good.md").exists()


def test_one_that_fails_alone_shows_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"bad": Study("Bad", "It runs.", _fail)}
    monkeypatch.setattr(scripts.studies, "studies", lambda: known)
    monkeypatch.setattr(study_module, "studies", lambda: known)
    assert main(["reproduce", "bad", "--workers", "1", "--out", str(tmp_path)]) == 1
    assert "in _fail" in capsys.readouterr().err


def test_studies_of_the_folder_are_found_and_their_absence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reproduce, "__file__", str(tmp_path / "site/adaptsample/cli/x.py"))
    monkeypatch.chdir(ROOT)
    assert main(["reproduce", "--list"]) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "--list"]) == 2
    assert "run this in a clone of its repository" in capsys.readouterr().err
