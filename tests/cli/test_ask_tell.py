"""Ask and tell from a shell, as people use it."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptsample import Box, Sampler
from adaptsample.cli import session
from adaptsample.cli.main import main
from adaptsample.oracles import ExpressionOracle
from adaptsample.record.run_file import read

BOUNDS = ("--bound", "x=0:1", "--bound", "y=-2:3")
FAST = ("--strategy", "random", "--surrogate", "polynomial")
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """Run the command in an empty folder; return (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        try:
            status = main(arguments)
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


def _points(text: str) -> list[list[float]]:
    return [json.loads(line)["x"] for line in text.splitlines()]


def _results(points: list[list[float]]) -> str:
    return "".join(json.dumps({"x": x, "y": x[0] + x[1] ** 2}) + "\n" for x in points)


def test_a_whole_session(run: Shell) -> None:
    assert run("create", "a.jsonl", *BOUNDS, *FAST, "--n-initial", "6")[0] == 0
    _, first, _ = run("ask", "a.jsonl", "-n", "6")
    assert json.loads(first.splitlines()[0])["names"] == ["x", "y"]
    assert run("tell", "a.jsonl", stdin=_results(_points(first)))[0] == 0
    _, more, _ = run("ask", "a.jsonl", "-n", "3")
    _, state, _ = run("status", "a.jsonl", "--json")
    assert json.loads(state) == {
        "run_file": "a.jsonl",
        "variables": {"x": [0, 1], "y": [-2, 3]},
        "strategy": "random",
        "surrogate": "polynomial",
        "seed": 0,
        "evaluations": 6,
        "failed": 0,
        "pending": 3,
        "damaged_lines": [],
    }
    assert "x in [0, 1], y in [-2, 3]" in run("status", "a.jsonl")[1]
    assert run("status", "a.jsonl", "--pending")[1] == more
    assert run("tell", "a.jsonl", stdin=_results(_points(more)))[2] == "3 recorded; 0 pending\n"
    assert len(_points(first + more)) == len(set(map(tuple, _points(first + more)))) == 9
    _, table, _ = run("export", "a.jsonl")
    header, *rows = table.splitlines()
    assert header == "x,y,value,status,message,round,seconds,price,attempt"
    values = [float(row.split(",")[2]) for row in rows]
    assert values == [x + y**2 for x, y in _points(first + more)]


def test_a_strategy_that_looks_at_a_model_is_given_one(run: Shell) -> None:
    run("create", "a", *BOUNDS, "--surrogate", "polynomial", "--n-initial", "4")
    run("tell", "a", stdin=_results(_points(run("ask", "a", "-n", "4")[1])))
    chosen = run("ask", "a", "-n", "2")[1]
    assert len(_points(chosen)) == 2
    assert [record["round"] for record in read(Path("a")).rounds] == [0]
    run("tell", "a", stdin=_results(_points(chosen)))
    run("ask", "a")
    assert [record["round"] for record in read(Path("a")).rounds] == [0, 1]


def test_the_initial_design_is_the_same_however_it_is_asked(run: Shell) -> None:
    run("create", "a", *BOUNDS, *FAST)
    run("create", "b", *BOUNDS, *FAST)
    one_by_one = "".join(run("ask", "a")[1] for _ in range(4))
    assert one_by_one == run("ask", "b", "-n", "4")[1]


def test_pending_points_survive_a_crash_and_late_results_are_taken(run: Shell) -> None:
    run("create", "a", *BOUNDS, *FAST)
    early = run("ask", "a", "-n", "2")[1]
    path = Path("a")
    path.write_bytes(path.read_bytes() + b'{"kind":"evaluation","torn')
    later = run("ask", "a", "-n", "2")[1]
    assert not set(early.splitlines()) & set(later.splitlines())
    assert run("tell", "a", stdin=_results(_points(later)))[2] == "2 recorded; 2 pending\n"
    assert run("tell", "a", stdin=_results(_points(early)))[2] == "2 recorded; 0 pending\n"


def test_failures_are_told_with_their_reasons(run: Shell) -> None:
    run("create", "a", *BOUNDS, *FAST)
    a, b, c = _points(run("ask", "a", "-n", "3")[1])
    lines = [
        {"x": a, "error": "it broke\x1b[2J" + "!" * 9999},
        {"x": b, "y": float("nan")},
        {"x": c, "error": {"code": 3}},
    ]
    status, _, err = run("tell", "a", stdin="\n".join(map(json.dumps, lines)))
    assert status == 0
    assert "line 1 failed: it broke" in err
    assert "line 2 failed: the value is [nan]" in err
    assert "\x1b" not in err
    assert err.endswith("0 recorded, 3 failed; 0 pending\n")
    records = read(Path("a")).evaluations
    assert [record["status"] for record in records] == ["failed", "non_finite", "failed"]
    assert records[2]["message"] == '{"code": 3}'
    assert '"failed": 3' in run("status", "a", "--json")[1]
    asked = _points(run("ask", "a", "-n", "9")[1])
    assert not {tuple(a), tuple(b), tuple(c)} & set(map(tuple, asked))


def test_what_is_told_twice_counts_once_and_another_value_counts(run: Shell) -> None:
    run("create", "a", *BOUNDS, *FAST)
    lines = (
        _results([[0.5, 1.0], [0.25, 1.0]]) + '{"x": [0, 0], "y": NaN}\n{"x": [0, 1], "error": "e"}'
    )
    run("tell", "a", stdin=lines)
    assert run("tell", "a", stdin=lines + "\n" + lines)[2] == "0 recorded, 8 known; 0 pending\n"
    assert len(read(Path("a")).evaluations) == 4
    assert run("tell", "a", stdin='{"x": [0.5, 1.0], "y": 1.25}')[2] == "1 recorded; 0 pending\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "no JSON"),
        ("[1]", "expected"),
        ("[" * 99999, "no JSON"),
        ('{"y": 1}', "expected"),
        ('{"x": [0.5, 1]}', 'neither "y" nor "error"'),
        ('{"x": [0.5, 1], "y": null}', "no array of numbers"),
        ('{"x": [0.5, 1], "y": "1.5"}', "no array of numbers"),
        ('{"x": [0.5, 1], "y": "one"}', "no array of numbers"),
        ('{"x": [0.5, 1], "y": {}}', "no array of numbers"),
        ('{"x": [0.5, 1], "y": 1' + "0" * 400 + "}", "no array of numbers"),
        ('{"x": [0.5, 1], "y": [1, 2]}', "shape"),
        ('{"x": [0.5], "y": 1}', "shape"),
        ('{"x": 0.5, "y": 1}', "shape"),
        ('{"x": null, "y": 1}', "no array of numbers"),
        ('{"x": [0.5, 4], "y": 1}', "outside the domain"),
        ('{"x": [0.5, 4], "error": "e"}', "outside the domain"),
        ('{"x": [0.5], "error": "e"}', "shape"),
        ('{"x": [0.5, NaN], "y": 1}', "outside the domain"),
        ('{"x": [0.5, 1], "y": 1, "gradient": [1, 2, 3]}', "gradient must have shape"),
    ],
)
def test_a_bad_line_is_refused_by_number_and_the_others_are_kept(
    run: Shell, line: str, message: str
) -> None:
    run("create", "a", *BOUNDS, *FAST)
    good = _results([[0.5, 1.0], [0.25, 1.0]]).splitlines()
    status, _, err = run("tell", "a", stdin="\n".join([good[0], "", line, good[1]]))
    assert status == 1
    assert "line 3 refused" in err
    assert message in err
    assert len(err) < 2000
    assert len(read(Path("a")).evaluations) == 2


def test_gradients_and_several_outputs_are_told_too(run: Shell) -> None:
    run("create", "a", *BOUNDS, *FAST)
    run("create", "b", *BOUNDS, *FAST)
    run("tell", "a", stdin='{"x": [0.5, 1], "y": 2, "gradient": [1, 3]}')
    assert read(Path("a")).evaluations[0]["gradient"] == [[1, 3]]
    run("tell", "b", stdin='{"x": [0.5, 1], "y": [2, 3], "gradient": [[1, 3], [0, 0]]}')
    assert read(Path("b")).evaluations[0]["gradient"] == [[1, 3], [0, 0]]
    assert "value_0/x,value_0/y,value_1/x" in run("export", "b")[1]


def test_results_are_recorded_as_they_come(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    run("create", "a", *BOUNDS, *FAST)
    come, go = os.pipe()
    with open(come, "rb") as stdin, open(go, "wb", buffering=0) as simulator:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stdin))
        teller = threading.Thread(target=main, args=(["tell", "a"],))
        teller.start()
        try:
            for n in (1, 2):
                simulator.write(_results([[0.5, n / 4]]).encode())
                while len(read(Path("a")).evaluations) < n:
                    threading.Event().wait(0.01)
            assert len(_points(_ask_elsewhere("a"))) == 1  # the run is free in between
        finally:
            simulator.close()
            teller.join()


def _ask_elsewhere(path: str) -> str:
    with session.opened(Path(path), on_wait=print) as sampler:
        return "\n".join(map(json.dumps, session.ask(sampler, 1)))


def test_processes_at_the_same_time_get_different_points(run: Shell, tmp_path: Path) -> None:
    run("create", "a", *BOUNDS, *FAST)
    command = [sys.executable, "-m", "adaptsample", "ask", "a", "-n", "3"]
    shells = [
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, text=True)  # noqa: S603
        for _ in range(2)
    ]
    lines = [line for process in shells for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in shells] == [0, 0]
    assert len(lines) == len(set(lines)) == 6


def test_help_teaches_a_whole_session(run: Shell) -> None:
    status, out, _ = run("create", "--help")
    assert status == 0
    for word in ("create", "ask", "tell", "status", "export", "a whole session"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "absent"], "no run file absent"),
        (["tell", "absent"], "no run file absent"),
        (["status", "absent"], "no run file absent"),
        (["status", "."], "cannot read"),
        (["status", "other"], "no run file"),
        (["ask", "run", "-n", "0"], "at least 1 point"),
        (["create", "run", *BOUNDS], "there already"),
        (["create", "new"], "--bound"),
        (["create", "new", "--bound", "x=1:0"], "reversed"),
        (["create", "new", "--bound", "x"], "NAME=LOW:HIGH"),
        (["create", "new", "--bound", "x=0:1", "--bound", "x=0:2"], "twice"),
        (["create", "new", *BOUNDS, "--strategy", "topkk"], "did you mean topk"),
        (["create", "new", *BOUNDS, "--surrogate", "mpl"], "did you mean mlp"),
        (["create", "new", *BOUNDS, "--n-initial", "0"], "n_initial"),
        (["create", "other/new", *BOUNDS], "cannot write"),
        (["create", "new.lock", *BOUNDS], "lock file"),
        (["create", "CON", *BOUNDS], "reserved"),
        (["create", "a\nb", *BOUNDS], "cannot be seen"),
        (["export", "run", "--format", "parquet"], "--out"),
        (["export", "run", "--out", "no/such/folder.csv"], "cannot write"),
        (["ask", "program"], "makes its evaluations itself"),
    ],
)
def test_wrong_use_gets_status_2_and_one_clear_line(
    run: Shell, arguments: list[str], message: str
) -> None:
    run("create", "run", *BOUNDS, *FAST)
    Path("other").write_text("something else\n")
    line = ExpressionOracle("x", {"x": (0, 1)})
    Sampler(line, strategy="random", surrogate="polynomial", run_file="program").run(10)
    before = {path: path.read_bytes() for path in Path().iterdir()}
    status, out, err = run(*arguments)
    assert status == 2
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in Path().iterdir() if path in before} == before


def test_nothing_but_failures_ends_with_status_1_and_the_reasons(run: Shell) -> None:
    run("create", "a", *BOUNDS, "--surrogate", "polynomial", "--n-initial", "2")
    for x in _points(run("ask", "a", "-n", "2")[1]):
        run("tell", "a", stdin=json.dumps({"x": x, "error": "no mesh"}))
    status, _, err = run("ask", "a")
    assert status == 1
    assert "2 x failed: no mesh" in err


def test_runs_of_a_program_are_shown_and_exported_too(run: Shell) -> None:
    sampler = Sampler(
        Box({"x": (0, 1)}),
        surrogate="polynomial",
        strategy="sobol",
        run_file="program",
        n_initial=2,
    )
    sampler.tell(sampler.ask(), [1.0, 2.0])
    sampler.close()
    assert len(_points(run("ask", "program", "-n", "3")[1])) == 3
    assert "strategy        sobol\n" in run("status", "program")[1]
    assert len(run("export", "program")[1].splitlines()) == 3


def test_exports_to_files(run: Shell) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    run("create", "a", *BOUNDS, *FAST)
    run("tell", "a", stdin=_results([[0.1, 1 / 3], [0.7, -2.0]]) + '{"x": [0, 0], "error": "-"}')
    for kind in ("csv", "jsonl", "parquet"):
        assert run("export", "a", "--format", kind, "--out", f"a.{kind}") == (0, "", "")
    frames = [
        pd.read_csv("a.csv"),
        pd.read_json("a.jsonl", lines=True, precise_float=True),
        pd.read_parquet("a.parquet"),
    ]
    for frame in frames:
        assert frame["x"].tolist() == [0.1, 0.7, 0]
        assert frame["value"].isna().tolist() == [False, False, True]
