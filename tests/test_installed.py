"""The wheel at work in an empty environment, beside files of the user's own that get in its way."""

import json
import os
import shlex
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.building import build, copied

pytestmark = pytest.mark.slow

SESSION = (
    "create alloy.jsonl --bound x=0:1 --bound y=0:1 --strategy topk --surrogate polynomial "
    "--n-initial 6",
    "ask alloy.jsonl -n 6",
    "tell alloy.jsonl",
    "ask alloy.jsonl -n 2",
    "status alloy.jsonl --json",
    "export alloy.jsonl",
)
WHOLE = (
    "list",
    "run --strategy topk --surrogate polynomial --budget 40 --json",
    "compare --strategy topk --surrogate polynomial --seeds 2 --budget 20 --out together",
    "report results",
)
IN_PYTHON = """
from adaptsample import Box, Sampler
from adaptsample.oracles import FunctionOracle
oracle = FunctionOracle(lambda x: x[:, 0] ** 2, Box({"x": (0, 1)}))
run = Sampler(oracle, surrogate="polynomial", strategy="topk", n_initial=4, batch_size=2).run(8)
print(run.n_evaluations)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, and what it needs from this one."""
    pytest.importorskip("pip")
    out, home = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("environment")
    build(copied(tmp_path_factory.mktemp("source")), out)
    venv.create(home)
    found = home / "bin" / "python"
    (wheel,) = out.glob("*.whl")
    install = ["pip", "--python", str(found), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True)  # noqa: S603
    here = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    # a path file of a folder that is named by one is not read: nothing editable gets in
    site_packages(found).joinpath("here.pth").write_text("\n".join(here))
    return found


def site_packages(python: Path) -> Path:
    (found,) = python.parents[1].glob("lib/python*/site-packages")
    return found


def call(*command: object, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without this environment's PYTHONPATH."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603
        [*map(str, command)],
        cwd=cwd,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done


def no_files(folder: Path, python: Path) -> None:
    pass


def a_module(folder: Path, python: Path) -> None:
    (folder / "strategies.py").write_text("raise RuntimeError('not asked for')")


def a_folder(folder: Path, python: Path) -> None:
    (folder / "strategies").mkdir()
    (folder / "strategies" / "__init__.py").write_text("raise RuntimeError('not asked for')")
    (folder / "strategies" / "topk.py").write_text("raise RuntimeError('not asked for')")


def a_broken_plugin(folder: Path, python: Path) -> None:
    site = site_packages(python)
    (site / "broken_pack.py").write_text("raise RuntimeError('bad day')")
    meta = site / "broken_pack-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-pack\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[adaptsample.strategies]\nown = broken_pack\n")


@pytest.mark.parametrize("beside", [no_files, a_module, a_folder, a_broken_plugin])
def test_all_commands_work_beside_files_of_the_users_own(
    beside: object, python: Path, tmp_path: Path
) -> None:
    assert callable(beside)
    beside(tmp_path, python)
    where = call(python, "-c", "import adaptsample; print(adaptsample.__file__)", cwd=tmp_path)
    assert where.stdout.startswith(str(python.parents[1]))
    own = [python.with_name("adaptsample")]
    answers, given = list[str](), ""
    for line in SESSION:
        done = call(*own, *shlex.split(line), cwd=tmp_path, given=given)
        answers.append(done.stdout)
        is_told = line.startswith(("create", "ask", "tell")) and beside is a_broken_plugin
        assert ("plug-in 'own' of broken-pack 1.0: broken_pack cannot" in done.stderr) >= is_told
        points = [json.loads(p) for p in done.stdout.splitlines()] if "ask" in line else []
        given = "\n".join(json.dumps({"x": p["x"], "y": sum(p["x"])}) for p in points)
    assert answers[1].count("\n") == 6
    assert answers[3].count("\n") == 2
    assert json.loads(answers[4])["pending"] == 2
    assert answers[5].startswith("x,y,value")
    for line in WHOLE:
        done = call(*own, *shlex.split(line), cwd=tmp_path)
        assert done.stdout or "report" in line
    assert (tmp_path / "results" / "report.html").is_file()
    assert call(python, "-c", IN_PYTHON, cwd=tmp_path).stdout == "8\n"
