"""README's code does what README says."""

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

README = (Path(__file__).parents[1] / "README.md").read_text()


def _blocks(section: str) -> list[str]:
    text = README.split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = _blocks("From Python")
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102  # our own file
    assert names["x"].shape == (4, 2)
    assert (tmp_path / "my-run.jsonl").is_file()


def test_the_simulator_answers(tmp_path: Path) -> None:
    (example,) = _blocks("From the command line")
    (tmp_path / "simulate.py").write_text(example)
    command = [sys.executable, "-S", "-E", str(tmp_path / "simulate.py")]
    oracle = CommandOracle(command, Box({"x": (0, 1), "y": (0, 1)}))
    assert oracle(torch.tensor([[0.5, 0.25]], dtype=torch.float64)).item() == 0.5


def test_the_new_strategy_runs_and_fills_the_largest_gaps(tmp_path: Path) -> None:
    (example,) = _blocks("Add a strategy")
    (tmp_path / "farthest_of_readme.py").write_text(example)
    strategy = make_strategy(f"{tmp_path}/farthest_of_readme.py:Farthest")
    oracle = ExpressionOracle("x*y", {"x": (0, 1), "y": (0, 100)})
    run = Sampler(oracle, surrogate=Plane(), strategy=strategy, batch_size=1).run(40)
    unit = oracle.domain.to_unit(run.data.x)
    gaps = torch.cdist(unit, unit).fill_diagonal_(9).amin(dim=1)
    assert float(gaps[10:].min()) > 0.08


def _commands() -> list[list[str]]:
    """Return the words of all commands that the shell blocks have, without redirections."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(re.split(r" [<>] ", line)[0], comments=True) for line in lines]
    return [command for command in words if command and command[0] in ("adaptsample", "python")]


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_is_one_that_its_program_takes(command: list[str]) -> None:
    program, *words = command
    assert program == "adaptsample"
    assert make_parsers()[""].parse_args(words).subcommand == words[0]
