"""`adaptsample compare`, as it is called."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from adaptsample.cli.main import main
from adaptsample.comparison.summaries import baseline_of
from adaptsample.comparison.tables import Table

WRONG = """
from dataclasses import dataclass
from typing import final
from adaptsample.acquisition.strategy import Strategy

@final
@dataclass(frozen=True)
class Wrong(Strategy):
    def propose(self, state, n, *, generator):
        raise ZeroDivisionError("no")
"""
FAST = ("--surrogate", "polynomial", "--budget", "14", "--n-initial", "8", "--workers", "1")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(["compare", *arguments, "--out", str(tmp_path)])
        except SystemExit as error:
            status = int(error.code or 0)
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


def test_random_and_sobol_take_part_unasked(run: Any, tmp_path: Path) -> None:
    status, out, _ = run("--strategy", "topk", "--oracle", "runge", "--seeds", "2", *FAST)
    assert status == 0
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("seed-*.jsonl"))
    assert files == [
        f"runge/polynomial-{s}/seed-00{i}.jsonl"
        for s in ("random", "sobol", "topk")
        for i in (0, 1)
    ]
    folder = tmp_path / "comparison"
    with (folder / "by-oracle.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["surrogate-strategy"] for row in rows} == {
        f"polynomial-{s}" for s in ("random", "sobol", "topk")
    }
    assert all(row["seeds"] == "2" and row["evaluations"] == "14" for row in rows)
    page = (folder / "README.md").read_text()
    assert "adaptsample compare --strategy topk --oracle runge" in page
    assert (folder / "overview.tex").read_text().startswith(r"\begin{tabular}{lrrrrrr}")
    for row in rows:
        assert float(row["error_low"]) <= float(row["error"]) <= float(row["error_high"])
    assert "polynomial-topk" in out
    assert not (folder / "ranks.png").exists()  # of one oracle they say nothing
    for name in ("curves", "profiles", "points-runge"):
        assert f"({name}.png)" in page
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_statistics_are_of_run_files_only(run: Any, tmp_path: Path) -> None:
    assert run("--oracle", "runge", "--seeds", "2", *FAST)[0] == 0
    first = (tmp_path / "comparison" / "overview.csv").read_text()
    stamps = [p.stat().st_mtime_ns for p in sorted(tmp_path.rglob("seed-*.jsonl"))]
    status, _, err = run("--from", str(tmp_path), "--animate")
    assert (status, err) == (0, "")
    assert (tmp_path / "comparison" / "overview.csv").read_text() == first
    assert [p.stat().st_mtime_ns for p in sorted(tmp_path.rglob("seed-*.jsonl"))] == stamps
    with Image.open(tmp_path / "comparison" / "run-runge-polynomial-topk.gif") as picture:
        assert picture.n_frames == 4


def test_several_oracles_surrogates_and_a_formula(run: Any, tmp_path: Path) -> None:
    status, out, err = run(
        *("--oracle", "runge", "--expr", "x*y", "--bound", "x=0:1", "--bound", "y=0:2"),
        *("--surrogate", "gaussian_process", "--strategy", "maximin", "--seeds", "1", *FAST),
    )
    assert (status, err) == (0, "")
    assert len(list(tmp_path.rglob("seed-*.jsonl"))) == 2 * 2 * 3
    assert "gaussian_process-maximin" in out
    assert "polynomial-random" in out


def test_what_was_left_out_or_unfair_is_told(run: Any, tmp_path: Path) -> None:
    assert run("--oracle", "runge", "--seeds", "1", *FAST)[0] == 0
    broken = tmp_path / "runge" / "polynomial-other" / "seed-000.jsonl"
    broken.parent.mkdir()
    broken.write_text("nothing\n")
    _, _, err = run("--from", str(tmp_path))
    assert run("--from", str(tmp_path), "--from", f"{tmp_path}/runge")[0] == 0
    assert f"left out: {broken} is no run file" in err.replace(f"{broken}: ", "", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--oracle", "raunge"), "there is runge"),
        (("--strategy", "tpok"), "did you mean topk"),
        (("--bound", "x=0:1"), "--bound goes with --expr"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--budget", "3"), "does not cover the initial design"),
        (("--strategy", "query_by_committee"), "committee()"),
        (("--from", "nowhere"), "is no folder"),
        (("--baseline", "lcmd"), "no run will use the strategy 'lcmd'"),
        (("--budget", "inf"), "--budget must be a positive number, got inf"),
        (("--target", "nan"), "--target must be a positive number, got nan"),
        (("--at", "-1"), "--at must be a positive number, got -1"),
        (("--from", "."), "--oracle is for runs, and with --from nothing is run"),
    ],
)
def test_wrong_use_is_told_before_anything_is_paid(
    run: Any, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = ("--surrogate", "polynomial", "--seeds", "1", "--budget", "11", "--oracle", "runge")
    status, _, err = run(*given, *arguments)
    assert status == 2
    assert message in err
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_baseline_may_have_settings(run: Any, tmp_path: Path) -> None:
    typed = ("topk(n_candidates=50)", "topk( n_candidates = 50 )")
    strategies = [word for text in (*typed, "topk", "topk()") for word in ("--strategy", text)]
    status, out, _ = run(
        *("--oracle", "runge", *strategies, "--baseline", typed[1], "--seeds", "1", *FAST)
    )
    assert status == 0
    assert len(list(tmp_path.rglob("seed-*.jsonl"))) == 4  # random, sobol, topk with and without
    assert "error / topk(n_candidates=50)'s" in out
    status, _, _ = run("--from", str(tmp_path), "--baseline", typed[1])
    assert status == 0


def test_fewer_seeds_are_compared_than_are_there(run: Any, tmp_path: Path) -> None:
    assert run("--oracle", "runge", "--seeds", "2", *FAST)[0] == 0
    assert run("--oracle", "runge", "--seeds", "1", *FAST)[0] == 0
    with (tmp_path / "comparison" / "by-oracle.csv").open() as file:
        assert {row["seeds"] for row in csv.DictReader(file)} == {"1"}


def test_a_strategy_that_raises_fails_alone(run: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    wrong = f"{tmp_path / 'wrong.py'}:Wrong"
    status, out, err = run("--oracle", "runge", "--strategy", wrong, "--seeds", "2", *FAST)
    assert status == 1
    assert "ZeroDivisionError: no" in err
    assert "polynomial-sobol" in out
    assert "stopped early with seed 0, 1" in err


@pytest.mark.skipif(shutil.which("ffmpeg") is not None, reason="ffmpeg is installed")
def test_a_film_without_ffmpeg_is_refused_before_anything_is_paid(run: Any, tmp_path: Path) -> None:
    status, _, err = run("--oracle", "runge", "--seeds", "1", *FAST, "--animate", "mp4")
    assert (status, list(tmp_path.rglob("*.jsonl"))) == (2, [])
    assert "needs ffmpeg" in err


def test_the_quick_comparison_is_whole(run: Any, tmp_path: Path) -> None:
    status, out, _ = run("--quick", "--workers", "1")
    assert status == 0
    assert "polynomial-sobol" in out
    assert (tmp_path / "comparison" / "points-peak.png").is_file()


def test_help_teaches(run: Any) -> None:
    _, out, _ = run("--help")
    assert "--from results --from colleague/results" in out


def test_the_baseline_has_the_same_surrogate() -> None:
    rivals = ["mlp-random", "auto-random", "auto-topk", "gp-topk"]
    assert baseline_of("auto-topk", rivals, ["random"]) == "auto-random"
    assert baseline_of("gp-topk", rivals, ["other", "random"]) == "mlp-random"
    assert baseline_of("gp-topk", rivals, ["sobol"]) is None


def test_tables_are_escaped_for_where_they_go() -> None:
    table = Table.of(["a|b", "c_d"], [["50 %", "1,5 & x<y"]])
    assert table.markdown().splitlines()[0] == r"| a\|b | c_d |"
    assert table.csv() == 'a|b,c_d\n50 %,"1,5 & x<y"\n'
    assert r"50 \% & 1,5 \& x\textless{}y \\" in table.latex()
    with pytest.raises(ValueError, match="2 headings, and a row of 1"):
        Table.of(["a", "b"], [["c"]])
