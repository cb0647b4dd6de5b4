"""Builds what is published, without a network: with the setuptools that is installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NO_CODE = {"py.typed", ".pyi", ".html", ".css", ".js"}

BUILD = """
import sys
from setuptools import build_meta
out = sys.argv[1]  # setuptools writes its own arguments there
build_meta.build_sdist(out)
build_meta.build_wheel(out)
"""


def shipped() -> set[str]:
    """Return all files of the package, but for leftovers."""
    folders = [ROOT / "adaptsample", ROOT / "adaptsample" / "strategies"]
    return {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix == ".py" or {path.suffix, path.name} & NO_CODE
    }


def copied(source: Path) -> Path:
    """Copy what is needed to build, so that building leaves nothing in this folder."""
    for file in ("pyproject.toml", "README.md", "LICENSE", *shipped()):
        copy = source / file.replace("adaptsample/strategies/", "strategies/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / file).read_bytes())
    (source / "adaptsample" / "strategies").symlink_to("../strategies")
    return source


def build(source: Path, out: Path) -> None:
    """Build sdist and wheel of a folder into another."""
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", BUILD, str(out)], cwd=source, check=True, capture_output=True
    )
