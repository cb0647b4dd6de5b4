"""Rules of the house that no tool checks: what may be imported from where, and how long a file is.

Which wings may import which others is import-linter's part.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ("adaptsample", "strategies")
FILES = sorted(
    path
    for folder in (*LIBRARY, "scripts", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py*")
    if path.suffix in {".py", ".pyi"}
)
FAMILIES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for wing in ("surrogates", "training")
    for path in (ROOT / "adaptsample" / wing).glob("*/__init__.py")
)
MAX_LINES = 400


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path) for path in FILES}


def _imported(path: Path, text: str | None = None) -> Iterator[str]:
    """Yield the modules of ours that a file imports."""
    package = ".".join(path.parent.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text() if text is None else text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            origin = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            for alias in node.names:  # a module, or a name in one
                inner = f"{origin}.{alias.name}"
                yield from {inner if inner in MODULES else origin} & MODULES


def _is_trespass(importer: str, module: str) -> bool:
    """Whether a module with an underscore is imported from outside its folder."""
    parts = module.split(".")
    private = (i for i, p in enumerate(parts) if p.startswith("_") and not p.startswith("__"))
    return any(not f"{importer}.".startswith(".".join(parts[:i]) + ".") for i in private)


def _is_side_door(importer: str, module: str) -> bool:
    """Whether a file of a family is imported from outside, past its ``__init__``.

    The family's own tests may look inside.
    """
    for family in FAMILIES:
        if module.startswith(f"{family}."):
            _, wing, name = family.split(".")
            own = (family, f"tests.{wing}.test_{name}", f"tests.{wing}.{name}")
            return not any(f"{importer}.".startswith(f"{place}.") for place in own)
    return False


def test_a_module_with_an_underscore_is_imported_in_its_own_folder_only() -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in FILES
        for module in _imported(path)
        if _is_trespass(_module(path), module)
    ]
    assert found == []


def test_a_family_is_entered_through_its_folder() -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in FILES
        for module in _imported(path)
        if _is_side_door(_module(path), module)
    ]
    assert found == []


def test_no_file_of_the_library_is_long() -> None:
    files = [path for path in FILES if path.relative_to(ROOT).parts[0] in LIBRARY]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in files}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


@pytest.mark.parametrize(
    ("place", "text", "is_found"),
    [
        ("adaptsample/registry.py", "import adaptsample.oracles._parser", True),
        ("adaptsample/registry.py", "from adaptsample.oracles import _parser", True),
        ("adaptsample/registry.py", "from .oracles._parser import parse", True),
        ("adaptsample/registry.py", "from adaptsample.oracles.expression import _x", False),
        ("adaptsample/oracles/expression.py", "from ._parser import parse", False),
        ("adaptsample/surrogates/auto/search.py", "from .._degenerate import TWINS", False),
        ("tests/oracles/test_expression.py", "from adaptsample.oracles._parser import parse", True),
    ],
)
def test_trespassing_is_seen_in_every_kind_of_import(place: str, text: str, is_found: bool) -> None:
    path = ROOT / place
    modules = list(_imported(path, text))
    assert modules
    assert any(_is_trespass(_module(path), module) for module in modules) == is_found
