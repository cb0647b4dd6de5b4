import json
import os
import pickle
import shlex
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptsample import Box
from adaptsample.errors import CommandError, OutputError
from adaptsample.evaluation.asking import answer
from adaptsample.evaluation.evaluation import Question, Status
from adaptsample.oracles import CommandOracle, Differentiable, Joint
from adaptsample.registry import describe

PYTHON = [sys.executable, "-S", "-E"]
BOX = Box({"x": (0, 1), "y": (-2, 3)})
POINTS = torch.tensor([[0.1, -0.3], [1 / 3, 2.5]], dtype=torch.float64)
SUM = "import json; r = json.loads(input()); print(json.dumps({'y': sum(r['x'])}))"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Write a program, with blanks and quotes in its path, and return the command for it."""
    folder = tmp_path / 'a folder; it\'s "mine" $HOME'
    folder.mkdir()
    monkeypatch.chdir(folder)

    def write(code: str) -> list[str]:
        path = folder / "my simulator.py"
        path.write_text(code)
        return [*PYTHON, str(path)]

    return write


def _failure(oracle: CommandOracle) -> tuple[Status, str]:
    [evaluation] = answer(oracle, [Question(POINTS[0], False, 0, 1, 0)])
    return evaluation.status, evaluation.message


def test_a_program_is_asked_with_one_json_line_and_answers_with_one(program: Any) -> None:
    command = program(
        "import json, sys; line = sys.stdin.readline(); rest = sys.stdin.read()\n"
        "r = json.loads(line); print(json.dumps({'y': [*r['x'], r['seed'], len(rest)]}))\n"
    )
    oracle = CommandOracle(command, BOX, n_outputs=4, seed=7)
    assert oracle(POINTS).tolist() == [[0.1, -0.3, 7, 0], [1 / 3, 2.5, 7, 0]]


def test_the_names_of_the_variables_are_told(program: Any) -> None:
    command = program("import json; r = json.loads(input()); print(len(r['names'][1]))")
    assert CommandOracle(command, Box({"x": (0, 1), "größe": (0, 1)}))(POINTS).tolist() == [
        [5],
        [5],
    ]


def test_arguments_get_exact_values_where_a_name_stands_in_braces(program: Any) -> None:
    command = program("import sys; print('log line'); print(*sys.argv[1:])")
    oracle = CommandOracle([*command, "{y}", "{x}", "{seed}"], BOX, n_outputs=3, seed=5)
    assert oracle(POINTS).tolist() == [[-0.3, 0.1, 5], [2.5, 1 / 3, 5]]


def test_text_is_split_like_a_shell_would_and_given_to_none(program: Any, tmp_path: Path) -> None:
    command = program("import sys; print(len(sys.argv), *map(len, sys.argv[2:]))")
    text = f"{shlex.join(command)} --x={{x}} 'a b' ; touch {tmp_path}/marker $(true) `true` > out"
    values = CommandOracle(text, BOX, n_outputs=9)(POINTS[:1])[0].tolist()
    assert values[:3] == [10, 3, 1]
    assert not (tmp_path / "marker").exists()
    assert not Path("out").exists()


def test_logs_before_the_answer_do_not_matter(program: Any) -> None:
    command = program('print("step 1\\n{not json}\\n"); print(\'{"y": 2}\', end="\\n\\n")')
    assert CommandOracle(command, BOX)(POINTS[:1]).item() == 2


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"y": 1.5}', [1.5]),
        ('{"y": [1.5]}', [1.5]),
        ("1.5", [1.5]),
        ("1.5 -2e-3", [1.5, -0.002]),
        ('{"y": [0.1, 2], "error": null}', [0.1, 2.0]),
        ("\ufeff3", [3.0]),
    ],
)
def test_answers_may_be_json_or_plain_numbers(program: Any, text: str, values: Any) -> None:
    command = program(f"import sys; sys.stdout.buffer.write({text.encode()!r})")
    assert CommandOracle(command, BOX, n_outputs=len(values))(POINTS[:1]).tolist() == [values]


@pytest.mark.parametrize("text", ['{"y": NaN}', '{"y": -Infinity}', '{"y": 1e999}', "nan", "inf"])
def test_numbers_that_are_not_finite_are_failed_evaluations(program: Any, text: str) -> None:
    assert _failure(CommandOracle(program(f"print({text!r})"), BOX))[0] is Status.NON_FINITE


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("pass", "printed no answer"),
        ("print()", "printed no answer"),
        ("print('1,5')", "decimal point, not a comma"),
        ("print('{\"y\": 1,5}')", "decimal point, not a comma"),
        ("print('{\"y\": 1.')", "no JSON object"),
        ("print('[1]')", "neither"),
        ("print('{\"y\": null}')", "y is missing"),
        ("print('{\"z\": 1}')", "y is missing"),
        ('print(\'{"y": "1"}\')', 'y is "1"'),
        ("print('{\"y\": {}}')", "y is {}"),
        ("print('{\"y\": [1, 2]}')", "shape (2,)"),
        ("print('{\"y\": [[1]]}')", "shape (1, 1)"),
        ("print('{\"y\": [1, [2]]}')", "y is [1, [2]]"),
        ("print('1 2')", "shape (2,)"),
        ("print('{\"y\": 1' + '0' * 400 + '}')", "y is 1000"),
        ("print('{\"y\": 1' + '0' * 9999 + '}')", "no JSON object"),
        ("print('{\"y\": ' + '[' * 99999 + '}')", "no JSON object"),
        ('import sys; sys.stdout.buffer.write(b\'{"y": "\\xff\\xfe"}\')', "not UTF-8"),
        ("print('x' * (1 << 21))", "longer than 1 MiB"),
        ("print('done \\x1b[2J')", "neither"),
    ],
)
def test_other_answers_are_failed_evaluations_that_say_what_came(
    program: Any, code: str, message: str
) -> None:
    status, text = _failure(CommandOracle(program(code), BOX))
    assert status is Status.WRONG_OUTPUT
    assert message in text
    assert "\x1b" not in text
    assert len(text) < 3000


def test_an_exit_status_is_a_failure_with_the_end_of_stderr(program: Any) -> None:
    code = (
        "import sys; print('{\"y\": 1}'); sys.stderr.buffer.write(b'x' * 10**6 + b' no \\xff mesh')"
        "; sys.exit(3)"
    )
    status, message = _failure(CommandOracle(program(code), BOX))
    assert status is Status.FAILED
    assert "exit status 3" in message
    assert message.endswith("no \N{REPLACEMENT CHARACTER} mesh")
    assert len(message) < 3000


def test_a_signal_is_named(program: Any) -> None:
    oracle = CommandOracle(program("import os; os.kill(os.getpid(), 11)"), BOX)
    with pytest.raises(CommandError, match="Segmentation fault"):
        oracle(POINTS[:1])


def test_a_program_may_say_itself_why_there_is_no_value(program: Any) -> None:
    command = program('print(\'{"error": "the mesh is singular"}\')')
    assert _failure(CommandOracle(command, BOX)) == (
        Status.FAILED,
        "CommandError: the mesh is singular",
    )


def test_much_output_needs_little_memory(program: Any) -> None:
    command = program(
        "import sys\nfor i in range(100): sys.stdout.write('x' * 10**6 + '\\n')\n"
        "for i in range(5): sys.stderr.write('x' * 10**6)\nprint(4)"
    )
    oracle = CommandOracle(command, BOX)
    tracemalloc.start()
    try:
        assert oracle(POINTS[:1]).item() == 4
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_an_answer_is_read_from_a_fresh_folder_and_never_from_an_older_file(
    program: Any, tmp_path: Path
) -> None:
    command = program(
        "import os, sys; print('1'); assert os.listdir() == []\n"
        "if float(sys.argv[1]) < 0.2: open('my result.txt', 'w').write(sys.argv[1] + '\\n2\\n')\n"
    )
    Path("my result.txt").write_text("9 9")
    oracle = CommandOracle([*command, "{x}"], BOX, n_outputs=2, output_file="my result.txt")
    assert oracle(POINTS[:1]).tolist() == [[0.1, 2]]
    with pytest.raises(OutputError, match=r"wrote no file 'my result\.txt'"):
        oracle(POINTS)
    assert Path("my result.txt").read_text() == "9 9"


def test_relative_files_in_the_command_are_found_from_the_fresh_folder(program: Any) -> None:
    program("open('out', 'w').write('{\"y\": 3}')")
    Path("1").touch()
    oracle = CommandOracle([*PYTHON, "my simulator.py", "1"], BOX, output_file="out")
    assert oracle(POINTS[:1]).item() == 3


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.mkfifo('out')", "wrote no file"),
        ("import os; os.mkdir('out')", "wrote no file"),
        ("open('out', 'w').write('x' * (1 << 21))", "longer than 1 MiB"),
        ("open('out', 'w').write('1,5')", "comma"),
        ("open('out', 'w')", "shape (0,)"),
    ],
)
def test_other_output_files_are_failed_evaluations(program: Any, code: str, message: str) -> None:
    status, text = _failure(CommandOracle(program(code), BOX, output_file="out"))
    assert status is Status.WRONG_OUTPUT
    assert message in text


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _gone(pid: int) -> bool:
    for _ in range(500):
        if not _alive(pid):
            return True
        time.sleep(0.01)
    return False


STUBBORN = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0 and os.fork() == 0:
    with open("grandchild.tmp", "w") as file:
        file.write(str(os.getpid()))
    os.rename("grandchild.tmp", "grandchild")
    time.sleep(60)
while not os.path.exists("grandchild"):
    time.sleep(0.01)
{}
"""


def test_a_timeout_ends_grandchildren_that_ignore_requests(program: Any) -> None:
    oracle = CommandOracle(program(STUBBORN.format("time.sleep(60)")), BOX, timeout=0.5)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.5 s"):
        oracle(POINTS[:1])
    assert _gone(int(Path("grandchild").read_text()))


def test_a_timeout_ends_a_grandchild_in_a_session_of_its_own(program: Any) -> None:
    code = STUBBORN.replace("    with open", "    os.setsid()\n    with open", 1).replace(
        "if os.fork() == 0 and os.fork() == 0", "if os.fork() == 0"
    )
    oracle = CommandOracle(program(code.format("time.sleep(60)")), BOX, timeout=0.5)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.5 s"):
        oracle(POINTS[:1])
    assert _gone(int(Path("grandchild").read_text()))


def test_who_holds_the_output_of_a_program_that_has_answered_is_not_waited_for(
    program: Any,
) -> None:
    code = STUBBORN.replace("    with open", "    os.setsid()\n    with open", 1)
    oracle = CommandOracle(program(code.format("print(6, flush=True); os._exit(0)")), BOX)
    assert oracle(POINTS[:1]).item() == 6
    os.kill(int(Path("grandchild").read_text()), signal.SIGKILL)  # out of reach


def test_a_program_that_answers_leaves_nothing_running(program: Any) -> None:
    oracle = CommandOracle(program(STUBBORN.format("print(6, flush=True); os._exit(0)")), BOX)
    assert oracle(POINTS[:1]).item() == 6
    assert _gone(int(Path("grandchild").read_text()))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_program_ends_with_the_process_that_waits_for_it(program: Any, number: int) -> None:
    command = program(STUBBORN.format("time.sleep(60)"))
    code = (
        "import pathlib, signal, sys; from adaptsample.oracles._process import run\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "run(sys.argv[1:], stdin=b'', folder=pathlib.Path(), timeout=None)"
    )
    waiting = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, *command], stderr=subprocess.DEVNULL
    )
    while not Path("grandchild").exists():
        time.sleep(0.01)
    time.sleep(0.1)  # for the lifeline to be tied
    waiting.send_signal(number)
    if number == signal.SIGINT:
        time.sleep(0.3)
        waiting.send_signal(number)  # impatient
    waiting.wait()
    assert _gone(int(Path("grandchild").read_text()))


def test_a_program_that_floods_its_output_is_ended_too(program: Any) -> None:
    oracle = CommandOracle(program("while True: print('x' * 999)"), BOX, timeout=0.3)
    with pytest.raises(TimeoutError):
        oracle(POINTS[:1])


def test_closed_streams_and_ignored_input_do_not_block(program: Any) -> None:
    code = "import os, time; print('5', flush=True); os.close(1); os.close(2); time.sleep(0.1)"
    names = {f"variable_{i}": (0, 1) for i in range(20_000)}  # more than a pipe holds
    x = torch.zeros(1, len(names), dtype=torch.float64)
    assert CommandOracle(program(code), Box(names))(x).item() == 5


def test_file_handles_stay_as_many(program: Any) -> None:
    oracle = CommandOracle(program("print(1)"), BOX)
    oracle(POINTS[:1])
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names only
    oracle(POINTS.repeat(3, 1))
    with suppress(CommandError):
        CommandOracle(program("exit(1)"), BOX)(POINTS)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_gradient_comes_with_its_value_from_one_call(program: Any) -> None:
    command = program(
        "import json; r = json.loads(input()); open('calls', 'a').write('.')\n"
        "x, y = r['x']; a = {'y': x * y}\n"
        "if r.get('gradient'): a['gradient'] = [y, x]\n"
        "print(json.dumps(a))"
    )
    oracle = CommandOracle(command, BOX, with_gradient=True)
    assert isinstance(oracle, Differentiable)
    assert isinstance(oracle, Joint)
    [evaluation] = answer(oracle, [Question(POINTS[1], True, 0, 1, 0)])
    assert evaluation.gradient is not None
    assert evaluation.gradient.tolist() == [[2.5, 1 / 3]]
    assert evaluation.y is not None
    assert evaluation.y.tolist() == [2.5 * (1 / 3)]
    assert Path("calls").read_text() == "."
    assert oracle.gradient is not None
    assert oracle.gradient(POINTS).shape == (2, 1, 2)


def test_a_missing_gradient_is_a_failed_evaluation(program: Any) -> None:
    oracle = CommandOracle(program("print('{\"y\": 1}')"), BOX, with_gradient=True)
    with pytest.raises(OutputError, match="gradient is missing"):
        oracle.value_and_gradient(POINTS)


def test_without_one_it_is_not_differentiable() -> None:
    assert not isinstance(CommandOracle(PYTHON, BOX), Differentiable)


def test_other_processes_run_it_in_the_same_folder(program: Any, tmp_path: Path) -> None:
    program(SUM)
    oracle = CommandOracle([*PYTHON, "my simulator.py"], BOX, with_gradient=True)
    again = pickle.loads(pickle.dumps(oracle))  # noqa: S301  # our own
    assert again == oracle
    os.chdir(tmp_path)
    assert torch.equal(again(POINTS), POINTS.sum(dim=1, keepdim=True))


def test_worker_processes_run_it(program: Any) -> None:
    oracle = CommandOracle(program(SUM), BOX)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        answers = list(executor.map(oracle, POINTS.split(1)))
    assert torch.equal(torch.cat(answers), POINTS.sum(dim=1, keepdim=True))


def test_a_timeout_is_no_part_of_what_is_recorded() -> None:
    quick, slow = CommandOracle(PYTHON, BOX, timeout=1), CommandOracle(PYTHON, BOX)
    assert describe(quick) == describe(slow)
    assert json.loads(json.dumps(describe(quick)))["command"] == PYTHON
    assert describe(CommandOracle(PYTHON, BOX, seed=1)) != describe(slow)


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("", {}, "no command"),
        ([], {}, "no command"),
        ([*PYTHON, 3], {}, "no command"),
        ([*PYTHON, "a\0b"], {}, "no command"),
        ("python 'unbalanced", {}, "cannot be split"),
        ("no-such-program --fast", {}, "no executable 'no-such-program'"),
        ([*PYTHON, "{z}"], {}, "{z} in the command is no variable; there are {x}, {y}, {seed}"),
        (PYTHON, {"n_outputs": 0}, "n_outputs"),
        (PYTHON, {"timeout": 0}, "timeout"),
        (PYTHON, {"timeout": float("nan")}, "timeout"),
        (PYTHON, {"output_file": "../result"}, "file name"),
        (PYTHON, {"output_file": "/etc/passwd"}, "file name"),
        (PYTHON, {"output_file": ".."}, "file name"),
    ],
)
def test_wrong_settings_are_refused(command: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the message is compared below
        CommandOracle(command, BOX, **options)
    assert message in str(error.value)
