"""`adaptsample report`, as it is called; what the page holds is tested beside it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adaptsample.cli.main import main

FAST = ("--strategy", "random", "--surrogate", "polynomial", "--budget", "12")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command; return (status, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main(["report", *map(str, arguments)])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


def test_a_page_is_written_beside_the_runs_or_where_it_is_wanted(
    report: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--oracle", "sin", *FAST, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    status, out, err = report(tmp_path)
    assert (status, err) == (0, "")
    assert out.startswith(f"{tmp_path / 'report.html'} (")
    assert "1 runs)" in out
    assert "adaptsample run --oracle sin" in (tmp_path / "report.html").read_text()
    assert report(tmp_path / "sin", "--out", tmp_path / "sin.html")[0] == 0
    assert (tmp_path / "sin.html").read_text().startswith("<!doctype html>")


def test_wrong_use_says_what_to_do(report: Command, tmp_path: Path) -> None:
    status, out, err = report(tmp_path)
    assert (status, out) == (2, "")
    assert f"no run file (seed-*.jsonl) below {tmp_path}; `adaptsample run` makes some" in err
    status, _, err = report(tmp_path / "nowhere")
    assert status == 2
    assert "is no folder" in err


def test_a_page_that_cannot_be_written_is_told(report: Command, tmp_path: Path) -> None:
    assert main(["run", "--oracle", "sin", *FAST, "--out", str(tmp_path)]) == 0
    status, _, err = report(tmp_path, "--out", tmp_path / "no" / "page.html")
    assert status == 2
    assert f"cannot write {tmp_path / 'no' / 'page.html'}" in err
