"""When a run may stop early."""

import pytest

from adaptsample import Box, Sampler
from adaptsample.loop.stopping import Confirmation, Foretold
from adaptsample.oracles import ExpressionOracle, FunctionOracle
from adaptsample.record.run_file import read


def told(*errors: float, tells: bool = True) -> list[Foretold]:
    return [Foretold(error, tells) for error in errors]


def test_a_single_miss_starts_the_count_again() -> None:
    confirmation = Confirmation(1e-3)
    confirmation.observe(told(*[1e-4] * 4, 1e-2, *[1e-4] * 4))
    assert not confirmation.is_met(10)
    confirmation.observe(told(1e-3))
    assert confirmation.is_met(10)


def test_large_runs_need_a_tenth_of_their_points() -> None:
    confirmation = Confirmation(1e-3)
    confirmation.observe(told(*[0.0] * 19))
    assert confirmation.is_met(190)
    assert not confirmation.is_met(191)


def test_nan_confirms_nothing() -> None:
    confirmation = Confirmation(1e-3)
    confirmation.observe(told(*[float("nan")] * 10))
    assert not confirmation.is_met(1)


def test_values_that_tell_nothing_do_not_count_but_a_miss_among_them_does() -> None:
    confirmation = Confirmation(1e-3)
    confirmation.observe(told(*[0.0] * 4) + told(*[0.0] * 50, tells=False))
    assert not confirmation.is_met(10)
    confirmation.observe(told(0.0))
    assert confirmation.is_met(10)
    confirmation.observe(told(1.0, tells=False))
    assert not confirmation.is_met(10)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore:.*everywhere:adaptsample.errors.DegenerateDataWarning")
def test_a_bump_that_nobody_met_is_not_confirmed(seed: int) -> None:
    oracle = FunctionOracle(
        lambda x: (abs(x - 0.83).max(axis=1, keepdims=True) < 0.1).astype(float),
        Box({"x": (0, 1), "y": (0, 1)}),
    )
    run = Sampler(
        oracle, surrogate="gaussian_process", strategy="sobol", batch_size=5, seed=seed
    ).run(40, tolerance=0.01)
    assert not run.confirmed


@pytest.mark.filterwarnings("ignore:.*everywhere:adaptsample.errors.DegenerateDataWarning")
def test_an_output_that_is_the_same_everywhere_does_not_keep_the_others_from_being_confirmed():
    oracle = FunctionOracle(
        lambda x: x[:, :1] ** 2 * [1.0, 0.0],
        Box({"x": (0, 1), "y": (0, 1)}),
        n_outputs=2,
    )
    run = Sampler(oracle, surrogate="polynomial", strategy="sobol", batch_size=1, n_initial=15).run(
        60, tolerance=1e-6
    )
    assert run.confirmed


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_tolerance_is_a_positive_number(tolerance: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Confirmation(tolerance)


@pytest.mark.parametrize("record_every", [1, 100])
def test_a_run_stops_when_its_values_are_foretold(tmp_path, record_every: int) -> None:
    oracle = ExpressionOracle("x**3 - y", bounds={"x": (0, 1), "y": (0, 1)})
    sampler = Sampler(
        oracle,
        surrogate="polynomial",
        strategy="sobol",
        batch_size=1,
        n_initial=20,
        record_every=record_every,
        run_file=tmp_path / "run.jsonl",
    )
    run = sampler.run(100, tolerance=1e-9)
    assert run.confirmed
    assert run.n_evaluations == 25
    assert run.errors["max"] < 1e-9
    fresh = run.rounds[-1].fresh_mae
    assert fresh is not None
    assert fresh < 1e-9
    end = read(tmp_path / "run.jsonl").end
    assert end is not None
    assert (end["status"], end["tolerance"]) == ("confirmed", 1e-9)


def test_a_confirmed_run_goes_on_where_it_stopped_under_a_tighter_tolerance(tmp_path) -> None:
    oracle = ExpressionOracle("exp(x)", bounds={"x": (0, 1)})
    settings = {"surrogate": "polynomial", "strategy": "sobol", "batch_size": 1, "n_initial": 5}
    path = tmp_path / "run.jsonl"
    first = Sampler(oracle, **settings, run_file=path).run(60, tolerance=1e-3)
    second = Sampler(oracle, **settings, run_file=path, existing="resume").run(60, tolerance=1e-9)
    assert first.confirmed
    assert second.confirmed
    assert second.n_evaluations > first.n_evaluations
    points = [[e.x.tolist() for e in run.evaluations] for run in (first, second)]
    assert points[1][: len(points[0])] == points[0]


def test_a_run_that_foretells_nothing_spends_its_budget() -> None:
    oracle = ExpressionOracle("Abs(x - 0.3)", bounds={"x": (0, 1)})
    run = Sampler(oracle, surrogate="gaussian_process", strategy="sobol", batch_size=5).run(
        30, tolerance=1e-12
    )
    assert run.status == "done"
    assert run.n_evaluations == 30
