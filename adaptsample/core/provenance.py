"""What made a result: package versions and the commit of a checkout."""

import platform
import subprocess
from functools import cache
from pathlib import Path


def versions() -> dict[str, str]:
    """Return the versions that numbers depend on."""
    return {"python": platform.python_version(), **_packages()}


@cache  # their metadata is read from files
def _packages() -> dict[str, str]:
    from importlib.metadata import version  # noqa: PLC0415  # slow to import

    return {name: version(name) for name in ("adaptsample", "torch", "numpy", "scipy", "sympy")}


def commit() -> str | None:
    """Return the git commit of the checkout that the library runs from, None if there is none."""
    try:
        answer = subprocess.run(  # noqa: S603  # fixed arguments, no shell
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],  # noqa: S607  # the git on the PATH
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
