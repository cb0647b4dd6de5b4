"""What fits of the automatic surrogate take: functions, clocks, a circuit, tables."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import final

import pytest
import torch
from torch import Generator, Tensor

from adaptsample import Dataset
from adaptsample.core import Points, Values, derive_generator
from adaptsample.surrogates.auto import Auto, Member
from adaptsample.surrogates.polynomial import Polynomial
from benchmarks.harness.jobs import Cell, Job
from benchmarks.speed import clipper
from benchmarks.speed.auto import CHECKOUT, main, measure
from benchmarks.speed.auto_cases import cases, errors, function, members, suite, winners
from benchmarks.speed.auto_netlist import measure_run
from benchmarks.speed.auto_tables import cases_table, ratios, seconds, suite_table, verdict

# functions


def test_the_suite_has_all_dimensions_lowest_first_and_no_function_of_many_outputs() -> None:
    dimensions = suite()
    assert len(dimensions) > 70
    assert list(dimensions.values()) == sorted(dimensions.values())
    assert (dimensions["Franke1"], dimensions["Welch20D"], dimensions["Ackley"]) == (2, 20, 2)
    assert "CoffeeCup" not in dimensions


def test_what_is_measured_each_time_is_finite_from_2_to_20_dimensions() -> None:
    dimensions = set()
    for name, n in cases().items():
        where = function(name)
        x = where.domain.sobol(256, generator=derive_generator(0, "initial"))
        assert bool(torch.isfinite(where.values(x)).all()), name
        assert n == (60 if name == "Franke1" or name.islower() else 10 * where.domain.dimension)
        dimensions.add(where.domain.dimension)
    assert {2, 3, 6, 7, 8, 10, 20} <= dimensions


def test_tails_of_an_input_are_cut_off_at_one_percent() -> None:
    radius, _, transmissivity, *_ = function("Borehole").domain.bounds
    assert radius == pytest.approx(
        [NormalDist(0.10, 0.0161812).inv_cdf(q) for q in (0.01, 0.99)], rel=1e-9
    )
    assert transmissivity == (63070.0, 115600.0)


def test_errors_are_told_in_spreads_and_those_of_a_constant_as_they_are() -> None:
    exact = torch.tensor([[0.0, 5.0], [2.0, 5.0]], dtype=torch.float64)
    predicted = torch.tensor([[1.0, 5.5], [1.0, 5.5]], dtype=torch.float64)
    nrmse, mae = errors(predicted, exact)
    assert nrmse == pytest.approx([1 / 2**0.5, 0.5])
    assert mae == pytest.approx([1.0, 0.5])


# fits


@final
@dataclass(frozen=True)
class Mean:
    """A recipe whose models cannot tell how well they do: others find out by folds."""

    def fit(self, data: Dataset, *, generator: Generator, start: object = None) -> "MeanModel":
        del generator, start
        return MeanModel(data.y.mean(dim=0))


@final
@dataclass(frozen=True, eq=False)
class MeanModel:
    mean: Tensor

    def predict(self, x: Points) -> Values:
        return self.mean.expand(len(x), -1)


def test_timed_members_choose_what_they_choose_untimed_and_account_for_their_fits() -> None:
    auto = Auto(
        members=(Member("polynomial", Polynomial()), Member("mean", Mean())),
        transforms=("identity",),
    )
    where = function("sine_edge")
    x = where.domain.sobol(30, generator=derive_generator(0, "initial"))
    data = Dataset(x, where.values(x))
    told = members(data, 0, auto)
    assert told["won"] == winners(auto.fit(data, generator=derive_generator(0, "fit")))
    polynomial, mean = (told["members"][member.name] for member in auto.members)
    assert polynomial["fits"] == [1, 0]
    assert mean["fits"][0] == 1
    assert mean["fits"][1] > 1
    assert 0 < sum(polynomial["cpu"]) + sum(mean["cpu"]) < told["cpu"]


def test_a_fit_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    told = measure(Job("SaltelliLinear", "fit here", 20, 0), [CHECKOUT], tmp_path)
    assert (told["dimension"], told["won"]) == (2, ["polynomial, identity"])
    assert told["nrmse"] < 1e-12
    assert told["cpu"] > 0


def test_measurements_that_are_there_are_kept_and_stand_on_a_page(tmp_path: Path) -> None:
    out = tmp_path / "suite.json"
    kept = asdict(Job("SaltelliLinear", "fit here", 20, 0))
    kept |= {"dimension": 2, "cpu": 7.0, "nrmse": 1e-16, "mae": 1e-16, "library": "abc"}
    out.write_text(json.dumps([kept]))
    only = ["--only", "SaltelliLinear", "--compare", str(out), "--out", str(out)]
    main(["--suite", "--quick", "--resume", *only])
    assert json.loads(out.read_text()) == [kept]
    page = out.with_suffix(".md").read_text()
    assert "benchmarks.speed.auto --suite --quick --compare JSON\n" in page
    assert "| SaltelliLinear | 2 | 20 | 7.00 | 1.0e-16 | 7.00 | 1.0e-16 | 1.00 |" in page


def test_the_library_that_is_measured_is_that_of_the_checkout(tmp_path: Path) -> None:
    other = tmp_path / "adaptsample"
    other.mkdir()
    (other / "__init__.py").write_text("raise RuntimeError('the other one')")
    job = Job("SaltelliLinear", "fit there", 20, 0)
    with pytest.raises(RuntimeError, match="the other one"):
        measure(job, [CHECKOUT, tmp_path], tmp_path)


# the circuit

NGSPICE = """\
#!{python}
import re, sys
text = open(sys.argv[2]).read()
amp, r, c, n = (float(re.search(p, text)[1]) for p in PATTERNS)
print("Note: vmax and vrms follow")
print(f"vmax                =  {{amp + n!r}} at=  1.2e-03")
print(f"vrms                =  {{r / 1000 - 1e6 * c!r}} from=  1.0e-03 to=  3.0e-03")
"""
PATTERNS = (r"SIN\(0 (\S+) 1k\)", r"R1 in out (\S+)", r"C1 out 0 (\S+)", r"N=(\S+)\)")


@pytest.fixture
def ngspice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that answers as ngspice does, with values that are linear in the parameters."""
    program = tmp_path / "bin" / "ngspice"
    program.parent.mkdir()
    text = NGSPICE.format(python=sys.executable).replace("PATTERNS", repr(PATTERNS))
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


PARAMETERS = {"AMP": 1.5, "R": 1000.0, "C": 1e-7, "N": 1.25}


def test_a_circuit_is_simulated_once(ngspice: Path, tmp_path: Path) -> None:
    assert clipper.simulate(tmp_path, PARAMETERS) == "2.75 0.9"
    ngspice.unlink()
    assert clipper.simulate(tmp_path, PARAMETERS) == "2.75 0.9"
    kept = [path.name for path in tmp_path.iterdir() if path.is_file()]
    assert len(kept) == 1


def test_a_simulation_without_values_is_an_error_and_is_not_kept(
    ngspice: Path, tmp_path: Path
) -> None:
    ngspice.write_text(f"#!{sys.executable}\nprint('vmax                =  failed')")
    with pytest.raises(RuntimeError, match="did not say"):
        clipper.simulate(tmp_path, PARAMETERS)
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


@pytest.mark.usefixtures("ngspice")
def test_a_run_on_the_circuit_has_errors_of_both_outputs(tmp_path: Path) -> None:
    told = measure_run(str(tmp_path / "kept"), budget=20, seed=0, n_fresh=4)
    assert told["dimension"] == 4
    assert told["won"] == ["polynomial, identity"] * 2
    assert max(told["nrmse_vmax"], told["nrmse_vrms"]) < 1e-9
    assert told["mae_vmax"] < 1e-9
    assert told["last_fit"]["members"]["polynomial"]["fits"][0] == 2
    assert len(list(Path(tmp_path, "kept").iterdir())) == 24


# tables


def cell(problem: str, method: str, seed: int, *, nrmse: float, cpu: float, d: int = 2) -> Cell:
    told = {"problem": problem, "method": method, "n": 10 * d, "seed": seed, "dimension": d}
    figures = {"nrmse": nrmse, "mae": nrmse, "cpu": cpu, "wall": cpu}
    return told | figures | {"won": ["polynomial, identity"], "library": method[-5:]}


@pytest.fixture
def after() -> list[Cell]:
    return [
        cell("a", "fit here", 0, nrmse=1e-16, cpu=1.0),
        cell("a", "fit here", 1, nrmse=2e-2, cpu=2.0),
        cell("b", "fit here", 0, nrmse=4e-2, cpu=9.0, d=20),
        cell("c", "fit here", 0, nrmse=4e-2, cpu=4.0),
    ]


@pytest.fixture
def before() -> list[Cell]:
    return [
        cell("a", "fit there", 0, nrmse=1e-13, cpu=5.0),
        cell("a", "fit there", 1, nrmse=1e-2, cpu=6.0),
        cell("b", "fit there", 0, nrmse=1e-2, cpu=90.0, d=20),
    ]


def test_errors_are_paired_and_what_is_exact_is_equal(
    after: list[Cell], before: list[Cell]
) -> None:
    assert ratios(after, before) == {"a": [1.0, 2.0], "b": [4.0]}
    text = verdict(after, before)
    assert "3 pairs of 2 functions: geometric mean 2.000;" in text
    assert "above 1.5 in the median over seeds: b (4.00)\n" in text
    assert verdict(after, []) == ""


def test_seconds_are_medians_up_to_ten_dimensions_and_above(after: list[Cell]) -> None:
    assert seconds(after) == "up to 10-D 2.00 s (3), above 9.00 s (1)"


def test_the_suite_stands_beside_another_file_or_another_checkout(
    after: list[Cell], before: list[Cell]
) -> None:
    row = "| b | 20 | 200 | 9.00 | 4.0e-02 | 90.00 | 1.0e-02 | 4.00 |"
    of_file = [one | {"method": "fit here"} for one in before]
    assert row in suite_table(after, before=of_file)
    assert row in suite_table([*after, *before])
    assert "| b | 20 | 200 | 9.00 | 4.0e-02 |\n" in suite_table(after)


def test_members_are_summed_and_the_dearest_are_told_first(after: list[Cell]) -> None:
    took = {
        "polynomial": {"fits": [4, 1], "cpu": [1.0, 0.5]},
        "jump": {"fits": [1, 0], "cpu": [2.0, 0.0]},
    }
    timed = {"members": took, "cpu": 5.0}
    fits = [cell(name, "members here", 0, nrmse=1.0, cpu=5.0) | timed for name in ("a", "c")]
    page = cases_table([*after, *fits])
    assert (
        "| a N=20 | here | 5.00 | 1.50 | jump 2.0, polynomial 1.5 | polynomial, identity |" in page
    )
    assert "| polynomial | 8 | 2.00 | 2 | 1.00 | 2 |" in page
    assert "| jump | 2 | 4.00 | 0 | 0.00 | 0 |" in page
    assert "diode" not in page


def test_a_run_has_a_row_for_each_library() -> None:
    fit = {"members": {}, "cpu": 3.0, "won": ["jump, identity", "polynomial, log"]}
    errors_of = {f"{e}_{name}": 0.5 for e in ("nrmse", "mae") for name in clipper.OUTPUTS}
    runs = [
        cell("clipper", f"run {side}", 0, nrmse=1.0, cpu=cpu) | errors_of | {"last_fit": fit}
        for side, cpu in (("here", 20.0), ("there", 400.0))
    ]
    page = cases_table(runs)
    for row in ("| here | 20 | 20.00 | 20.00 |", "| there | 20 | 400.00 | 400.00 |"):
        assert f"{row} 0.50 | 0.50 | 0.50 | 0.50 | 3.00 | polynomial, identity |" in page
    assert "## Single fits" not in page
