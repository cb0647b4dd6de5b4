"""The code of README, and of the pages that are not run when they are built, does what they say."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

from adaptsample import Box, Sampler
from adaptsample.cli.main import make_parsers
from adaptsample.oracles import CommandOracle, ExpressionOracle
from adaptsample.registry import make_strategy
from benchmarks.reliability.referee import Plane

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/simulators.md", "docs/strategies.md", "docs/measured.md")


def _blocks(page: str, section: str) -> list[str]:
    text = (ROOT / page).read_text().split(f"# {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_readme_is_read_in_three_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = _blocks("README.md", "You work in Python")
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102  # our own file
    assert names["x"].shape == (4, 2)
    assert (tmp_path / "my-run.jsonl").is_file()


def test_the_simulator_answers(tmp_path: Path) -> None:
    (example,) = _blocks("docs/simulators.md", "Your own simulator")
    (tmp_path / "simulate.py").write_text(example)
    command = [sys.executable, "-S", "-E", str(tmp_path / "simulate.py")]
    oracle = CommandOracle(command, Box({"x": (0, 1), "y": (0, 1)}))
    assert oracle(torch.tensor([[0.5, 0.25]], dtype=torch.float64)).item() == 0.5


def test_the_new_strategy_runs_and_fills_the_largest_gaps(tmp_path: Path) -> None:
    (example,) = _blocks("README.md", "You compare strategies, or have one of your own")
    (tmp_path / "farthest_of_readme.py").write_text(example)
    strategy = make_strategy(f"{tmp_path}/farthest_of_readme.py:Farthest")
    oracle = ExpressionOracle("x*y", {"x": (0, 1), "y": (0, 100)})
    run = Sampler(oracle, surrogate=Plane(), strategy=strategy, batch_size=1).run(40)
    unit = oracle.domain.to_unit(run.data.x)
    gaps = torch.cdist(unit, unit).fill_diagonal_(9).amin(dim=1)
    assert float(gaps[10:].min()) > 0.08


def _commands() -> list[list[str]]:
    """Return the words of all commands of ours in the shell blocks, without redirections."""
    text = "".join((ROOT / page).read_text() for page in PAGES)
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(re.split(r" [<>] ", line)[0], comments=True) for line in lines]
    return [command[1:] for command in words if command and command[0] == "adaptsample"]


@pytest.mark.parametrize("options", _commands(), ids=" ".join)
def test_every_command_is_one_that_the_program_takes(options: list[str]) -> None:
    assert make_parsers()[""].parse_args(options).subcommand == options[0]
