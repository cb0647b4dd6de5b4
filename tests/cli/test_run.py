"""`adaptsample run`, as a user runs it."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from adaptsample.cli.main import main
from adaptsample.record.run_file import read

FAST = ["--surrogate", "mlp(hidden=(8,), training=gradient_descent(steps=50, continued_steps=5))"]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command with results below tmp_path; return (status, stdout, stderr)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(["run", *arguments, "--out", str(tmp_path)])
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


def test_a_run_leaves_a_run_file_a_picture_and_a_table_row(run: Any, tmp_path: Path) -> None:
    status, out, err = run("--strategy", "topk", "--budget", "30", *FAST)
    assert (status, err) == (0, "")
    folder = next((tmp_path / "peak").glob("mlp*-topk"))
    assert read(folder / "seed-000.jsonl").end["n_evaluations"] == 30
    assert (folder / "seed-000.png").read_bytes().startswith(b"\x89PNG")
    assert "| 30 |" in (tmp_path / "peak" / "table.md").read_text()
    assert str(folder / "seed-000.png") in out
    assert "grid MAE" in out


def test_json_is_one_object_with_the_documented_keys(run: Any) -> None:
    status, out, _ = run(
        "--oracle", "runge", "--strategy", "sobol", "--budget", "20", "--json", *FAST
    )
    assert status == 0
    summary = json.loads(out)
    assert list(summary) == [
        "oracle",
        "strategy",
        "surrogate",
        "seed",
        "n_evaluations",
        "errors",
        "seconds",
        "run_file",
    ]
    assert set(summary["errors"]) == {"mae", "rmse", "max"}
    assert set(summary["seconds"]) == {"fit", "propose", "evaluate", "total"}
    assert summary["n_evaluations"] == 20
    assert Path(summary["run_file"]).is_file()


def test_a_finished_run_is_shown_again_and_not_paid_again(run: Any, tmp_path: Path) -> None:
    command = ["--oracle", "sin", "--budget", "15", "--json", *FAST]
    _, first, _ = run(*command)
    path = Path(json.loads(first)["run_file"])
    before = path.read_bytes()
    status, again, err = run(*command)
    assert (status, again) == (0, first)
    assert "shown from" in err
    assert path.read_bytes() == before
    assert run(*command, "--overwrite")[0] == 0
    assert path.read_bytes() != before


def test_an_unfinished_run_asks_how_to_go_on(run: Any, tmp_path: Path) -> None:
    command = ["--oracle", "sin", "--budget", "20", "--strategy", "random", *FAST]
    run(*command)
    path = next(tmp_path.rglob("seed-000.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:8]))
    status, _, err = run(*command)
    assert status == 2
    assert "--resume" in err
    assert run(*command, "--resume")[0] == 0
    assert len(read(path).evaluations) == 20
    assert run("--oracle", "sin", "--budget", "30", "--strategy", "random", *FAST)[0] == 2


def test_resume_simply_starts_what_is_not_there(run: Any) -> None:
    assert run("--oracle", "sin", "--budget", "12", "--resume", *FAST)[0] == 0


def test_a_formula_of_ones_own(run: Any, tmp_path: Path) -> None:
    formula = ["--expr", "exp(x)*Abs(sin(3*x)-y)", "--bound", "x=0:1", "--bound", "y=0:1"]
    assert run(*formula, "--budget", "15", *FAST)[0] == 0
    assert all(tmp_path in path.parents for path in tmp_path.rglob("*"))
    assert len(list(tmp_path.rglob("seed-000.png"))) == 1


def test_a_program_of_ones_own(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my sim.py").write_text(
        "import json; r = json.loads(input()); open('calls', 'a').write('.')\n"
        "print(json.dumps({'y': r['x'][0] * r['x'][1] + r['seed']}))"
    )
    python = f"{shlex.quote(sys.executable)} -S -E 'my sim.py'"
    command = ["--command", python, "--bound", "x=0:1", "--bound", "y=0:1", "--strategy", "sobol"]
    command += ["--surrogate", "polynomial", "--budget", "12", "--seed", "4", "--json"]
    status, out, _ = run(*command)
    assert status == 0
    records = read(Path(json.loads(out)["run_file"])).evaluations
    assert [record["y"][0] for record in records] == [
        record["x"][0] * record["x"][1] + 4 for record in records
    ]
    assert run(*command)[:2] == (0, out)
    assert Path("calls").read_text() == "." * 12


def test_a_program_with_arguments_and_an_output_file(run: Any, tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[3], 'w').write(sys.argv[1] + ' ' + sys.argv[2])"
    (tmp_path / "sim.py").write_text(code)
    python = shlex.join([sys.executable, "-S", "-E", str(tmp_path / "sim.py")])
    status, out, _ = run(
        *("--command", python + " {x} {y} out.txt", "--output-file", "out.txt", "--n-outputs", "2"),
        *("--bound", "x=0:1", "--bound", "y=0:1", "--budget", "11", "--timeout", "60", "--json"),
        *("--strategy", "random", "--surrogate", "polynomial"),
    )
    assert status == 0
    records = read(Path(json.loads(out)["run_file"])).evaluations
    assert [record["y"] for record in records] == [record["x"] for record in records]


def test_a_program_that_fails_ends_with_its_reasons(run: Any, tmp_path: Path) -> None:
    (tmp_path / "sim.py").write_text("import sys; sys.exit('no licence')")
    python = shlex.join([sys.executable, "-S", "-E", str(tmp_path / "sim.py")])
    status, _, err = run("--command", python, "--bound", "x=0:1", "--budget", "10")
    assert status == 1
    assert "exit status 1; the end of its stderr: no licence" in err


@pytest.mark.filterwarnings("ignore:.*levels:adaptsample.errors.DegenerateDataWarning")
def test_rows_of_a_table(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    rows = [f"{i % 7},{i // 7},{i % 7 + i // 7},{'no' if i % 3 else 'yes'}" for i in range(60)]
    path.write_text("age,bmi,charges,smoker\n" + "\n".join(rows) + "\n1,1,,no\n")
    table = ["--table", str(path), "--input", "age", "--input", "bmi", "--output", "charges"]
    table += ["--where", "smoker=no", "--budget", "500", "--strategy", "topk"]
    table += ["--surrogate", "polynomial", "--json"]
    status, _, err = run(*table)
    assert status == 2
    assert "row 61 has no value of 'charges'" in err
    status, out, err = run(*table, "--skip-missing")
    assert status == 0
    assert "1 rows lack a number" in err
    summary = json.loads(out)
    assert summary["n_evaluations"] == 40
    assert summary["errors"]["max"] < 1e-6
    assert read(Path(summary["run_file"])).end["status"] == "exhausted"
    assert Path(summary["run_file"]).with_suffix(".png").is_file()


def test_six_variables_and_noise_get_a_picture_too(run: Any) -> None:
    assert run("--oracle", "otl_circuit", "--budget", "35", *FAST)[0] == 0
    assert run("--oracle", "noisy_cosine", "--budget", "15", *FAST)[0] == 0


def test_workers_give_the_same_result(run: Any) -> None:
    command = ["--oracle", "noisy_line", "--budget", "14", "--batch-size", "4", "--json", *FAST]
    alone = json.loads(run(*command)[1])
    together = json.loads(run(*command, "--workers", "2", "--overwrite")[1])
    assert alone["errors"] == together["errors"]


def test_the_default_surrogate_finds_the_peak_and_verbose_says_how(run: Any) -> None:
    status, out, err = run("--strategy", "sobol", "--budget", "60", "--tolerance", "1e-6", "-v")
    assert status == 0
    assert "surrogate       auto" in out
    assert "(confirmed)" in out
    assert "crease_abs" in err
    assert "polynomial" in err
    again, _, err_again = run("--strategy", "sobol", "--budget", "60", "--tolerance", "1e-6", "-v")
    assert again == 0
    assert err_again.partition("\n")[2] == err


def test_another_tolerance_asks_how_to_go_on(run: Any) -> None:
    fast = ("--strategy", "sobol", "--budget", "20", "--surrogate", "polynomial")
    assert run(*fast, "--tolerance", "0.5")[0] == 0
    status, _, err = run(*fast)
    assert status == 2
    assert "tolerance 0.5" in err
    assert "--resume" in err


def test_verbose_says_so_where_nothing_was_chosen(run: Any) -> None:
    _, _, err = run("--strategy", "sobol", "--budget", "15", "--surrogate", "polynomial", "-v")
    assert "nothing was chosen" in err


def test_list_names_everything(run: Any) -> None:
    status, out, _ = run("--list")
    assert status == 0
    for name in ("peak", "borehole", "mlp", "topk", "latin_hypercube"):
        assert name in out


def test_help_teaches(run: Any) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert "--expr" in out
    assert "examples:" in out


def test_an_interrupt_says_how_to_resume(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("adaptsample.experiments.experiment.Experiment.run", interrupt)
    status, _, err = run("--budget", "20", *FAST)
    assert status == 130
    assert "--resume" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "topkk"], "did you mean topk"),
        (["--surrogate", "mpl"], "did you mean mlp"),
        (["--oracle", "peek"], "peak"),
        (["--budget", "5"], "initial design"),
        (["--budget", "-5"], "initial design"),
        (["--budget", "many"], "invalid float"),
        (["--budget", "nan"], "initial design"),
        (["--batch-size", "-1"], "batch_size"),
        (["--n-initial", "0"], "n_initial"),
        (["--workers", "0"], "workers"),
        (["--record-every", "0"], "record_every"),
        (["--gradient-cost", "nan"], "gradient_cost"),
        (["--expr", "x +", "--bound", "x=0:1"], "(character 4)"),
        (["--expr", "x + z", "--bound", "x=0:1"], "z"),
        (["--expr", "__import__('os').system('true')", "--bound", "x=0:1"], "error"),
        (["--expr", "x"], "--bound"),
        (["--expr", "x", "--bound", "x=1:0"], "reversed"),
        (["--expr", "x", "--bound", "x=nan:1"], "not finite"),
        (["--expr", "x", "--bound", "x=0"], "NAME=LOW:HIGH"),
        (["--expr", "x", "--bound", "x=a:b"], "NAME=LOW:HIGH"),
        (["--expr", "x", "--bound", "x=0:1", "--bound", "x=0:2"], "twice"),
        (["--expr", "x", "--bound", "x=0:1", "--oracle", "peak"], "not both"),
        (["--bound", "x=0:1"], "--bound goes with --expr or --command"),
        (["--command", "python s.py"], "--command needs a --bound"),
        (["--command", "python s.py", "--expr", "x", "--bound", "x=0:1"], "not both"),
        (["--command", "no-such-program", "--bound", "x=0:1"], "no executable"),
        (["--command", "python '", "--bound", "x=0:1"], "cannot be split"),
        (["--command", "echo {z}", "--bound", "x=0:1"], "{z}"),
        (["--command", "echo", "--bound", "x=0:1", "--n-outputs", "0"], "n_outputs"),
        (["--command", "echo", "--bound", "x=0:1", "--where", "a=b"], "--where goes with --table"),
        (["--table", "absent.csv", "--input", "a", "--output", "b"], "cannot read absent.csv"),
        (["--table", "absent.csv"], "cannot read absent.csv"),
        (["--table", "a.csv", "--where", "b"], "COLUMN=VALUE"),
        (["--skip-missing"], "--skip-missing goes with --table"),
        (["--preset", "source", "--strategy", "random"], "preset"),
        (["--resume", "--overwrite"], "not allowed"),
        (["--strategy", "no/such/file.py:Mine"], "no file"),
        (["--device", "cuda", "--surrogate", "polynomial"], "mlp"),
    ],
)
def test_wrong_use_gets_status_2_and_one_clear_line(
    run: Any, arguments: list[str], message: str
) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert message in err
    assert out == ""
    assert "Traceback" not in err


def test_an_oracle_that_always_fails_ends_with_status_1_and_the_reasons(run: Any) -> None:
    status, _, err = run("--expr", "log(-1 - x)", "--bound", "x=0:1", "--budget", "20", *FAST)
    assert status == 1
    assert "10 x non_finite" in err


def test_evaluations_run_in_workers_one_by_one(run: Any, tmp_path: Path) -> None:
    status, out, _ = run(
        *("--oracle", "sin", "--budget", "14", "--strategy", "random", "--json", *FAST),
        *("--workers", "2", "--executor", "threads", "--asynchronous", "--timeout", "60"),
    )
    assert status == 0
    spec = read(Path(json.loads(out)["run_file"])).spec
    assert (spec["asynchronous"], spec["batch_size"], spec["timeout"]) == (True, 2, 60)


def test_a_scheduler_without_dask_is_refused(run: Any) -> None:
    status, _, err = run("--scheduler", "tcp://127.0.0.1:1", "--budget", "12")
    assert status == 2
    assert "executor dask" in err
