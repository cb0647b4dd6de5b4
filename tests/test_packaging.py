"""What is installed, what that needs, and that nobody's own files get in the way."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path, PurePosixPath

import pytest

from tests.building import ROOT, build, copied, shipped

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel."""
    out = tmp_path_factory.mktemp("built")
    build(copied(tmp_path_factory.mktemp("source")), out)
    return out


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {info.filename for info in archive.infolist() if not info.is_dir()}
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    packed = {name for name in names if not re.match(r"adaptsample-[\d.]+\.dist-info/", name)}
    assert packed == shipped()
    topk = "adaptsample/strategies/topk.py"
    assert sizes[topk] == (ROOT / "strategies" / "topk.py").stat().st_size
    for kind in ("py.typed", "__init__.pyi", "surrogates/__init__.pyi", "strategies/random.py"):
        assert f"adaptsample/{kind}" in packed


def test_the_sdist_holds_the_same_as_real_files_and_builds_the_same_wheel(
    built: Path, tmp_path: Path
) -> None:
    (sdist,) = built.glob("*.tar.gz")
    (wheel,) = built.glob("*.whl")
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
        assert all(member.isfile() for member in members)  # no links
        inside = {str(PurePosixPath(*PurePosixPath(m.name).parts[1:])) for m in members}
        archive.extractall(tmp_path, filter="data")
    assert shipped() <= inside
    assert {name for name in inside if name.endswith(".py")} <= shipped() | {"setup.py"}
    (source,) = tmp_path.iterdir()
    again = tmp_path / "again"
    build(source, again)
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(*again.glob("*.whl")) as second:
        assert sorted(first.namelist()) == sorted(second.namelist())


def test_no_entry_point_and_no_file_is_of_a_common_bare_name(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (meta,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        assert archive.read(f"{meta}/top_level.txt").split() == [b"adaptsample"]
        entries = archive.read(f"{meta}/entry_points.txt").decode()
    assert all(
        line.split(" = ")[1].startswith("adaptsample")
        for line in entries.split("\n")
        if "=" in line
    )


def code() -> Iterator[tuple[Path, str]]:
    """Yield all Python that we have, also that in the documentation."""
    for folder in ("adaptsample", "strategies", "scripts", "benchmarks", "tests", "docs"):
        for path in (ROOT / folder).rglob("*.py"):
            yield path, path.read_text()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for block in re.findall(
            r"^```(?:python|\{code-cell\}.*)\n(.*?)^```", path.read_text(), re.M | re.S
        ):
            yield path, re.sub(r"^(:|%|!).*$", "", block, flags=re.M)


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the top-level names that code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def test_nobody_imports_strategies_by_a_bare_name() -> None:
    blocks = [*code()]
    assert len(blocks) > 300
    assert [path for path, text in blocks if "strategies" in imported(ast.parse(text))] == []


SHADOWED = """
from adaptsample.registry import make_strategy
import strategies
print(type(make_strategy("topk")).__module__, strategies.mine)
"""


def test_a_folder_strategies_of_the_users_own_hides_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "__init__.py").write_text("mine = 'not ours'")
    (tmp_path / "script.py").write_text(SHADOWED)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "adaptsample.strategies.topk not ours\n", done.stderr


def requirement(text: str) -> str:
    """Return the name of what a requirement asks for."""
    return re.split(r"[^\w.-]", text)[0].lower().replace("_", "-")


def third_party(tree: ast.AST) -> set[str]:
    return {*imported(tree)} - sys.stdlib_module_names - {"adaptsample", "__future__"}


def guards(tree: ast.AST) -> Iterator[tuple[str, ast.With]]:
    """Yield every ``with needs_extra("name", ...)``."""
    for node in ast.walk(tree):
        for item in node.items if isinstance(node, ast.With) else ():
            call = item.context_expr
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "needs_extra":
                assert isinstance(node, ast.With)
                yield ast.literal_eval(call.args[0]), node


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    core, extras = set[str](), dict[str, set[str]]()
    for path in (*(ROOT / "adaptsample").rglob("*.py"), *(ROOT / "strategies").glob("*.py")):
        tree = ast.parse(path.read_text())
        guarded = set[str]()
        for extra, block in guards(tree):
            extras.setdefault(extra, set()).update(third_party(block))
            guarded |= third_party(block)
        # for types only, or where the guard has let it pass
        core |= third_party(tree) - guarded
    of = packages_distributions()

    def distributions(modules: set[str]) -> set[str]:
        return {of[name][0].lower().replace("_", "-") for name in modules}

    assert distributions(core) == {*map(requirement, PROJECT["dependencies"])}
    for_use = {
        name: {*map(requirement, needed)}
        for name, needed in PROJECT["optional-dependencies"].items()
        if name not in {"test", "lint", "docs", "benchmark"}
    }
    assert extras.keys() == for_use.keys()
    for name, modules in extras.items():
        if all(module in of for module in modules):  # dask need not be here
            assert distributions(modules) == for_use[name], name
