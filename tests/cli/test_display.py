"""What a terminal shows of a run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adaptsample.cli.display import print_choice, print_summary


def score(name: str) -> dict[str, Any]:
    return {"name": name, "transform": "identity", "error": 0.1, "n_parameters": 3}


LEFT_OUT = [
    {"name": "network", "transform": "", "reason": "the others are good enough"},
    {"name": "crease_abs", "transform": "log", "reason": "no longer fit"},
]


def of_round(n: int, *tried: str, n_searched: int) -> dict[str, Any]:
    choice = {"tried": [[score(name) for name in tried]], "left_out": [LEFT_OUT]}
    return {"n_evaluations": n, "training_set": n, "choice": choice | {"n_searched": [n_searched]}}


def recorded(*rounds: dict[str, Any]) -> Any:
    return SimpleNamespace(path=Path("a/b/c.jsonl"), rounds=rounds, end=None)


def summary(*, evaluate: float, fit: float) -> dict[str, Any]:
    names = dict.fromkeys(("oracle", "surrogate", "strategy"), "name")
    seconds = {"evaluate": evaluate, "fit": fit}
    return {
        **names,
        "seed": 0,
        "n_evaluations": 9,
        "errors": {},
        "seconds": seconds,
        "run_file": "r",
    }


@pytest.mark.parametrize(("evaluate", "is_advised"), [(99.0, False), (101.0, True)])
def test_a_thorough_search_is_advised_where_evaluations_take_far_longer_than_fits(
    evaluate: float, is_advised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run = recorded(of_round(20, "polynomial", n_searched=20))
    print_summary(summary(evaluate=evaluate, fit=10.0), run, Path("p.png"))
    out = capsys.readouterr().out
    assert ("left out        2 fits" in out) == is_advised
    assert ("auto(effort='thorough')" in out) == is_advised


def test_nothing_is_advised_where_nothing_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(summary(evaluate=1e3, fit=1.0), recorded(), Path("p.png"))
    assert "left out" not in capsys.readouterr().out


def test_the_last_search_is_shown_with_what_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Not the last round, in which little was tried."""
    whole = of_round(20, "polynomial", "jump", n_searched=20)
    after = of_round(30, "polynomial", "gaussian_process", n_searched=20)
    print_choice(recorded(whole, after))
    err = capsys.readouterr().err
    assert "last search, after 20 evaluations" in err
    assert "jump" in err
    assert "gaussian_process" not in err
    assert "the others are good enough" in err
