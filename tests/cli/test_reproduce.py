"""The command that repeats the experiments; CI runs all of them with --quick besides."""

import ast
import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import scripts.studies
from adaptsample.cli import reproduce
from adaptsample.cli.main import main
from adaptsample.comparison.tables import Table
from scripts.studies._pages import Pages
from scripts.studies._study import Effort, Finding, Study, number, spread, studies

SCRIPTS = Path(__file__).parents[2] / "scripts"
FILES = sorted((SCRIPTS / "studies").glob("*.py"))
NAMES = [path.stem for path in FILES if not path.stem.startswith("_")]


def _finding(rows: int = 1) -> Finding:
    table = Table.of(("", "reported"), [("error", "1e-3")] * rows)
    return Finding("yes", "It is small.", [("Errors", table)], Figure(), "A note.")


STUDY = Study("A title", "It is small.", lambda effort: _finding())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_experiments_are_built_from_public_parts(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("adaptsample"):
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            private = [part for part in parts if part.startswith("_")]
            assert not private, f"{path.name} imports {private}"


def test_every_file_is_an_experiment() -> None:
    assert sorted(studies()) == NAMES
    assert all(study.title and study.claim.endswith(".") for study in studies().values())


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_results_have_every_experiment_in_full(name: str) -> None:
    folder = SCRIPTS.parent / "results" / "experiments"
    assert not json.loads((folder / f"{name}.json").read_text())["quick"]
    assert f"[{name}]({name}.md)" in (folder / "README.md").read_text()
    assert studies()[name].claim in (folder / f"{name}.md").read_text()
    assert (folder / f"{name}.png").stat().st_size > 10_000


def test_a_page_has_claim_verdict_tables_figure_and_command(tmp_path: Path) -> None:
    page = Pages(tmp_path).write("small", STUDY, _finding(), effort=Effort(is_quick=True))
    text = page.read_text()
    for part in (
        "# A title",
        "adaptsample reproduce small --quick",
        "**Claim:** It is small.",
        "**Holds:** yes. It is small.",
        "(small.png)",
        "| error | 1e-3 |",
        "A note.",
    ):
        assert part in text
    assert (tmp_path / "small.png").exists()


def test_the_overview_has_a_row_for_each_experiment_whenever_it_was_made(tmp_path: Path) -> None:
    Pages(tmp_path).write("one", STUDY, _finding(), effort=Effort())
    Pages(tmp_path).write("two", STUDY, _finding(), effort=Effort(is_quick=True))
    overview = (tmp_path / "README.md").read_text()
    assert "[one](one.md), [figure](one.png) |" in overview
    assert "[two](two.md), [figure](two.png) (quick) |" in overview


def test_an_experiment_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="small found nothing"):
        Pages(tmp_path).write("small", STUDY, _finding(rows=0), effort=Effort())
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_is_refused_with_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "rung"]) == 2
    assert "did you mean runge?" in capsys.readouterr().err


def test_names_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce"]) == 2
    assert "--list shows them" in capsys.readouterr().err


def test_list_names_all_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(NAMES) > 10


def _fail(effort: Effort) -> Finding:
    raise RuntimeError("no luck")


def test_the_others_run_when_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"bad": Study("Bad", "It runs.", _fail), "good": STUDY}
    monkeypatch.setattr(scripts.studies, "studies", lambda: known)
    monkeypatch.setattr(scripts.studies._study, "studies", lambda: known)
    assert main(["reproduce", "all", "--workers", "1", "--out", str(tmp_path)]) == 1
    assert "no luck" in capsys.readouterr().err
    assert (tmp_path / "good.md").exists()


def test_one_that_fails_alone_shows_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"bad": Study("Bad", "It runs.", _fail)}
    monkeypatch.setattr(scripts.studies, "studies", lambda: known)
    monkeypatch.setattr(scripts.studies._study, "studies", lambda: known)
    assert main(["reproduce", "bad", "--workers", "1", "--out", str(tmp_path)]) == 1
    assert "in _fail" in capsys.readouterr().err


def test_studies_of_the_folder_are_found_and_their_absence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reproduce, "__file__", str(tmp_path / "site/adaptsample/cli/x.py"))
    monkeypatch.chdir(SCRIPTS.parent)
    assert main(["reproduce", "--list"]) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "--list"]) == 2
    assert "run this in a clone of its repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1.0], "1"),
        ([1.2345e-5], "1.2e-05"),
        ([0.5, 1.0, 3.25], "1 (0.5 to 3.25)"),
        ([2987.4], "2,987"),
    ],
)
def test_numbers_are_told_with_their_spread(values: list[float], shown: str) -> None:
    assert spread(values) == shown


def test_large_numbers_are_told_in_full() -> None:
    assert number(12_000) == "12,000"


def test_effort_maps_in_order_and_picks() -> None:
    assert Effort().map(str, [3, 1, 2]) == ["3", "1", "2"]
    assert list(Effort(is_quick=True).seeds(10)) == [0, 1]
    assert Effort(is_quick=True).pick(5, 1) == 1
