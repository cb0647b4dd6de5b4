"""Every oracle, surrogate and strategy by name, with a line about it.

Our own recipes are read from their sources, which takes a tenth of a second; importing them takes
seconds. Where others have installed some, the registry is asked, which imports all.
"""

import argparse
import ast
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from adaptsample.cli.command import Command
from adaptsample.core.text import snake_case


def names() -> Iterator[tuple[str, str, str]]:
    """Yield kind, name and summary of everything that can be named."""
    from adaptsample.oracles.problems import PROBLEMS

    for name, summary in PROBLEMS.summaries.items():
        yield "oracle", name, summary
    yield "oracle", "monomial(7)", "1-D: x^7, or any other power, on [-1, 1]"
    for kind, plural, is_wanted in (
        ("surrogate", "surrogates", _fits),
        ("strategy", "strategies", _is_strategy),
    ):
        summaries = _read(f"adaptsample.{plural}", is_wanted)
        for name, summary in (_registered(plural) if summaries is None else summaries).items():
            yield kind, name, summary


def _registered(plural: str) -> dict[str, str]:
    from adaptsample import registry

    classes = registry.surrogates() if plural == "surrogates" else registry.strategies()
    return {name: _first_line(cls.__doc__) for name, cls in classes.items()}


def _read(group: str, is_wanted: Callable[[ast.ClassDef], bool]) -> dict[str, str] | None:
    """Return what an entry-point group has, or None if it is not all ours."""
    from importlib.metadata import entry_points

    found = {}
    for entry in entry_points(group=group):
        if entry.dist is None or entry.dist.name != "adaptsample":
            return None
        for node in _final_dataclasses(_sources(entry.value)):
            if is_wanted(node):
                found[snake_case(node.name)] = _first_line(ast.get_docstring(node))
    return dict(sorted(found.items()))


def _sources(package: str) -> Iterator[Path]:
    """Yield the files of a package whose names are public; the package is not imported."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in Path(folder).rglob("*.py"):
            if not path.name.startswith("_"):
                yield path


def _final_dataclasses(paths: Iterable[Path]) -> Iterator[ast.ClassDef]:
    for path in paths:
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.ClassDef) and {"final", "dataclass"} <= {
                ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list
            }:
                yield node


def _fits(node: ast.ClassDef) -> bool:
    return any(isinstance(part, ast.FunctionDef) and part.name == "fit" for part in node.body)


def _is_strategy(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).partition("[")[0].endswith("Strategy") for base in node.bases)


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _no_options(parser: argparse.ArgumentParser) -> None:
    """Declare nothing."""


def _list(options: argparse.Namespace) -> int:
    from adaptsample.cli.display import print_names

    print_names(names())
    return 0


COMMAND = Command(
    about="Name every oracle, surrogate and strategy, with a line about each.",
    add_options=_no_options,
    work=_list,
    computes=False,
)
