"""Statistics of comparisons against exact answers, and against simulated runs."""

from dataclasses import replace
from math import exp, inf, isnan, log10

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from adaptsample.comparison.caveats import doubts
from adaptsample.comparison.curves import Curve
from adaptsample.comparison.statistics import Comparison, holm


def _curve(rival: str, seed: int, *errors: float, oracle: str = "p", dimension: int = 1) -> Curve:
    spent = tuple(10.0 * (i + 1) for i in range(len(errors)))
    return Curve(oracle, rival, seed, spent, errors, dimension)


def _stopped(curve: Curve, n: int) -> Curve:
    return replace(
        curve, evaluations=curve.evaluations[:n], errors=curve.errors[:n], is_finished=False
    )


def _usual(n_seeds: int = 10) -> Comparison:
    curves = []
    for seed in range(n_seeds):
        curves += [
            _curve("sobol", seed, 1.0, 0.1, 0.01),
            _curve("random", seed, 1.0, 0.2, 0.02 + 1e-4 * seed),
            _curve("good", seed, 1.0, 0.01, 0.0025 * (1 + 0.01 * seed)),
            _curve("bad", seed, 1.0, 1.0, 0.1 + 1e-3 * seed),
        ]
    return Comparison(tuple(curves))


def _simulated(
    rng: np.random.Generator, *, n_oracles: int, n_seeds: int, gain: float, noise: float
) -> Comparison:
    """Return two rivals whose errors scatter; the second one's are smaller by a factor."""
    curves = []
    for oracle in map(str, range(n_oracles)):
        for seed in range(n_seeds):
            hardness = rng.normal()  # of the first points, which the two share
            for rival, factor in (("one", 1.0), ("other", gain)):
                error = factor * exp(hardness + noise * rng.normal())
                curves.append(Curve(oracle, rival, seed, (10.0,), (error,)))
    return Comparison(tuple(curves))


# ---- curves -------------------------------------------------------------------------------------


def test_a_curve_is_read_at_equal_evaluations() -> None:
    curve = _curve("a", 0, 1.0, 0.1, 0.01)
    assert [curve.at(n) for n in (9, 10, 19.9, 20, 1000)] == [inf, 1.0, 1.0, 0.1, 0.01]


def test_evaluations_to_a_level_are_interpolated() -> None:
    curve = _curve("a", 0, 1.0, 0.1, 0.01)
    assert curve.evaluations_to(0.1) == pytest.approx(20)
    assert curve.evaluations_to(10**-0.5) == pytest.approx(15)
    assert curve.evaluations_to(2.0) == 10
    assert curve.evaluations_to(1e-9) == inf
    fast = _curve("a", 0, 1.0, 0.01)
    assert fast.evaluations_to(0.1) == pytest.approx(10 + 10 * log10(1 / 0.1) / 2)


def test_the_area_is_the_mean_decade() -> None:
    curve = _curve("a", 0, 1.0, 0.1, 0.01)
    assert curve.area(30) == pytest.approx(-1.0)
    assert curve.area(20) == pytest.approx(-0.5)
    assert _curve("a", 0, 0.1).area(10) == pytest.approx(-1.0)


def test_a_curve_has_as_many_errors_as_evaluations() -> None:
    with pytest.raises(ValueError, match="p, a, seed 3: 2 errors for 1"):
        Curve("p", "a", 3, (1.0,), (1.0, 2.0))


# ---- means, ratios, levels ----------------------------------------------------------------------


def test_ratios_are_geometric_means_of_pairs() -> None:
    curves = _curve("a", 0, 1.0), _curve("a", 1, 4.0), _curve("b", 0, 2.0), _curve("b", 1, 2.0)
    comparison = Comparison(curves)
    ratio = comparison.ratio("a", "b")
    assert ratio.value == pytest.approx(1.0)
    assert ratio.low <= 1.0 <= ratio.high
    assert comparison.final("p", "a").value == pytest.approx(2.0)


def test_every_oracle_counts_alike() -> None:
    curves = [_curve("b", s, 1.0, oracle=o) for o in "pq" for s in range(9)]
    curves += [_curve("a", s, 4.0) for s in range(9)] + [_curve("a", 0, 1.0, oracle="q")]
    comparison = Comparison(tuple(curves))
    assert comparison.ratio("a", "b").value == pytest.approx(2.0)
    assert comparison.ratio("a", "b", ["q"]).value == pytest.approx(1.0)


def test_seeds_that_one_lacks_are_left_out() -> None:
    comparison = Comparison((_curve("a", 0, 1.0), _curve("a", 1, 9.0), _curve("b", 0, 2.0)))
    assert comparison.ratio("a", "b").value == pytest.approx(0.5)
    other = Comparison((_curve("a", 0, 1.0), _curve("b", 1, 2.0)))
    assert isnan(other.ratio("a", "b").value)
    assert other.verdicts("a", "b") == {}


def test_one_run_says_nothing_of_the_scatter() -> None:
    found = Comparison((_curve("a", 0, 0.5),)).final("p", "a")
    assert (found.value, found.low, found.high) == (pytest.approx(0.5), 0.0, inf)


def test_runs_of_different_length_are_compared_where_most_have_been() -> None:
    comparison = Comparison((_curve("a", 0, 1.0, 0.1, 0.01), _curve("b", 0, 1.0, 0.2)))
    assert comparison.budgets == {"p": 20}
    assert comparison.ratio("a", "b").value == pytest.approx(0.5)
    assert doubts(comparison) == ["p: compared at 20 evaluations, though some runs have 30"]


def test_a_short_run_does_not_make_all_others_short() -> None:
    curves = [*_usual(4).curves, _curve("short", 0, 0.001), _curve("late", 0, 0.5, oracle="q")]
    comparison = Comparison(tuple(curves))
    assert comparison.budgets == {"p": 30, "q": 10}
    assert comparison.final("p", "sobol").value == pytest.approx(0.01)
    assert "short" not in comparison.rivals
    assert doubts(comparison) == [
        "p: left out for having from 10 to 10 evaluations, where 30 are compared: 1 of short"
    ]


def test_one_can_say_where_to_compare() -> None:
    comparison = Comparison(_usual(4).curves, at=25)
    assert comparison.final("p", "sobol").value == pytest.approx(0.1)
    assert "p: last measured at 20 evaluations: 4 of good" in doubts(comparison)
    with pytest.raises(ValueError, match="no error is known at 31 evaluations; they are from 10"):
        Comparison(_usual(4).curves, at=31)
    with pytest.raises(ValueError, match="no error is known at 9"):
        Comparison(_usual(4).curves, at=9)


def test_a_run_that_ended_of_itself_is_compared_at_its_budget() -> None:
    early = replace(_curve("a", 0, 1.0, 0.001), budget=30.0)
    comparison = Comparison((early, _curve("b", 0, 1.0, 0.1, 0.01)))
    assert comparison.budgets == {"p": 30}
    assert comparison.ratio("a", "b").value == pytest.approx(0.1)
    assert doubts(comparison) == []


def test_to_stop_on_the_hard_seeds_is_no_merit() -> None:
    """Where it is counted who arrives, who stopped has not; ranks are of seeds that all have."""
    curves = [_curve("a", s, 1.0, 0.01 if s < 4 else 1.0) for s in range(6)]
    curves += [_curve("b", s, 1.0, 0.02 if s < 4 else 0.5) for s in range(6)]
    whole = Comparison(tuple(curves))
    left = [_stopped(c, 1) if c.rival == "a" and c.seed >= 4 else c for c in curves]
    left[0] = _stopped(left[0], 0)
    comparison = Comparison(tuple(left))
    assert comparison.budgets == whole.budgets
    assert comparison.success_rate(0.1, "p", "a").value == pytest.approx(3 / 6)
    assert comparison.evaluations_to(0.1, "p", "a").value == inf
    assert comparison.profile("a", 0.5)[1].tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert comparison.seeds("p", "a", "b") == [1, 2, 3]
    assert comparison.ranks.mean == {"a": 1.0, "b": 2.0}
    assert doubts(comparison) == [
        "p: a stopped early with seed 0, 4, 5; such runs are in no mean, and count as not arriving"
    ]


def test_other_first_points_are_told() -> None:
    curves = [Curve("p", r, s, (1.0,), (1.0,), 1, start) for r, s, start in (
        ("a", 0, "x"), ("b", 0, "x"), ("a", 4, "x"), ("b", 4, "y"))]  # fmt: skip
    assert doubts(Comparison(tuple(curves))) == ["p: initial designs differ for seed 4"]
    later = replace(curves[0], evaluations=(2.0,))
    curves = [replace(curve, budget=2.0) for curve in curves]
    assert "p: runs begin with 1 and 2 evaluations" in doubts(Comparison((later, *curves[1:])))


def test_the_area_gain_is_in_decades() -> None:
    comparison = _usual()
    assert comparison.area_gain("good", "sobol").value == pytest.approx(0.65, abs=0.02)
    assert comparison.area_gain("sobol", "sobol").value == 0


def test_evaluations_to_a_level_are_censored() -> None:
    curves = [_curve("a", s, 1.0, 0.1) for s in range(4)]
    curves += [_curve("a", s, 1.0, 1.0) for s in range(4, 7)]
    comparison = Comparison(tuple(curves))
    assert comparison.evaluations_to(0.1, "p", "a").value == pytest.approx(20)
    assert comparison.evaluations_to(0.1, "p", "a").high == inf
    assert comparison.evaluations_to(0.01, "p", "a").value == inf
    more = Comparison((*curves, _curve("a", 7, 1.0, 1.0)))
    assert more.evaluations_to(0.1, "p", "a").value == inf  # half of them never arrive


def test_the_success_rate_has_wilsons_interval() -> None:
    curves = [_curve("a", s, 0.1 if s < 8 else 1.0) for s in range(10)]
    rate = Comparison(tuple(curves)).success_rate(0.1, "p", "a")
    assert rate.value == 0.8
    assert (rate.low, rate.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_an_error_that_rose_again_was_reached() -> None:
    curves = [_curve("a", s, 1.0, 0.1, 1.0) for s in range(3)]
    assert Comparison(tuple(curves)).success_rate(0.1, "p", "a").value == 1.0


def test_half_way_between_two_runs_is_their_median() -> None:
    curves = _curve("a", 0, 1.0, 0.1), _curve("a", 1, 1.0, 0.01)
    assert Comparison(curves).evaluations_to(0.1, "p", "a").value == pytest.approx(17.5)


def test_levels_are_those_of_the_baseline() -> None:
    assert _usual().levels("p", "sobol") == pytest.approx((0.1, 0.01, 0.005))


@settings(deadline=None, derandomize=True)
@given(errors=st.lists(st.floats(1e-12, 1e6), min_size=1, max_size=1))
def test_a_baseline_reaches_its_own_error(errors: list[float]) -> None:
    comparison = Comparison(tuple(_curve("a", s, e) for s, e in enumerate(errors)))
    assert comparison.success_rate(comparison.levels("p", "a")[1], "p", "a").value == 1.0


def test_a_run_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="p, a, seed 0 is there twice"):
        Comparison((_curve("a", 0, 1.0), _curve("a", 0, 2.0)))
    with pytest.raises(ValueError, match="no finished runs"):
        Comparison(())


# ---- tests --------------------------------------------------------------------------------------


def test_wins_and_losses_are_told() -> None:
    comparison = _usual()
    assert comparison.verdicts("good", "random") == {"p": "win"}
    assert comparison.verdicts("bad", "random") == {"p": "loss"}
    assert comparison.verdicts("random", "random") == {"p": "tie"}


def test_a_win_in_less_than_half_of_the_pairs_is_no_loss() -> None:
    curves = [_curve("a", s, 1e-15 if s < 11 else 1e-5 * (1 + s)) for s in range(20)]
    curves += [_curve("b", s, 1e-15 if s < 11 else 1e-3 * (1 + s)) for s in range(20)]
    comparison = Comparison(tuple(curves))
    assert comparison.verdicts("a", "b") == {"p": "win"}
    assert comparison.verdicts("b", "a") == {"p": "loss"}


def test_a_win_needs_as_many_seeds_as_is_told() -> None:
    for n_oracles in (1, 3):
        for spare in (-1, 0):
            probe = [_curve(r, 0, 1.0, oracle=str(o)) for o in range(n_oracles) for r in "ab"]
            n_seeds = Comparison(tuple(probe)).least_seeds + spare
            curves = [
                _curve(r, s, e * (1 + s), oracle=str(o))
                for o in range(n_oracles) for s in range(n_seeds)
                for r, e in (("a", 0.5 if o == 0 else 1.0), ("b", 1.0))
            ]  # fmt: skip
            verdict = Comparison(tuple(curves)).verdicts("a", "b")["0"]
            assert verdict == ("tie" if spare else "win")


def test_holm_rejects_in_steps() -> None:
    assert holm([0.01, 0.04, 0.03], 0.05) == [True, False, False]
    assert holm([0.01, 0.02, 0.04], 0.05) == [True, True, True]


@settings(deadline=None, derandomize=True, max_examples=5)
@given(p_values=st.lists(st.floats(0, 0.2), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values, 0.05) == multipletests(p_values, 0.05, "holm")[0].tolist()


def test_the_correction_is_over_the_oracles() -> None:
    """One of twelve at p = 0.0312 (six pairs that agree) is no win; alone it is."""
    six = [_curve(r, s, e * (1 + s)) for s in range(6) for r, e in (("a", 0.5), ("b", 1.0))]
    assert Comparison(tuple(six)).verdicts("a", "b") == {"p": "win"}
    same = [_curve(r, s, 1.0, oracle=str(o)) for s in range(6) for r in "ab" for o in range(11)]
    assert set(Comparison((*six, *same)).verdicts("a", "b").values()) == {"tie"}


@pytest.mark.parametrize("n_oracles", [1, 4])
def test_equal_rivals_are_rarely_called_different(n_oracles: int) -> None:
    rng = np.random.default_rng(0)
    n_false = 0
    for _ in range(1000):
        found = _simulated(rng, n_oracles=n_oracles, n_seeds=10, gain=1.0, noise=0.3)
        n_false += set(found.verdicts("other", "one").values()) != {"tie"}
    assert n_false <= 50


def test_a_gain_of_a_fifth_is_found_with_twenty_seeds() -> None:
    rng = np.random.default_rng(1)
    found = [
        _simulated(rng, n_oracles=1, n_seeds=20, gain=0.8, noise=0.2).verdicts("other", "one")["0"]
        for _ in range(200)
    ]
    assert found.count("win") >= 160
    assert found.count("loss") == 0


@pytest.mark.parametrize(("n_oracles", "n_seeds"), [(2, 20), (1, 3), (4, 3), (1, 9), (1, 10)])
def test_intervals_of_ratios_hold_the_truth(n_oracles: int, n_seeds: int) -> None:
    rng = np.random.default_rng(2)
    n_held = 0
    for _ in range(100):
        found = _simulated(rng, n_oracles=n_oracles, n_seeds=n_seeds, gain=0.8, noise=0.3)
        ratio = found.ratio("other", "one")
        n_held += ratio.low <= 0.8 <= ratio.high
    assert n_held >= 89


@pytest.mark.parametrize("few", [2, 12])
def test_an_interval_holds_its_estimate_whatever_the_numbers_of_seeds(few: int) -> None:
    rng = np.random.default_rng(3)
    curves = [
        _curve(rival, seed, error * exp(rng.normal()), oracle=oracle)
        for oracle, n, gain in (("p", 14, 0.3), ("q", few, 1.0))
        for seed in range(n)
        for rival, error in (("a", gain), ("b", 1.0))
    ]
    ratio = Comparison(tuple(curves)).ratio("a", "b")
    assert ratio.low < ratio.value < ratio.high < inf


def test_ranks_are_means_over_oracles() -> None:
    order = {"a": (1, 1, 1, 2), "b": (2, 2, 2, 1), "c": (3, 3, 3, 3)}
    curves = [
        _curve(rival, seed, float(rank), oracle=str(oracle))
        for rival, ranks in order.items()
        for oracle, rank in enumerate(ranks)
        for seed in range(3)
    ]
    ranks = Comparison(tuple(curves)).ranks
    assert ranks.mean == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert list(ranks.mean) == ["a", "b", "c"]
    assert ranks.p_value == pytest.approx(0.0388, abs=1e-4)
    assert float(ranks.different.loc["a", "c"]) < 0.05 < float(ranks.different.loc["a", "b"])


def test_ranks_need_an_oracle_that_all_were_run_on() -> None:
    with pytest.raises(ValueError, match="ranks need two rivals"):
        _ = Comparison((_curve("a", 0, 1.0), _curve("b", 0, 1.0, oracle="q"))).ranks


# ---- profiles -----------------------------------------------------------------------------------


def test_a_profile_counts_what_is_solved() -> None:
    curves = [
        _curve("a", 0, 1.0, 0.0001, dimension=4),
        _curve("b", 0, 1.0, 0.5, dimension=4),
        _curve("a", 1, 1.0, 1.0, dimension=4),
        _curve("b", 1, 1.0, 0.1, dimension=4),
    ]
    comparison = Comparison(tuple(curves))
    spent, share = comparison.profile("a", 0.1)
    assert share.tolist() == [0.5]
    level = 0.0001 + 0.1 * (1 - 0.0001)
    assert spent.tolist() == pytest.approx([curves[0].evaluations_to(level) / 5])
    assert comparison.profile("b", 0.6)[1].tolist() == [0.5, 1.0]
