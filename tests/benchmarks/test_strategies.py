"""The comparison of strategies: its tables, and one small run."""

import pytest

from adaptsample.comparison.statistics import Comparison
from adaptsample.surrogates.polynomial import Polynomial
from benchmarks.harness.jobs import Cell, Job
from benchmarks.strategies.runs import SURROGATES, Schedule, measure_run, oracle
from benchmarks.strategies.sections import SECTIONS
from benchmarks.strategies.tables import comparison_of, losers, pool_table, summary


def _cell(strategy: str, seed: int, *errors: float, problem: str = "p") -> Cell:
    curve = [[10 * (i + 1), error] for i, error in enumerate(errors)]
    return {"problem": problem, "method": f"mlp {strategy}", "seed": seed, "curve": curve}


def _results(n_seeds: int = 10, problem: str = "p") -> Comparison:
    cells = []
    for seed in range(n_seeds):
        cells += [
            _cell("sobol", seed, 1.0, 0.1, 0.01, problem=problem),
            _cell("random", seed, 1.0, 0.2, 0.02 + 1e-4 * seed, problem=problem),
            _cell("good", seed, 1.0, 0.01, 0.0025 * (1 + 0.01 * seed), problem=problem),
            _cell("bad", seed, 1.0, 1.0, 0.1 + 1e-3 * seed, problem=problem),
        ]
    return comparison_of([*cells, {"problem": "p", "method": "auto x", "failure": ""}], "mlp")


def test_who_loses_to_random_is_told() -> None:
    told = losers(_results())
    assert "`bad`" in told
    assert "`good`" not in told


def test_the_summary_has_the_best_first() -> None:
    rows = summary(_results(), {"kind": ["p"], "absent": ["q"]}).splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["good", "sobol", "random", "bad"]
    assert "absent" not in rows[0]


def test_the_pool_table_is_in_units_of_the_smallest_pool() -> None:
    cells = [
        {"problem": "p", "seed": 0, "strategy": "s", "factor": f, "error": e}
        for f, e in ((1, 0.4), (10, 0.2), (100, 0.8))
    ]
    row = pool_table(cells, (1, 10, 100)).splitlines()[2]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == ["s", "1.00", "0.50", "2.00", "4.0"]


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_jobs_are_all_different_and_named(section: str) -> None:
    for quick in (True, False):
        jobs = SECTIONS[section].jobs(["mlp", "auto"], 2, quick)
        assert len(set(jobs)) == len(jobs)
        assert all(oracle(name).domain for name in {job.problem for job in jobs})


def test_runs_of_one_seed_share_their_first_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SURROGATES, "auto", Polynomial())
    plan = Schedule(n_initial=12, batch_size=4, budget=16)
    cells = [
        measure_run(Job("franke", f"auto {strategy}", 0, 0), plan=plan)
        for strategy in ("sobol", "lcmd")
    ]
    assert cells[0]["curve"][0] == cells[1]["curve"][0]
    assert cells[0]["curve"][0][0] == 12
    assert cells[0]["curve"][-1][0] == 16
    assert cells[0]["curve"][-1] != cells[1]["curve"][-1]
