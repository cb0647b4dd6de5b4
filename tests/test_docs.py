"""The documentation is whole. Its code is run when it is built, see .ci/run."""

import re
import tomllib
from pathlib import Path

import pytest

import adaptsample
from adaptsample import acquisition, core, loop, surrogates
from adaptsample.registry import surrogates as registered

DOCS = Path(__file__).parents[1] / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
UNRUN = {
    "architecture.md": ["", "python", ""],  # the flow of data, the loop in short, the house
    "quickstart.md": ["sh"],  # the installation
    "simulators.md": ["python", "sh", "sh", "sh", "sh", "python", "sh"],  # see test_readme.py
    "strategies.md": ["sh", "sh", "sh"],  # likewise
}


def test_there_are_nine_tutorials() -> None:
    assert [path.name[:2] for path in TUTORIALS] == [f"{i}-" for i in range(1, 10)]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_each_exercise_has_an_answer_that_is_run(path: Path) -> None:
    _, exercises = path.read_text().split("\n## Exercises\n")
    asked = re.findall(r"^(\d)\. ", exercises.split("```")[0], re.MULTILINE)
    answered = re.findall(r":tags: \[hide-cell\]\n# (\d)\.", exercises)
    assert asked == answered
    assert len(asked) >= 2


def test_all_code_is_run_but_for_what_is_known() -> None:
    found = {}
    for path in DOCS.glob("**/*.md"):
        if "results" in path.relative_to(DOCS).parts:
            continue  # copies
        fences = re.findall(r"^```(.*)$", path.read_text(), re.MULTILINE)
        if unrun := [opening for opening in fences[::2] if not opening.startswith("{")]:
            found[path.name] = unrun
    assert found == UNRUN


def test_the_reference_has_every_public_name() -> None:
    page = (DOCS / "api" / "adaptsample.md").read_text()
    told = set(re.findall(r"^\.\. auto(?!module)\w+:: (\w+)$", page, re.MULTILINE))
    recipes = {cls.__name__ for cls in registered().values()}  # which have pages of their own
    public = {name for wing in (acquisition, core, loop, surrogates) for name in wing.__all__}
    assert told == public - recipes
    assert {*adaptsample.__all__} <= told


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[^\w-]", line)[0] for group in groups for line in group} - {"adaptsample"}
    table = (DOCS / "architecture.md").read_text().split("## Dependencies")[1]
    assert {name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", table)} == set()
