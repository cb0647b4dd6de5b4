"""The page about runs: what it says, that no run file can break out of it, how it behaves."""

import json
import math
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from adaptsample.cli.main import main, make_parsers
from adaptsample.cli.run import experiment_of
from adaptsample.comparison.repeat import command_of
from adaptsample.comparison.report import report
from adaptsample.comparison.report.report import read_report
from adaptsample.core.files import encode
from adaptsample.experiments.experiment import Experiment
from adaptsample.record.run_file import read

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<script>{{data}}&lt;\u2028\u2029\ud800",
)


def _spec(**changes: Any) -> dict[str, Any]:
    every = {"filling": 0.0, "retirement": {"name": "keep_all"}}
    return {
        "kind": "spec",
        "format": 2,
        "oracle": {
            "name": "expression_oracle",
            "text": "x*y",
            "domain": {"name": "box", "names": ["x", "y"], "bounds": [[0.0, 1.0], [-1.0, 2.5]]},
        },
        "domain": {"x": [0.0, 1.0], "y": [-1.0, 2.5]},
        "surrogate": {"name": "polynomial", "max_share": 0.75, "max_degree": 60},
        "strategy": {"name": "sobol", **every, "gradients": {"name": "no_gradients"}},
        "seed": 0,
        "n_initial": 2,
        "batch_size": 2,
        "design": "sobol",
        "gradient_cost": 1.0,
        "retries": 0,
        "record_every": 1,
        "asynchronous": None,
        "timeout": None,
        "budget": 6.0,
        "versions": {"python": "3.11.7", "adaptsample": "0.1.0"},
        "commit": "0123abc",
        **changes,
    }


def _evaluation(i: int, **changes: Any) -> dict[str, Any]:
    x, y = i / 7, (i * 0.3) % 3.5 - 1
    return {
        "kind": "evaluation",
        "number": i + 1,
        "round": i // 2,
        "x": [x, y],
        "y": [x * y],
        "gradient": None,
        "status": "ok",
        "message": "",
        "seconds": 0.1,
        "price": 1.0,
        "attempt": 1,
        "asked": i + 1,
        **changes,
    }


def _round(number: int, error: float, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "round",
        "round": number,
        "n_evaluations": 2 * number + 2,
        "errors": {"mae": error, "rmse": 2 * error, "max": 10 * error},
        "training_set": 2 * number + 2,
        "dropped": 0,
        "fresh_mae": None,
        "choice": None,
        "seconds": 1.25 * number,
        **changes,
    }


END = {
    "kind": "end",
    "status": "done",
    "budget": 6.0,
    "tolerance": None,
    "n_evaluations": 6,
    "errors": {},
    "seconds": {"total": 2.5},
}


def _write(path: Path, *records: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(encode, records)))
    return path


def _run(folder: Path, seed: int = 0, errors: tuple[float, ...] = (1.0, 0.1, 0.01)) -> Path:
    evaluations = [_evaluation(i) for i in range(2 * len(errors))]
    rounds = [_round(i, error) for i, error in enumerate(errors)]
    path = folder / f"seed-{seed:03d}.jsonl"
    return _write(path, _spec(seed=seed), *evaluations, *rounds, END)


def _hostile(root: Path) -> Path:
    """Write a run whose every text is an attack, as far as a file's name allows."""
    tag = HOSTILE[0]
    failed = {"y": None, "status": "failed"}
    return _write(
        root / HOSTILE[1] / "<b>bold<!--" / "seed-007.jsonl",
        _spec(
            seed=7,
            oracle={"name": tag, "text": HOSTILE[1]},
            domain={tag: [0.0, 1.0], HOSTILE[1]: [-1.0, 2.5]},
            versions={tag: HOSTILE[2]},
            commit=tag,
        ),
        *[_evaluation(i, **failed, message=text) for i, text in enumerate(HOSTILE)],
        _evaluation(3),
        _round(0, 0.5),
        {**END, "status": "<i>x</i>" + tag[:20]},
    )


def _embedded(page: str) -> dict[str, Any]:
    """Return the data as a browser finds it: up to the first end of a script."""
    after = page.partition('<script type="application/json" id="data">')[2]
    data: dict[str, Any] = json.loads(after.partition("</script")[0])
    return data


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `adaptsample report`; return (status, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main(["report", *map(str, arguments)])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


def test_numbers_on_the_page_are_those_of_the_run_file(tmp_path: Path) -> None:
    path = _run(tmp_path / "xy" / "polynomial-sobol", errors=(1 / 3, 2e-5 / 7, 1.5))
    recorded = read(path)
    data = _embedded(read_report([tmp_path]).to_html())
    (run,) = data["runs"]
    assert run["errors"] == pytest.approx(list(recorded.rounds[-1]["errors"].values()), rel=5e-6)
    assert (run["n_evaluations"], run["seconds"], run["seed"]) == (6, 2.5, 0)
    assert (run["status"], run["path"]) == ("done", str(path))
    for j in range(2):
        expected = [e["x"][j] for e in recorded.evaluations]
        assert run["x"][j] == pytest.approx(expected, rel=5e-6, abs=0)
    assert run["y"][0] == pytest.approx([e["y"][0] for e in recorded.evaluations], rel=5e-6)
    assert run["round"] == [0, 0, 1, 1, 2, 2]
    assert run["bounds"] == [[0, 1], [-1, 2.5]]
    assert data["made"] == ["python 3.11.7, adaptsample 0.1.0; commit 0123abc"]


def test_points_keep_their_place_in_a_narrow_range(tmp_path: Path) -> None:
    spec = _spec(domain={"x": [1e6, 1e6 + 1], "y": [0.0, 1e9]})
    x = [1e6 + 1 / 3, 1e9 / 3]
    _write(tmp_path / "a" / "b" / "seed-000.jsonl", spec, _evaluation(0, x=x))
    (run,) = read_report([tmp_path]).data["runs"]
    assert run["x"][0][0] == pytest.approx(x[0], abs=1e-5)
    assert run["x"][1][0] == pytest.approx(x[1], abs=1e4)


def test_a_curve_is_the_geometric_mean_with_least_and_largest(tmp_path: Path) -> None:
    folder = tmp_path / "xy" / "polynomial-sobol"
    _run(folder, 0, (1.0, 0.1, 0.01))
    _run(folder, 1, (4.0, 0.4))
    (curve,) = read_report([tmp_path]).data["curves"]
    assert curve["n"] == [2, 4, 6]
    assert curve["seeds"] == [2, 2, 2]  # the second run was done, and keeps its error
    mean, low, high = curve["mae"]
    assert mean == pytest.approx([2.0, 0.2, math.sqrt(0.01 * 0.4)], rel=5e-6)
    assert low == [1, 0.1, 0.01]
    assert high == [4, 0.4, 0.4]


def test_an_unfinished_run_leaves_the_mean_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "xy" / "polynomial-sobol"
    _run(folder, 0)
    path = _run(folder, 1, (4.0, 0.4))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    data = read_report([tmp_path]).data
    assert data["curves"][0]["seeds"] == [2, 2, 1]
    assert data["runs"][1]["status"] == "unfinished, 4 paid"


def test_errors_of_zero_are_drawn_and_missing_ones_are_not(tmp_path: Path) -> None:
    _run(tmp_path / "a" / "b", errors=(1.0, 0.0))
    unknown = [_evaluation(0), _round(0, 1.0, errors={}), END]
    _write(tmp_path / "c" / "d" / "seed-000.jsonl", _spec(), *unknown)
    data = read_report([tmp_path]).data
    (curve,) = data["curves"]
    assert curve["mae"][0] == [1, 1e-16]
    assert data["runs"][0]["errors"] == [0, 0, 0]
    assert data["runs"][1]["errors"] == [None] * 3


def test_no_text_of_a_run_file_can_end_the_data_block(tmp_path: Path) -> None:
    _hostile(tmp_path)
    page = read_report([tmp_path]).to_html()
    page.encode()
    data = _embedded(page)
    block = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0]
    assert not set("<>&\u2028\u2029") & set(block)
    assert page.count("<script") == page.count("</script") == 2
    (run,) = data["runs"]
    assert run["names"] == list(HOSTILE[:2])
    assert [m.partition(": ")[2] for m in run["messages"][:2]] == list(HOSTILE[:2])
    assert data["oracles"] == [HOSTILE[1]]


def test_the_policy_allows_the_page_s_own_script_and_no_network(tmp_path: Path) -> None:
    _run(tmp_path / "a" / "b")
    page = read_report([tmp_path]).to_html()
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert re.findall(r"(?:src|href)=|url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page) == []


def test_damaged_and_foreign_files_are_named_and_the_rest_is_shown(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    good = _run(tmp_path / "a" / "b", 0)
    damaged = _run(tmp_path / "a" / "b", 1)
    lines = damaged.read_bytes().splitlines(keepends=True)
    damaged.write_bytes(b"".join([*lines[:2], lines[2].replace(b"ok", b"no"), *lines[3:]]))
    headless = _run(tmp_path / "a" / "b", 2)
    headless.write_bytes(b"".join(headless.read_bytes().splitlines(keepends=True)[1:]))
    noise = tmp_path / "a" / "b" / "seed-003.jsonl"
    noise.write_bytes(b"\xff<b>\n")
    foreign = _write(tmp_path / "a" / "b" / "seed-004.jsonl", _spec(domain=3), _evaluation(0))
    empty = _write(tmp_path / "a" / "b" / "seed-005.jsonl")
    (tmp_path / "a" / "b" / "seed-006.jsonl").mkdir()

    status, out, err = command(tmp_path)
    page = tmp_path / "report.html"
    assert status == 0
    assert out.startswith(f"{page} (")
    data = _embedded(page.read_text())
    assert [run["path"] for run in data["runs"]] == [str(good), str(damaged)]
    assert err.splitlines() == data["problems"]
    for path, text in (
        (damaged, "has damaged lines, which are left out: 3"),
        (headless, "its first line is damaged"),
        (noise, "no run file"),
        (foreign, "holds records that no run makes"),
        (empty, "no run file"),
        (tmp_path / "a" / "b" / "seed-006.jsonl", "cannot read"),
    ):
        assert any(str(path) in line and text in line for line in data["problems"])


def test_a_run_below_two_of_the_folders_is_shown_once(tmp_path: Path) -> None:
    _run(tmp_path / "a" / "b")
    assert len(read_report([tmp_path, tmp_path / "a"]).data["runs"]) == 1


def test_the_same_runs_from_two_folders_are_two_lines(tmp_path: Path) -> None:
    for folder in ("before", "after"):
        _run(tmp_path / folder / "a" / "b")
    data = read_report([tmp_path / "before", tmp_path / "after"]).data
    assert data["oracles"] == ["a"]
    assert data["rivals"] == [
        f"b ({tmp_path / folder / 'a' / 'b'})" for folder in ("after", "before")
    ]
    assert len(data["curves"]) == 2


def test_later_seeds_go_without_points_where_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_NUMBERS", 40)  # a run has 18
    for run in ("b", "c"):
        for seed in range(2):
            _run(tmp_path / "a" / run, seed)
    data = read_report([tmp_path]).data
    assert [run["x"] is None for run in data["runs"]] == [False, True, False, True]
    assert data["n_without_points"] == 2


def _experiment(words: list[str]) -> Experiment:
    return experiment_of(make_parsers()["run"].parse_args(words))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--strategy", "topk"],
        ["--oracle", "runge", "--strategy", "sobol", "--surrogate", "polynomial", "--seed", "3"],
        ["--strategy", "lcmd(filling=0.2, retirement=bounded(500))", "--surrogate", "mlp"],
        ["--strategy", "topk", "--preset", "source"],
        ["--expr=-x*y + 0.1", "--bound", "x=-1e-3:0.1", "--bound", "y=0:1", "--asynchronous"],
        ["--command", "python -c 'print(1)' {x}", "--bound", "x=0:1", "--output-file", "out file"],
        ["--command", "python -c 'print(1, 2)'", "--bound", "x=0:1", "--n-outputs", "2"],
        ["--timeout", "2.5", "--retries", "2", "--design", "uniform", "--record-every", "3"],
        ["--strategy", "max_det(gradients=worth_it())", "--surrogate", "mlp", "--n-initial=7"],
        ["--strategy", "gradient", "--gradient-cost", "0.5", "--batch-size", "4"],
    ],
)
def test_the_command_repeats_the_run(arguments: list[str], tmp_path: Path) -> None:
    first = _experiment([*arguments, "--tolerance", "1e-3"])
    spec = first.specification.to_record()
    end = {**END, "budget": first.budget, "tolerance": first.tolerance}
    path = _write(first.run_file(tmp_path), {**_spec(), **spec}, end)
    line = command_of(read(path))
    assert line is not None
    words = shlex.split(line)
    assert words[:2] == ["adaptsample", "run"]
    again = _experiment(words[2:])
    assert again.specification.difference(read(path).spec) == ""
    assert (again.budget, again.tolerance) == (first.budget, first.tolerance)


def test_a_specification_that_no_command_can_state_is_shown_itself(tmp_path: Path) -> None:
    oracle = {"name": "function_oracle", "function": "m.f"}
    path = tmp_path / "a" / "b" / "seed-000.jsonl"
    _write(path, _spec(oracle=oracle), _evaluation(0), _round(0, 1.0), END)
    (run,) = read_report([tmp_path]).data["runs"]
    assert run["command"] is None
    assert json.loads(run["spec"])["oracle"] == oracle


@pytest.mark.parametrize(
    "changes",
    [
        {"oracle": None},
        {"oracle": {"name": "command_oracle", "command": 3}},
        {"strategy": {"name": "nothing_of_that_name"}},
        {"surrogate": {"name": ["polynomial"]}},
        {"surrogate": 3},
        {"domain": {"x": [0.0, 1.0], " y": [0.0, 1.0]}},
        {"budget": "many"},
    ],
)
def test_a_strange_specification_has_no_command(changes: dict[str, Any], tmp_path: Path) -> None:
    path = _write(tmp_path / "a" / "b" / "seed-000.jsonl", _spec(**changes))
    assert command_of(read(path)) is None


def test_formulas_and_options_are_named_as_they_were_written(tmp_path: Path) -> None:
    words = ["--expr", "x*y", "--bound", "x=0:1", "--bound", "y=0:1"]
    words += ["--strategy", "lcmd(filling=0.2)", "--surrogate", "polynomial"]
    experiment = _experiment(words)
    spec = {**_spec(), **experiment.specification.to_record()}
    _write(experiment.run_file(tmp_path), spec, _evaluation(0), _round(0, 1.0), END)
    data = read_report([tmp_path]).data
    assert (data["oracles"], data["rivals"]) == (["x*y"], ["polynomial-lcmd(filling=0.2)"])


# ---- in a browser ------------------------------------------------------------------------------


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A headless Chromium that has no profile, and loads nothing by itself."""
    for program, package in ((CHROMIUM, "chromium"), (DRIVER, "chromium-driver")):
        if not program.exists():
            pytest.skip(f"there is no {program}: apt-get install {package}")
    monkeypatch.setenv("SE_OFFLINE", "true")  # the driver is given, none is to be downloaded
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
        *("disable-background-networking", "disable-component-update", "disable-sync"),
        f"user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


def _resize(browser: Any, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def _open(browser: Any, page: Path, width: int = 1200, height: int = 900) -> None:
    _resize(browser, width, height)
    browser.get(page.as_uri())


def _page(root: Path) -> Path:
    """Write a page of many kinds of runs."""
    for seed in range(3):
        _run(root / "xy" / "polynomial-sobol", seed, (1.0 + seed, 0.1, 0.01))
        _run(root / "xy" / "polynomial-topk", seed, (1.0 + seed, 0.2, 0.003))
    line = [_evaluation(i, x=[i / 5], y=[math.sin(i), math.cos(i)]) for i in range(6)]
    rounds = [_round(i, 10.0**-i) for i in range(3)]
    spec = _spec(domain={"x": [0.0, 1.0]})
    _write(root / "line" / "polynomial-sobol" / "seed-000.jsonl", spec, *line, *rounds, END)
    (root / "xy" / "polynomial-sobol" / "seed-009.jsonl").write_text("<b>no run file</b>\n")
    _hostile(root)
    page = root / "page.html"
    page.write_text(read_report([root]).to_html())
    return page


def _texts(browser: Any, selector: str) -> list[str]:
    found = browser.find_elements("css selector", selector)
    return [element.get_property("textContent") for element in found]


def _choose(browser: Any, control: str, text: str) -> None:
    Select(browser.find_element("id", control)).select_by_visible_text(text)


def test_the_page_works_in_a_browser(browser: Any, tmp_path: Path) -> None:
    _open(browser, _page(tmp_path))
    rows = "#runs tbody tr"
    assert len(_texts(browser, rows)) == 8

    # the table: filter, sort
    box = browser.find_element("id", "filter")
    box.send_keys("topk XY")
    assert len(_texts(browser, rows)) == 3
    assert _texts(browser, "#shown") == ["3 of 8 runs"]
    commands = _texts(browser, "#command-list pre")
    assert len(commands) == 3
    assert shlex.split(commands[0])[2:4] == ["--expr", "x*y"]
    box.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    mae = browser.find_element("css selector", "#runs thead th:nth-child(5) button")
    mae.click()
    assert _texts(browser, "#runs tbody td:nth-child(5)")[0] == "3.00e-3"
    mae.send_keys(Keys.ENTER)  # by the keyboard, and the other way round
    assert _texts(browser, "#runs tbody td:nth-child(5)")[0] == "5.00e-1"
    header = browser.find_element("css selector", "#runs thead th:nth-child(5)")
    assert header.get_attribute("aria-sort") == "descending"

    # the curves: what is told, what is hidden
    _choose(browser, "curve-oracle", "xy")
    lines = "#curve-chart .line"
    assert len(_texts(browser, lines)) == 2
    legend = browser.find_elements("css selector", "#legend button")
    legend[0].click()
    assert legend[0].get_attribute("aria-pressed") == "false"
    assert len(_texts(browser, lines)) == 1
    dots = browser.find_elements("css selector", "#curve-chart .dot")
    browser.execute_script("document.getElementById('curves').scrollIntoView()")
    ActionChains(browser).move_to_element(dots[0]).perform()
    tip = "polynomial-topk\n2 evaluations, 3 seeds\nMAE 1.82e+0\nfrom 1.00e+0 to 3.00e+0"
    assert _texts(browser, "#curve-chart .tip") == [tip]
    browser.find_element("css selector", "#curve-chart svg").send_keys(Keys.ARROW_RIGHT)
    assert "4 evaluations" in _texts(browser, "#curve-chart .tip")[0]
    _choose(browser, "curve-measure", "largest (max)")
    assert "largest error" in _texts(browser, "#curve-chart text.label")[1]

    # the points: rounds, coordinates
    _choose(browser, "point-run", "xy · polynomial-sobol · seed 1")
    drawn = "return document.querySelector('#point-chart .rim').getAttribute('d').split('M').length"
    assert browser.execute_script(drawn) - 1 == 6
    slider = browser.find_element("id", "round")
    slider.send_keys(Keys.ARROW_LEFT)
    assert browser.execute_script(drawn) - 1 == 4
    assert _texts(browser, "#round-shown") == ["1 of 2 (4 evaluations)"]
    _choose(browser, "point-run", "line · polynomial-sobol · seed 0")
    assert _texts(browser, "#point-chart text.label") == ["x", "value 1"]
    assert browser.get_screenshot_as_png().startswith(b"\x89PNG")
    assert browser.get_log("browser") == []


def test_hostile_text_stays_text_in_a_browser(browser: Any, tmp_path: Path) -> None:
    page = _page(tmp_path)
    for path in tmp_path.glob("*/*/seed-*.jsonl"):
        if path.name != "seed-007.jsonl":
            path.unlink()
    page.write_text(read_report([tmp_path]).to_html())
    _open(browser, page)
    with pytest.raises(NoAlertPresentException):
        browser.switch_to.alert  # noqa: B018  # looking is what raises
    assert (
        browser.find_elements("css selector", "img, b, i, script:not([id]):not(:last-of-type)")
        == []
    )
    failures = _texts(browser, "#failures li")
    assert failures[:2] == [f"1 × failed: {text}" for text in HOSTILE[:2]]
    assert _texts(browser, "#point-chart text.label") == list(HOSTILE[:2])
    assert browser.get_log("browser") == []


def test_nothing_overflows_on_a_phone(browser: Any, tmp_path: Path) -> None:
    page = _page(tmp_path)
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        _open(browser, page, 360, 740)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        _choose(browser, "point-run", "xy · polynomial-topk · seed 2")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        colour = "return getComputedStyle(document.body).backgroundColor"
        dark = browser.execute_script(colour) == "rgb(21, 24, 28)"
        assert dark == (scheme == "dark")
    unlabelled = """return [...document.querySelectorAll('input, select, button, svg[tabindex]')]
        .filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel))
        .map((e) => e.outerHTML)"""
    assert browser.execute_script(unlabelled) == []
    assert browser.get_log("browser") == []
