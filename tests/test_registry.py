import json
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from adaptsample import Box, registry
from adaptsample.acquisition import (
    Bounded,
    DropLowest,
    Highest,
    LastLayer,
    Sketched,
    SoftmaxDraw,
    WorthIt,
)
from adaptsample.core.text import snake_case
from adaptsample.errors import PluginWarning, UnknownNameError
from adaptsample.oracles import ExpressionOracle, FunctionOracle, NoisyOracle
from adaptsample.registry import (
    describe,
    label,
    make_strategy,
    make_surrogate,
    rebuild,
    strategies,
    surrogates,
    upgraded,
)
from adaptsample.surrogates.auto import Auto


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
    assert [*surrogates()] == [
        "auto",
        "committee",
        "crease",
        "early_stopped",
        "formula",
        "gaussian_process",
        "jump",
        "mlp",
        "polynomial",
    ]


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
        ("no_such_package.own:Mine", "'no_such_package.own' cannot be imported"),
        ("adaptsample.strategies.topk:Topq", "did you mean Topk"),
        ("adaptsample.strategies.topk:Topk(n_candidates=0)", "at least 1"),
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


def test_a_file_that_breaks_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_package")
    with pytest.raises(ValueError, match=r"broken\.py' cannot be imported.*no_such_package"):
        make_strategy(f"{tmp_path}/broken.py:Mine")


CENTRE = MINE.replace("Centre", "{}")
FITS = """
from dataclasses import dataclass
from typing import final

@final
@dataclass(frozen=True)
class {}:
    def fit(self, data, *, generator, start=None):
        return start
"""
Installs = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installs]:
    """Return what installs a distribution of somebody's, until the test ends."""
    before = {*sys.modules}

    def install(
        entry: str, files: dict[str, str], group: str = "strategies", name: str = "theirs"
    ) -> None:
        folder = tmp_path / name
        meta = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.2\n",
            "entry_points.txt": f"[adaptsample.{group}]\nown = {entry}\n",
        }
        for place, text in {
            **files,
            **{f"{name}-3.2.dist-info/{k}": v for k, v in meta.items()},
        }.items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.syspath_prepend(folder)
        registry._registered.cache_clear()

    yield install
    registry._registered.cache_clear()
    for module in {*sys.modules} - before:
        del sys.modules[module]


@pytest.mark.parametrize(
    ("entry", "text", "reason"),
    [
        ("pack", "raise RuntimeError('bad day')", "RuntimeError: bad day"),
        ("pack", "raise SystemExit(3)", "SystemExit: 3"),
        ("pack", "def", "SyntaxError"),
        ("pack", "import no_such_package", "No module named 'no_such_package'"),
        ("pack.no_such_module", "", "No module named 'pack.no_such_module'"),
        ("pack:Missing", "", "no attribute 'Missing'"),
        ("a-b c", "", "a-b c"),
        ("pack", "x = 1", "pack has no final dataclass that is a Strategy"),
        ("pack:x", "x = 1", "pack:x has no final dataclass that is a Strategy"),
        ("pack", "from adaptsample.strategies.topk import Topk", "pack has no final dataclass"),
    ],
)
def test_a_broken_plugin_is_one_warning_and_stops_nobody(
    install: Installs, entry: str, text: str, reason: str
) -> None:
    shipped = {*strategies()}
    install(entry, {"pack/__init__.py": text})
    with pytest.warns(PluginWarning) as caught:
        assert make_strategy("topk") == strategies()["topk"]()
    (warning,) = caught
    assert str(warning.message).startswith("plug-in 'own' of theirs 3.2: ")
    assert reason in str(warning.message)
    assert {*strategies()} == shipped


def test_a_broken_module_leaves_the_rest_of_its_package(install: Installs) -> None:
    files = {"__init__": "", "a": "1 / 0", "b": CENTRE.format("Fine"), "_c": "1 / 0"}
    install("pack", {f"pack/{name}.py": text for name, text in files.items()})
    with pytest.warns(PluginWarning, match=r"3\.2: pack\.a cannot .*division by zero\)$"):
        assert type(make_strategy("fine(shift=0.5)")).__module__ == "pack.b"


LAZY = """
__all__ = ["Mine"]
def __getattr__(name):
    if name != "Mine":
        raise AttributeError(name)
    from pack._own import Mine
    return Mine
"""


@pytest.mark.parametrize(
    ("entry", "place", "handed_on"),
    [
        ("pack", "pack/_own.py", {"pack/__init__.py": "from ._own import Mine"}),
        ("pack", "core_pack.py", {"pack/__init__.py": "from core_pack import Mine"}),
        ("pack", "pack/_own.py", {"pack/__init__.py": LAZY}),
        ("pack.open", "pack/a/_own.py", {"pack/open.py": "from pack.a._own import Mine"}),
        ("pack", "pack/deep/a.py", {"pack/__init__.py": "", "pack/deep/__init__.py": ""}),
        ("alone", "alone.py", {}),
        ("alone:Mine", "alone.py", {}),
    ],
)
def test_what_a_plugin_hands_on_is_found(
    install: Installs, entry: str, place: str, handed_on: dict[str, str]
) -> None:
    install(entry, {place: CENTRE.format("Mine"), **handed_on})
    assert strategies()["mine"].__name__ == "Mine"


def test_an_entry_point_of_one_class_offers_no_other(install: Installs) -> None:
    install("alone:Mine", {"alone.py": CENTRE.format("Mine") + CENTRE.format("Other")})
    assert "mine" in strategies()
    assert "other" not in strategies()


def test_what_a_plugin_only_uses_is_not_offered(install: Installs) -> None:
    pytest.importorskip("sklearn")
    imports = "from adaptsample.sklearn import SklearnRegressor\nfrom ._used import Used\n"
    files = {"__init__": "", "own": imports + FITS.format("Mine"), "_used": FITS.format("Used")}
    install("pack", {f"pack/{name}.py": text for name, text in files.items()}, "surrogates")
    assert "mine" in surrogates()
    assert not {"sklearn_regressor", "used"} & {*surrogates()}


def test_a_name_that_is_taken_stays_with_who_came_first(install: Installs) -> None:
    ours = strategies()["topk"]
    text = CENTRE.format("Topk") + CENTRE.format("Mine")
    install("pack", {"pack/__init__.py": text})
    both = r"pack\.Topk has the name of adaptsample\.strategies\.topk\.Topk, which stays"
    with pytest.warns(PluginWarning, match=both):
        assert strategies()["topk"] is ours
    assert "mine" in strategies()
    install("another", {"another.py": CENTRE.format("Mine")}, name="zeta")
    with pytest.warns(PluginWarning) as caught:
        assert strategies()["mine"].__module__ == "pack"
    assert [str(w.message).split(":")[0] for w in caught] == [
        "plug-in 'own' of theirs 3.2",
        "plug-in 'own' of zeta 3.2",
    ]


def test_a_class_in_an_importable_module_is_found_by_its_place(install: Installs) -> None:
    files = {"pack/__init__.py": "from .own import Mine", "pack/own.py": CENTRE.format("Mine")}
    install("pack", files)
    for place in ("pack", "pack.own"):
        strategy = make_strategy(f" {place}:Mine(0.5, filling=0.25)")
        assert (type(strategy).__module__, strategy.shift, strategy.filling) == (
            "pack.own",
            0.5,
            0.25,
        )
    with pytest.raises(UnknownNameError, match=r"class of pack\.own 'Mina'; did you mean Mine"):
        make_strategy("pack.own:Mina")
    with pytest.raises(ValueError, match=r"no surrogate|final surrogate class"):
        make_surrogate("pack.own:Mine")


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


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (
            {"name": "crease", "kind": "max", "n_starts": 80, "n_climbs": 3, "seconds": 20.0},
            "crease(kind='max')",
        ),
        ({"name": "jump", "max_share": 0.5, "seconds": 10.0}, "jump(max_share=0.5)"),
        (
            {
                "name": "mlp",
                "hidden": [5],
                "training": {"name": "levenberg_marquardt", "starts": 2, "seconds": None},
            },
            "mlp(hidden=(5,), training=levenberg_marquardt(starts=2))",
        ),
        (
            {
                "name": "auto",
                "members": [{"name": member.name} for member in reversed(Auto().members)],
                "transforms": ["identity", "log"],
                "seconds": 60.0,
            },
            "auto(transforms=('identity', 'log'))",
        ),
    ],
)
def test_a_surrogate_that_was_limited_in_seconds_is_made_again_without(
    before: dict[str, object], now: str
) -> None:
    options = {**describe(make_surrogate(now)), **before}
    assert rebuild(upgraded(json.loads(json.dumps(options)))) == make_surrogate(now)


def before_early_networks() -> list[dict[str, object]]:
    members = describe(Auto())["members"]
    return [
        {key: value for key, value in member.items() if key != "scout"}
        for member in members
        if member["name"] != "early_networks"
    ]


def test_the_default_portfolio_of_an_earlier_version_is_the_one_of_today() -> None:
    earlier = {**describe(Auto()), "members": before_early_networks()}
    assert rebuild(upgraded(json.loads(json.dumps(earlier)))) == Auto()


def test_an_earlier_portfolio_that_differs_in_settings_alone_is_known_by_its_digest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members: Any = json.loads(json.dumps(describe(Auto())))["members"]
    members[3]["draft"]["operations"] = 1.0
    earlier = {**describe(Auto()), "members": members}
    assert upgraded(earlier)["members"] == members  # someone's own
    digest = sha256(json.dumps(members, sort_keys=True).encode()).hexdigest()
    monkeypatch.setattr(registry, "_EARLIER_PORTFOLIOS", {digest})
    assert rebuild(upgraded(earlier)) == Auto()


@pytest.mark.parametrize(
    "members",
    [
        before_early_networks()[:-1],
        [*before_early_networks(), {"name": "mine"}],
        [{**member, "level": 2} for member in describe(Auto())["members"]],
        [],
        ["polynomial"],
        [{"name": []}],
        None,
    ],
)
def test_a_portfolio_of_someone_s_own_is_not_taken_for_the_default(members: object) -> None:
    described = {**describe(Auto()), "members": members}
    assert upgraded(described) == described


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
