"""One command: what it dispatches to, what its exit status is, what it imports."""

import os
import re
import runpy
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptsample.cli import catalogue
from adaptsample.cli import main as command
from adaptsample.cli.command import Command
from adaptsample.cli.main import COMMANDS, main, make_parsers
from adaptsample.errors import RunFailedError

SCRIPTS = Path(__file__).parents[2] / "scripts"
DOORS = {
    "run_strategy": "run",
    "compare_strategies": "compare",
    "report": "report",
    "reproduce": "reproduce",
}
HEAVY = ("torch", "numpy", "scipy", "sympy", "matplotlib", "rich")


def _stopped(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def _doing(work: Any, **changes: Any) -> Command:
    return Command(about="Try.", add_options=lambda parser: None, work=work, **changes)


def _raising(error: BaseException) -> Command:
    def work(options: Any) -> int:
        raise error

    return _doing(work, interrupted="interrupted; go on like this")


def test_the_console_script_is_this_command() -> None:
    (entry,) = [e for e in entry_points(group="console_scripts") if e.name == "adaptsample"]
    assert entry.value == "adaptsample.cli.main:main"


def test_every_subcommand_has_a_summary_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert _stopped("--help") == 0
    told = capsys.readouterr().out
    assert "exit status: 0 done, 1 failed" in told
    for name in COMMANDS:
        assert re.search(rf"^    {name}\b", told, re.MULTILINE)
        assert _stopped(name, "--help") == 0
        help_ = capsys.readouterr().out
        assert help_.startswith(f"usage: adaptsample {name} ")
        assert "130 interrupted" in help_


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ValueError("x is 3; give 4"), 2, "adaptsample try: error: x is 3; give 4\n"),
        (RunFailedError("all failed"), 1, "adaptsample try: all failed\n"),
        (KeyboardInterrupt(), 130, "interrupted; go on like this\n"),
    ],
)
def test_errors_become_an_exit_status_and_a_line(
    error: BaseException,
    status: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "COMMANDS", {"try": _raising(error)})
    assert main(["try"]) == status
    assert capsys.readouterr() == ("", told)


def test_the_work_has_one_thread_and_knows_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int, str]] = []

    def work(options: Any) -> int:
        seen.append((torch.get_num_threads(), options.command_line))
        return 1

    monkeypatch.setattr(command, "COMMANDS", {"try": _doing(work)})
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert main(["try"]) == 1
    finally:
        torch.set_num_threads(n_threads)
    assert seen == [(1, "adaptsample try")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "adaptsample: error: argument COMMAND: invalid choice: 'rnu'; did you mean run"),
        (["run", "--bugdet", "5"], "adaptsample run: error: unrecognized arguments: --bugdet 5; "),
        (["run", "--bugdet=5"], "did you mean --budget"),
        (["run", "--design", "sobl"], "invalid choice: 'sobl'; did you mean sobol?"),
        (["compare", "--executor", "thread"], "did you mean threads"),
        (["report", "a", "b", "-x"], "adaptsample report: error: unrecognized arguments: -x\n"),
        (["tell", "a", "b"], "adaptsample tell: error: unrecognized arguments: b\n"),
        (["--budget", "5", "run"], "invalid choice: '5'; known: ask, compare, create"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_word_is_refused_with_near_ones(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _stopped(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.parametrize(("script", "name"), DOORS.items())
def test_the_scripts_are_doors_to_the_command(
    script: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
    through = capsys.readouterr().out
    assert _stopped(name, "--help") == 0
    assert through == capsys.readouterr().out


def test_the_door_still_lists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run_strategy.py", "--list"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(SCRIPTS / "run_strategy.py"), run_name="__main__")
    through = capsys.readouterr().out
    assert main(["list"]) == 0
    assert through == capsys.readouterr().out


def _python(code: str, **environment: str) -> str:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    ).stdout


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys\n"
        "from adaptsample.cli.main import COMMANDS, main\n"
        "for words in [[], *([name] for name in COMMANDS)]:\n"
        "    try: main([*words, '--help'])\n"
        "    except SystemExit: pass\n"
        f"print('imported:', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    assert _python(code).endswith("imported: []\n")


def test_the_list_imports_no_arrays_and_no_symbols() -> None:
    code = (
        "import sys\n"
        "from adaptsample.cli.main import main\n"
        "assert main(['list']) == 0\n"
        "print('imported:', [n for n in ('torch', 'numpy', 'sympy') if n in sys.modules])\n"
    )
    assert _python(code).endswith("imported: []\n")


def test_a_shell_completes_subcommands_and_options(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete")
    code = "from adaptsample.cli.main import main; main()"
    for line, wanted in (("adaptsample re", "report"), ("adaptsample run --tol", "--tolerance")):
        found = tmp_path / "found"
        _python(
            code,
            _ARGCOMPLETE="1",
            _ARGCOMPLETE_IFS="\n",
            _ARGCOMPLETE_STDOUT_FILENAME=str(found),
            COMP_LINE=line,
            COMP_POINT=str(len(line)),
        )
        assert wanted in found.read_text().split()


def test_the_list_names_what_the_registry_has_in_its_words() -> None:
    listed = list(catalogue.names())
    for kind, plural in (("surrogate", "surrogates"), ("strategy", "strategies")):
        read = {name: summary for k, name, summary in listed if k == kind}
        assert read == catalogue._registered(plural)
        assert all(read.values())
    assert ("oracle", "peak") in [(kind, name) for kind, name, _ in listed]


def test_the_list_has_what_others_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Foreign:
        value = "somebody.elses"
        dist = None

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Foreign()])
    monkeypatch.setattr(catalogue, "_registered", lambda plural: {f"mine of {plural}": "Mine."})
    assert ("strategy", "mine of strategies", "Mine.") in list(catalogue.names())


def test_parsers_are_made_anew() -> None:
    assert make_parsers()["run"] is not make_parsers()["run"]
