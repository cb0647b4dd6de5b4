"""The command that repeats the studies; CI runs all of them with --quick besides."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from adaptsample.comparison.tables import Table
from scripts import reproduce
from scripts.studies import Effort, Finding, Study, studies


def _finding() -> Finding:
    table = Table.of(("", "reported"), [("error", "1e-3")])
    return Finding("yes", "It is small.", [("Errors", table)], Figure(), "A note.")


STUDY = Study("A title", "It is small.", lambda effort: _finding())


def test_an_unknown_name_is_refused_with_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        reproduce.main(["rung"])
    assert "did you mean runge?" in capsys.readouterr().err


def test_names_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        reproduce.main([])
    assert "--list shows them" in capsys.readouterr().err


def test_list_names_all_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(studies())


def test_the_others_run_when_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(effort: Effort) -> Finding:
        raise RuntimeError("no luck")

    known = {"bad": Study("Bad", "It runs.", fail), "good": STUDY}
    monkeypatch.setattr(reproduce, "studies", lambda: known)
    assert reproduce.main(["all", "--workers", "1", "--out", str(tmp_path)]) == 1
    assert "no luck" in capsys.readouterr().err
    assert (tmp_path / "good.md").exists()
