import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from adaptsample import Box, Dataset, Sampler
from adaptsample.core.pool import is_among, nearest_rows
from adaptsample.oracles import Finite, SupportsExact, TableOracle
from adaptsample.registry import describe, strategies
from adaptsample.testing.fakes import FormulaModel
from benchmarks.reliability.referee import Plane

CSV = """\
age,bmi,smoker,charges,note
20,25.5,no,1000,a
30,31,yes,4000.25,"b, with a comma"
-40,22,no,2000,c
50,0.1,no,3000,d
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "data.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def _read(path: Path, **options: Any) -> TableOracle:
    settings: dict[str, Any] = {"inputs": ["age", "bmi"], "outputs": ["charges"], **options}
    return TableOracle.from_csv(path, **settings)


def _rows(n: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    x = np.random.default_rng(seed).random((n, 2)) ** 2
    return {"a": x[:, 0], "b": 100 * x[:, 1], "y": x[:, 0] + x[:, 1]}


def _table(n: int) -> TableOracle:
    return TableOracle(_rows(n), inputs=["a", "b"], outputs=["y"])


# ---- reading ------------------------------------------------------------------------------------


def test_rows_become_a_pool_with_their_values(write: Any) -> None:
    oracle = _read(write("\ufeff" + CSV + "\n\n"))
    assert isinstance(oracle, Finite)
    assert isinstance(oracle, SupportsExact)
    assert oracle.pool.tolist() == [[20, 25.5], [30, 31], [-40, 22], [50, 0.1]]
    assert oracle(oracle.pool).tolist() == [[1000], [4000.25], [2000], [3000]]
    assert oracle.domain == Box({"age": (-40, 50), "bmi": (0.1, 31)})


def test_several_outputs_and_any_order_of_columns(write: Any) -> None:
    oracle = _read(write(CSV), inputs=["bmi"], outputs=["charges", "age"])
    assert oracle(torch.tensor([[0.1]], dtype=torch.float64)).tolist() == [[3000, 50]]


@pytest.mark.parametrize(
    ("where", "ages"),
    [
        ({"smoker": "no"}, [20, -40, 50]),
        ({"smoker": " no "}, [20, -40, 50]),
        ({"smoker": "no", "flag": "1.0"}, [20, 50]),
        ({"flag": 1}, [20, 30, 50]),
        ({"note": "a, or b"}, [20, 30]),
    ],
)
def test_filters_keep_rows_with_these_values(write: Any, where: Any, ages: list[float]) -> None:
    text = """\
age,bmi,smoker,charges,flag,note
20,1,no,1,1,"a, or b"
30,2,yes,2,1.00,"a, or b"
-40,3,no,3,2,c
50,4,no,4,1e0,d
"""
    pool = _read(write(text), where=where).pool
    assert pool[:, 0].tolist() == ages


@pytest.mark.parametrize("cell", ["", "  ", "NA", "n/a", "NaN", "null", "None", "?"])
def test_missing_values_are_refused_by_row_and_column_or_skipped(write: Any, cell: str) -> None:
    path = write(CSV.replace("2000", cell))
    with pytest.raises(ValueError, match="row 3 has no value of 'charges'"):
        _read(path)
    oracle = _read(path, missing="skip")
    assert oracle.n_skipped == 1
    assert oracle.pool[:, 0].tolist() == [20, 30, 50]


def test_missing_values_in_rows_or_columns_that_are_not_used_do_not_matter(write: Any) -> None:
    oracle = _read(write(CSV.replace("4000.25", "")), where={"smoker": "no"})
    assert oracle.n_skipped == 0
    assert _read(write(CSV.replace(",c\n", ",\n"))).n_skipped == 0


def test_rows_with_equal_inputs_are_one_point_with_their_mean() -> None:
    oracle = TableOracle(
        {"x": [0.0, 1, -0.0, 0], "y": [1, 5, 2, 6], "z": [0.1] * 4},
        inputs=["x"],
        outputs=["y", "z"],
    )
    assert oracle.pool.tolist() == [[0], [1]]
    assert oracle(oracle.pool).tolist() == [[3, 0.1], [5, 0.1]]


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300),
        min_size=2,
        max_size=9,
        unique=True,
    )
)
def test_numbers_are_kept_to_the_bit(values: list[float]) -> None:
    oracle = TableOracle(
        {"x": map(repr, values), "y": [repr(2 * v) for v in values]}, inputs=["x"], outputs=["y"]
    )
    assert oracle.pool[:, 0].tolist() == values
    assert oracle(oracle.pool)[:, 0].tolist() == [2 * v for v in values]


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_clearly(tmp_path_factory: Any, noise: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.csv"
    path.write_bytes(b"age,bmi,charges\n" + noise)
    with pytest.raises(ValueError, match=r"noise\.csv"):
        _read(path)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (CSV, {"inputs": ["agee"]}, "no column 'agee'; is it one of age"),
        (CSV, {"where": {"smokes": "no"}}, "no column 'smokes'"),
        (CSV, {"where": {"smoker": "maybe"}}, "no row has smoker=maybe (smoker has no, yes)"),
        (CSV, {"inputs": []}, "input and output columns"),
        (CSV, {"inputs": "age"}, "input and output columns"),
        (CSV, {"inputs": ["age", "age"]}, "used twice"),
        (CSV, {"inputs": ["age", "charges"]}, "used twice"),
        (CSV, {"inputs": ["smoker"]}, "row 1 has 'no' as 'smoker', which is no number"),
        (CSV, {"missing": "guess"}, "missing must be"),
        (CSV.replace("bmi", "age"), {"inputs": ["age"]}, "2 columns are called 'age'"),
        (CSV.replace("4000.25", "inf"), {}, "row 2 has inf as 'charges', which is not finite"),
        (CSV.replace("4000.25", "4_000"), {}, "no number"),
        (CSV.replace("4000.25", "4000,25"), {}, "line 3 has 6 cells, the header has 5"),
        (CSV.replace(",a\n", "\n"), {}, "line 2 has 4 cells"),
        (CSV.replace(",", ";"), {}, "no column 'age'"),
        ("age,bmi,charges\n", {}, "there are no rows"),
        ("age,bmi,charges\n1,2,\n", {"missing": "skip"}, "no row is left: 1 have missing values"),
        ("", {}, "no column 'age'"),
        (b"\xff\xfe", {}, "not UTF-8"),
        (CSV.replace('comma"', "comma"), {}, "data.csv"),
        (CSV.replace("a\n", "\0\n"), {"outputs": ["note"]}, "no number"),
    ],
)
def test_wrong_tables_are_refused(write: Any, text: Any, options: Any, message: str) -> None:
    path = write(text)
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the message is compared below
        _read(path, **options)
    assert message in str(error.value)
    assert "data.csv" in str(error.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(ValueError, match="cannot read"):
            _read(path)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        TableOracle({"x": [1, 2], "y": [1]}, inputs=["x"], outputs=["y"])


def test_points_between_the_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="no row of the table"):
        _table(5)(torch.full((1, 2), 0.5, dtype=torch.float64))


def test_the_record_tells_tables_with_other_numbers_apart() -> None:
    rows = _rows(6)
    first = TableOracle(rows, inputs=["a", "b"], outputs=["y"])
    rows["y"][3] = np.nextafter(rows["y"][3], 9)
    second = TableOracle(rows, inputs=["a", "b"], outputs=["y"])
    assert describe(first) != describe(second)
    again = pickle.loads(pickle.dumps(first))  # noqa: S301  # our own
    assert describe(again) == describe(first)
    assert torch.equal(again(first.pool), first(first.pool))


# ---- runs on a finite pool ----------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Formulas:
    """A surrogate whose models can do all that a strategy may ask for."""

    domain: Box

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> FormulaModel:
        del generator, start
        return FormulaModel(self.domain, data, phase=0.1 * len(data))


def _sampler(oracle: TableOracle, strategy: Any, **options: Any) -> Sampler:
    settings = {"surrogate": Plane(), "n_initial": 6, "batch_size": 4, **options}
    return Sampler(oracle, strategy=strategy, **settings)


@pytest.mark.parametrize("name", sorted(set(strategies()) - {"gradient"}))
@pytest.mark.parametrize("design", ["sobol", "uniform", "latin_hypercube", "chebyshev"])
def test_every_strategy_asks_each_row_once_and_ends_when_there_are_no_more(
    name: str, design: str
) -> None:
    oracle = _table(25)
    run = _sampler(oracle, name, design=design, surrogate=Formulas(oracle.domain)).run(1000)
    assert run.status == "exhausted"
    asked = [tuple(e.x.tolist()) for e in run.evaluations]
    assert sorted(asked) == sorted(map(tuple, oracle.pool.tolist()))
    assert all(e.y is not None and e.y.item() == oracle(e.x[None]).item() for e in run.evaluations)


def test_a_pool_smaller_than_the_initial_design_is_asked_whole() -> None:
    run = _sampler(_table(3), "topk").run(6)
    assert (run.status, run.n_evaluations) == ("exhausted", 3)


def test_the_budget_counts_on_a_pool_too() -> None:
    run = _sampler(_table(50), "topk").run(17)
    assert (run.status, run.n_evaluations) == ("done", 17)
    assert set(run.errors) == {"mae", "rmse", "max"}


def test_the_error_is_measured_on_all_rows() -> None:
    oracle = _table(40)
    run = _sampler(oracle, "random").run(20)
    error = (run.model.predict(oracle.pool) - oracle(oracle.pool)).abs()
    assert run.errors["max"] == error.max().item()


def test_the_sobol_sequence_goes_on_where_it_stopped() -> None:
    oracle = _table(2000)
    small = _sampler(oracle, "sobol", batch_size=2).run(30)
    large = _sampler(oracle, "sobol", batch_size=24).run(30)
    points = [{tuple(e.x.tolist()) for e in run.evaluations} for run in (small, large)]
    assert points[0] == points[1]


def test_a_run_on_a_pool_is_resumed_without_paying_again(tmp_path: Path) -> None:
    oracle = _table(30)
    whole = _sampler(oracle, "topk").run(22)
    path = tmp_path / "run.jsonl"
    _sampler(oracle, "topk", run_file=path).run(22)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:13]))
    run = _sampler(oracle, "topk", run_file=path, existing="resume").run(22)
    assert [e.x.tolist() for e in run.evaluations] == [e.x.tolist() for e in whole.evaluations]


def test_asked_rows_are_not_asked_again_before_they_are_told() -> None:
    sampler = _sampler(_table(9), "random")
    x = torch.cat([sampler.ask(4), sampler.ask(4), sampler.ask(4)])
    assert len(x) == len(set(map(tuple, x.tolist()))) == 9
    assert sampler.ask(4).shape == (0, 2)


@settings(deadline=None, derandomize=True)
@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 99))
def test_nearest_rows_are_different_and_nearest_in_turn(n: int, m: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    box = Box({"x": (0, 1), "y": (0, 1000)})
    pool, wanted = box.uniform(m, generator=generator), box.uniform(n, generator=generator)
    chosen = nearest_rows(wanted, pool, box)
    assert len(chosen) == min(n, m)
    left = pool
    for point, row in zip(wanted, chosen, strict=False):
        distance = (box.to_unit(left) - box.to_unit(point)).norm(dim=1)
        assert torch.equal(row, left[distance.argmin()])
        left = left[~is_among(left, row[None])]
    assert len(left) == m - len(chosen)
