import json
from pathlib import Path

import pytest

from adaptsample import Box
from adaptsample.acquisition import (
    Bounded,
    DropLowest,
    Highest,
    LastLayer,
    Sketched,
    SoftmaxDraw,
    WorthIt,
)
from adaptsample.errors import UnknownNameError
from adaptsample.oracles import ExpressionOracle, FunctionOracle, NoisyOracle
from adaptsample.registry import (
    describe,
    label,
    make_strategy,
    make_surrogate,
    rebuild,
    snake_case,
    strategies,
    surrogates,
    upgraded,
)


def test_names_are_snake_case() -> None:
    assert [snake_case(n) for n in ("MaxStd", "Topk", "MLP", "HTTPServer", "IVR2")] == [
        "max_std",
        "topk",
        "mlp",
        "http_server",
        "ivr2",
    ]


def test_what_ships_is_found() -> None:
    assert {"random", "sobol", "latin_hypercube", "softmax", "swap", "topk", "gradient"} <= set(
        strategies()
    )
    assert "mlp" in surrogates()


def test_a_name_alone_has_the_defaults() -> None:
    topk = make_strategy("topk")
    assert topk == strategies()["topk"]()
    assert label(topk) == "topk"


def test_options_and_parts_are_read_from_text() -> None:
    strategy = make_strategy(
        "swap(n_candidates=7, selection=softmax_draw(0.5, absolute=True), "
        "retirement=drop_lowest('change', n=2))"
    )
    assert strategy.n_candidates == 7
    assert strategy.selection == SoftmaxDraw(quantile=0.5, absolute=True)
    assert strategy.retirement == DropLowest("change", n=2)
    assert make_strategy("topk(selection=highest())").selection == Highest()


def test_a_part_without_options_is_written_as_a_call_as_it_is_read() -> None:
    text = "topk(gradients=worth_it())"
    assert label(make_strategy(text)) == text
    assert make_strategy(label(make_strategy(text))) == make_strategy(text)


def test_a_label_names_what_differs_from_the_defaults() -> None:
    text = "topk(n_candidates=7, retirement=drop_lowest(signal='change'))"
    assert label(make_strategy(text)) == text
    assert make_strategy(label(make_strategy(text))) == make_strategy(text)


def test_description_is_plain_and_complete() -> None:
    described = describe(make_strategy("softmax"))
    assert described["name"] == "softmax"
    assert described["selection"]["name"] == "softmax_draw"
    assert described["selection"]["quantile"] == 0.7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("topq", "did you mean topk"),
        ("nothing_like_it_at_all", "known: "),
        ("topk(n_candidate=5)", "did you mean n_candidates"),
        ("topk(n_candidates=0)", "at least 1"),
        ("topk(retirement=drop_least())", "did you mean drop_lowest"),
        ("topk(n_candidates=five)", "needs quotes"),
        ("topk(1, 2, 3, 4, 5)", "options"),
        ("topk(*[1])", "no number"),
        ("topk.propose", "no strategy"),
        ("(lambda: 1)()", "no strategy"),
        ("", "no strategy"),
        ("topk(", "no strategy"),
        ("no/such/file.py:Mine", "no file"),
    ],
)
def test_wrong_text_gets_a_clear_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_strategy(text)


def test_an_unknown_surrogate_names_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="mlp"):
        make_surrogate("mpl")


MINE = """
from dataclasses import dataclass
from typing import Any, final
from adaptsample import State, Strategy
from adaptsample.acquisition import Proposal

@final
@dataclass(frozen=True)
class Centre(Strategy[Any]):
    shift: float = 0.0
    def propose(self, state, n, *, generator):
        return Proposal(state.domain.uniform(n, generator=generator))
"""


def test_a_strategy_in_a_file_is_found_by_path(tmp_path: Path) -> None:
    path = tmp_path / "my_own_strategies.py"
    path.write_text(MINE)
    assert type(make_strategy(f"{path}:Centre")).__name__ == "Centre"
    assert make_strategy(f"{path}:Centre(shift=0.5)").shift == 0.5
    with pytest.raises(UnknownNameError, match="Centre"):
        make_strategy(f"{path}:Center")


@pytest.mark.parametrize(
    "text",
    ["mlp(hidden=(3, 4), training=gradient_descent(steps=7))", "auto", "gaussian_process"],
)
def test_a_surrogate_is_made_again_from_its_description(text: str) -> None:
    recipe = make_surrogate(text)
    assert rebuild(json.loads(json.dumps(describe(recipe)))) == recipe


def test_an_oracle_is_made_again_from_its_description() -> None:
    oracle = NoisyOracle(ExpressionOracle("x + y", {"x": (0, 1), "y": (0, 2)}), y_noise=(0.0, 0.1))
    assert rebuild(json.loads(json.dumps(describe(oracle)))) == oracle


_SOFTMAX = {"name": "softmax_draw", "quantile": 0.7, "temperature": 1.0, "absolute": False}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"name": "sobol"}, "sobol"),
        ({"name": "latin_hypercube"}, "latin_hypercube"),
        (
            {
                "name": "topk",
                "n_candidates": 100,
                "selection": {"name": "highest"},
                "retirement": {"name": "keep_all"},
                "gradients": False,
            },
            "topk",
        ),
        (
            {
                "name": "softmax",
                "n_candidates": 50,
                "selection": _SOFTMAX,
                "retirement": {"name": "drop_lowest", "signal": "change", "n": 2},
                "gradients": True,
            },
            "softmax(50, retirement=drop_lowest('change', n=2), gradients=all_gradients())",
        ),
        (
            {
                "name": "gradient",
                "n_candidates": 1000,
                "selection": _SOFTMAX,
                "retirement": {"name": "drop_all"},
                "gradients": True,
            },
            "gradient(retirement=drop_all())",
        ),
        (
            {
                "name": "gradient",
                "n_candidates": 1000,
                "selection": _SOFTMAX,
                "retirement": {"name": "keep_all"},
                "gradients": False,
            },
            "gradient(gradients=no_gradients())",
        ),
    ],
)
def test_a_strategy_is_made_again_from_a_description_of_an_earlier_version(
    before: dict[str, object], now: str
) -> None:
    assert rebuild(upgraded(json.loads(json.dumps(before)))) == make_strategy(now)


@pytest.mark.parametrize("name", strategies())
def test_a_description_of_this_version_stays_as_it_is(name: str) -> None:
    strategy = make_strategy(f"{name}(filling=0.5, retirement=bounded(9), gradients=worth_it())")
    for described in (describe(strategy), describe(make_strategy(name))):
        assert upgraded(described) == described
        assert rebuild(json.loads(json.dumps(described))) in (strategy, make_strategy(name))


@pytest.mark.parametrize("other", [{"name": "of_nobody", "a": 1}, {"name": []}, {}, "sobol", None])
def test_what_is_no_registered_strategy_is_not_upgraded(other: object) -> None:
    assert upgraded(other) == other


def test_what_all_strategies_have_is_named_in_text_and_not_counted() -> None:
    text = "topk(7, filling=0.25, retirement=bounded(size=9), gradients=worth_it(noise=0.1))"
    strategy = make_strategy(text)
    assert (strategy.n_candidates, strategy.filling) == (7, 0.25)
    assert strategy.retirement == Bounded(9)
    assert strategy.gradients == WorthIt(noise=0.1)
    assert make_strategy(label(strategy)) == strategy
    sketched = make_strategy("max_det(features=sketched(last_layer(), n=64))")
    assert sketched.features == Sketched(LastLayer(), n=64)


@pytest.mark.parametrize(
    "description",
    [
        {"name": "popen"},
        {"name": "box", "names": ["x"]},
        describe(FunctionOracle(abs, Box({"x": (0, 1)}))),
        {"name": "topk", "n_candidates": 0},
    ],
)
def test_what_cannot_be_made_again_is_refused(description: object) -> None:
    with pytest.raises(ValueError, match=r"cannot be made|nothing registered|at least"):
        rebuild(description)
