"""The studies: found with no list to edit, from public parts, each with its page of results."""

import ast
import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from adaptsample.comparison.tables import Table
from scripts.studies import Effort, Finding, Pages, Study, studies
from scripts.studies.common.study import number, spread

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "scripts" / "studies").rglob("*.py"))
NAMES = [path.stem for path in FILES if path.parent.name == "studies" and path.stem != "__init__"]


def _finding(rows: int = 1) -> Finding:
    table = Table.of(("", "reported"), [("error", "1e-3")] * rows)
    return Finding("yes", "It is small.", [("Errors", table)], Figure(), "A note.")


STUDY = Study("A title", "It is small.", lambda effort: _finding())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_studies_are_built_from_public_parts(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("adaptsample"):
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            private = [part for part in parts if part.startswith("_")]
            assert not private, f"{path.name} imports {private}"


def test_every_file_is_a_study() -> None:
    assert sorted(studies()) == NAMES
    assert all(study.title and study.claim.endswith(".") for study in studies().values())


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_results_have_every_study_in_full(name: str) -> None:
    folder = ROOT / "results" / "experiments"
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


def test_the_overview_has_a_row_for_each_study_whenever_it_was_made(tmp_path: Path) -> None:
    Pages(tmp_path).write("one", STUDY, _finding(), effort=Effort())
    Pages(tmp_path).write("two", STUDY, _finding(), effort=Effort(is_quick=True))
    overview = (tmp_path / "README.md").read_text()
    assert "[one](one.md), [figure](one.png) |" in overview
    assert "[two](two.md), [figure](two.png) (quick) |" in overview


def test_a_study_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="small found nothing"):
        Pages(tmp_path).write("small", STUDY, _finding(rows=0), effort=Effort())
    assert not list(tmp_path.iterdir())


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
