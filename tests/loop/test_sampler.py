from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import pytest
import torch
from torch import Generator

from adaptsample import Box, Dataset, Run, Sampler, State, Strategy
from adaptsample.acquisition import DropAll, Proposal
from adaptsample.core import derive_generator
from adaptsample.errors import LedgerError, RunFailedError
from adaptsample.oracles import ExpressionOracle, FunctionOracle, NoisyOracle
from adaptsample.record.run_file import read
from adaptsample.registry import make_strategy
from benchmarks.reliability.calls import BAD_ANSWERS
from benchmarks.reliability.referee import Plane
from tests.conftest import CountingFunction

FORMULA = "exp(x)*Abs(sin(3*x) - y)"
BOUNDS = {"x": (0, 1), "y": (0, 1)}


@pytest.fixture
def oracle() -> ExpressionOracle:
    return ExpressionOracle(FORMULA, BOUNDS)


def _sampler(oracle: Any, **settings: Any) -> Sampler:
    return Sampler(oracle, **{"surrogate": Plane(), "strategy": "random", **settings})


def _points(run: Run) -> list[list[float]]:
    return [e.x.tolist() for e in run.evaluations]


# ---- budget -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("budget", "batch"), [(10, 3), (20, 3), (21, 10), (25, 1)])
def test_exactly_the_budget_is_called(box: Box, budget: int, batch: int) -> None:
    function = CountingFunction()
    run = _sampler(FunctionOracle(function, box), batch_size=batch).run(budget)
    assert len(function.calls) == run.n_evaluations == len(run.data) == budget
    assert len(set(function.calls)) == budget


def test_the_error_belongs_to_the_model_fitted_on_exactly_its_evaluations(
    oracle: ExpressionOracle,
) -> None:
    run = _sampler(oracle, batch_size=5).run(23)
    x = oracle.domain.grid(100)
    for record in run.rounds:
        first = run.evaluations[: int(record.n_evaluations)]
        data = Dataset(torch.stack([e.x for e in first]), torch.stack([e.y for e in first]))
        model = Plane().fit(data, generator=Generator())
        error = (model.predict(x) - oracle(x)).abs()
        assert record.errors["mae"] == pytest.approx(float(error.mean()), rel=1e-9)
        assert record.errors["max"] == pytest.approx(float(error.max()), rel=1e-9)
    assert [r.n_evaluations for r in run.rounds] == [10, 15, 20, 23]


def test_a_gradient_is_charged_at_its_price(oracle: ExpressionOracle) -> None:
    strategy = make_strategy("gradient")
    run = _sampler(oracle, strategy=strategy, batch_size=4, gradient_cost=0.5).run(23)
    with_gradient = [e for e in run.evaluations if e.gradient is not None]
    assert run.n_evaluations == 10 + sum(e.price for e in run.evaluations[10:]) <= 23
    assert {e.price for e in with_gradient} == {1.5}
    assert run.n_evaluations > 21.5  # no more than one value is left unspent
    exact = oracle.gradient(with_gradient[0].x[None])[0]
    assert torch.equal(with_gradient[0].gradient, exact)


def test_a_last_value_is_bought_without_the_gradient_it_cannot_afford(
    oracle: ExpressionOracle,
) -> None:
    run = _sampler(oracle, strategy="gradient", batch_size=4, gradient_cost=3.0).run(15)
    assert run.n_evaluations == 15
    assert [e.price for e in run.evaluations[10:]] == [4.0, 1.0]


@final
@dataclass(frozen=True)
class Repeat(Strategy[Any]):
    """Asks the same points in every round."""

    uses_model: ClassVar[bool] = False

    def propose(self, state: State[Any], n: int, *, generator: Generator) -> Proposal:
        middle = state.domain.grid(3)[:n]
        return Proposal(torch.cat([middle, middle])[:n], drop=torch.arange(len(state.data)))


def test_asking_again_costs_nothing_and_a_run_that_only_repeats_ends(box: Box) -> None:
    function = CountingFunction()
    run = _sampler(FunctionOracle(function, box), strategy=Repeat(), batch_size=4).run(100)
    assert run.status == "stalled"
    assert len(function.calls) == run.n_evaluations == 14
    assert len(run.data) == 4


@pytest.mark.parametrize("rule", ["drop_all()", "bounded(5)", "bounded(12)", "drop_lowest(n=4)"])
@pytest.mark.parametrize("strategy", ["sobol(retirement={})", "random(filling=0.4, retirement={})"])
def test_points_that_fill_the_space_are_not_asked_again_after_they_were_dropped(
    box: Box, strategy: str, rule: str
) -> None:
    function = CountingFunction()
    oracle = FunctionOracle(function, box)
    run = _sampler(oracle, strategy=make_strategy(strategy.format(rule)), batch_size=5).run(40)
    assert run.status == "done"
    assert len(set(function.calls)) == len(function.calls) == 40
    assert [r.n_evaluations for r in run.rounds] == list(range(10, 41, 5))
    sequence = box.sobol(80, generator=derive_generator(0, "initial")).tolist()
    filled = [x for x in _points(run)[10:] if x in sequence]
    assert len(filled) == (30 if strategy.startswith("sobol") else 12)


def test_points_dropped_stay_paid_for(oracle: ExpressionOracle) -> None:
    strategy = make_strategy("softmax(retirement=drop_all())")
    assert strategy.retirement == DropAll()
    run = _sampler(oracle, strategy=strategy, batch_size=5).run(25)
    assert len(run.evaluations) == 25
    assert [r.training_set for r in run.rounds] == [10, 5, 5, 5]
    assert [r.dropped for r in run.rounds] == [0, 10, 5, 5]


def test_a_strategy_that_ignores_the_model_costs_fits_only_where_they_are_recorded(
    oracle: ExpressionOracle,
) -> None:
    class Counting:
        fits = 0

        def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> Any:
            self.fits += 1
            return Plane().fit(data, generator=generator)

    counting = Counting()
    run = _sampler(oracle, surrogate=counting, batch_size=1, record_every=10).run(35)
    assert counting.fits == len(run.rounds) == 4
    assert [r.n_evaluations for r in run.rounds] == [10, 20, 30, 35]


# ---- randomness ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run_and_others_differ(oracle: ExpressionOracle) -> None:
    first, again, other = (
        _sampler(oracle, strategy="swap", seed=seed).run(40) for seed in (3, 3, 4)
    )
    assert _points(first) == _points(again)
    assert [r.errors for r in first.rounds] == [r.errors for r in again.rounds]
    assert _points(first) != _points(other)


def test_the_same_seed_writes_the_same_file_apart_from_times(
    oracle: ExpressionOracle, tmp_path: Path
) -> None:
    for name in "ab":
        _sampler(oracle, strategy="topk", run_file=tmp_path / f"{name}.jsonl").run(30)
    a, b = read(tmp_path / "a.jsonl"), read(tmp_path / "b.jsonl")

    def timeless(records: Any) -> list[dict[str, Any]]:
        return [{k: v for k, v in record.items() if k != "seconds"} for record in records]

    assert a.spec == b.spec
    assert timeless(a.evaluations) == timeless(b.evaluations)
    assert timeless(a.rounds) == timeless(b.rounds)
    assert timeless([a.end]) == timeless([b.end])


def test_sobol_is_one_sequence_whatever_the_batch(oracle: ExpressionOracle) -> None:
    in_fives, at_once = (
        _points(_sampler(oracle, strategy="sobol", batch_size=batch).run(40)) for batch in (5, 30)
    )
    assert in_fives == at_once


def test_noise_is_drawn_afresh_and_repeats_under_the_seed(oracle: ExpressionOracle) -> None:
    noisy = NoisyOracle(oracle, y_noise=(0.0, 0.5))
    first, again = (_sampler(noisy, strategy="sobol").run(30) for _ in range(2))
    assert torch.equal(first.data.y, again.data.y)
    error = first.data.y - oracle(first.data.x)
    assert 0.3 < float(error.std()) < 0.7
    assert len(set(error.flatten().tolist())) == 30
    assert first.errors == again.errors


def test_workers_change_nothing(box: Box) -> None:
    alone = _sampler(FunctionOracle(CountingFunction(), box), strategy="topk").run(40)
    with ThreadPoolExecutor(3) as executor:
        oracle = FunctionOracle(CountingFunction(), box)
        together = _sampler(oracle, strategy="topk", executor=executor).run(40)
    assert torch.equal(alone.data.x, together.data.x)
    assert torch.equal(alone.data.y, together.data.y)


# ---- resuming -----------------------------------------------------------------------------------


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("strategy", ["topk", "sobol", "gradient"])
@pytest.mark.parametrize("after", [0, 3, 10, 11, 19, 20, 24])
def test_a_run_stopped_anywhere_continues_as_if_it_had_not_been(
    tmp_path: Path, box: Box, strategy: str, after: int
) -> None:
    def make(function: Callable[[Any], Any]) -> FunctionOracle:
        return FunctionOracle(function, box, gradient=np.cos)

    whole = _sampler(make(_value), strategy=strategy, run_file=tmp_path / "whole.jsonl").run(40)
    calls = 0

    def fragile(x: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > after:
            raise _Killed
        return _value(x)

    fragile.__qualname__, fragile.__module__ = _value.__qualname__, _value.__module__
    settings = {"strategy": strategy, "run_file": tmp_path / "cut.jsonl"}
    with pytest.raises(_Killed):
        _sampler(make(fragile), **settings).run(40)
    calls = -1000
    resumed = _sampler(make(fragile), **settings, existing="resume").run(40)
    assert calls + 1000 + after == len(whole.evaluations)
    assert _points(resumed) == _points(whole)
    assert torch.equal(resumed.data.y, whole.data.y)
    assert [r.errors for r in resumed.rounds] == [r.errors for r in whole.rounds]
    a, b = read(tmp_path / "whole.jsonl"), read(tmp_path / "cut.jsonl")
    assert [e["x"] for e in a.evaluations] == [e["x"] for e in b.evaluations]
    assert [r["n_evaluations"] for r in a.rounds] == [r["n_evaluations"] for r in b.rounds]


def _value(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.sin(3 * x).prod(axis=1))


def test_a_finished_run_is_extended_by_a_larger_budget(
    oracle: ExpressionOracle, tmp_path: Path
) -> None:
    settings = {"strategy": "swap", "run_file": tmp_path / "run.jsonl", "batch_size": 10}
    _sampler(oracle, **settings).run(33)
    run = _sampler(oracle, **settings, existing="resume").run(60)
    assert len(read(tmp_path / "run.jsonl").evaluations) == run.n_evaluations == 60
    assert len(set(map(tuple, _points(run)))) == 60


def test_an_existing_run_file_is_neither_replaced_nor_continued_unasked(
    oracle: ExpressionOracle, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    _sampler(oracle, run_file=path).run(12)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="resume it or overwrite it"):
        _sampler(oracle, run_file=path).run(12)
    with pytest.raises(LedgerError, match="seed is 0 there and 1 now"):
        _sampler(oracle, run_file=path, seed=1, existing="resume").run(12)
    assert path.read_bytes() == before
    _sampler(oracle, run_file=path, seed=1, existing="overwrite").run(12)
    assert read(path).spec["seed"] == 1


# ---- ask and tell -------------------------------------------------------------------------------


def test_ask_and_tell_without_an_oracle(box: Box) -> None:
    sampler = _sampler(box, strategy="topk", n_initial=6)
    first = torch.cat([sampler.ask(4), sampler.ask(2)])
    assert torch.equal(first, box.sobol(6, generator=_initial()))
    sampler.tell(first, np.sin(first.numpy()).sum(axis=1))
    x = sampler.ask(3)
    assert x.shape == (3, 2)
    sampler.tell(x.tolist(), [[1.0], [2.0], [3.0]])
    assert len(sampler.data) == 9
    assert sampler.n_evaluations == 9
    assert sampler.model.predict(x).shape == (3, 1)


def _initial() -> Generator:
    return derive_generator(0, "initial")


def test_asking_on_before_anything_is_told_stays_space_filling(box: Box) -> None:
    sampler = _sampler(box, strategy="topk", n_initial=3)
    x = torch.cat([sampler.ask(2) for _ in range(5)])
    assert bool(box.contains(x).all())
    assert len(set(map(tuple, x.tolist()))) == 10


def test_two_outputs_and_told_gradients(box: Box) -> None:
    sampler = _sampler(box, n_initial=2)
    x = sampler.ask()
    sampler.tell(x, torch.ones(2, 2), gradient=torch.zeros(2, 2, 2))
    assert sampler.data.gradient.shape == (2, 2, 2)
    assert sampler.n_evaluations == 4


def test_told_results_survive_in_the_run_file(box: Box, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    sampler = _sampler(box, run_file=path, n_initial=4)
    x = sampler.ask()
    sampler.tell(x, torch.arange(4.0))
    sampler.close()
    again = _sampler(box, run_file=path, n_initial=4, existing="resume")
    assert torch.equal(again.data.x, x)
    assert again.ask(1).shape == (1, 2)
    again.close()


def test_what_was_asked_and_not_told_is_pending_when_the_run_goes_on(
    box: Box, tmp_path: Path
) -> None:
    def opened(existing: Any) -> Sampler:
        return _sampler(box, strategy="sobol", run_file=path, n_initial=4, existing=existing)

    path = tmp_path / "run.jsonl"
    sampler = opened("refuse")
    x = torch.cat([sampler.ask(3), sampler.ask(3)])
    sampler.tell(x[:2], [1.0, 2.0])
    sampler.tell_failed(x[2:3], "it broke")
    sampler.close()
    again = opened("resume")
    assert torch.equal(again.pending, x[3:])
    assert [e.message for e in again.evaluations] == ["", "", "it broke"]
    more = again.ask(2)
    again.close()
    assert len(set(map(tuple, torch.cat([x, more]).tolist()))) == 8
    once_more = opened("resume")
    once_more.tell(x[3:], [3.0, 4.0, 5.0])  # late, and welcome
    assert torch.equal(once_more.pending, more)
    once_more.close()


def test_failures_told_must_lie_in_the_domain(box: Box) -> None:
    sampler = _sampler(box)
    for x, message in (([[0.5, 9.0]], "outside"), ([0.5], "shape"), (["a"], "no array")):
        with pytest.raises(ValueError, match=message):
            sampler.tell_failed(x, "it broke")
    assert sampler.evaluations == ()


def test_non_finite_values_told_are_kept_out_of_the_training_set(box: Box) -> None:
    sampler = _sampler(box, n_initial=3)
    sampler.tell(sampler.ask(), [1.0, float("nan"), float("inf")])
    assert len(sampler.data) == 1
    assert sampler.n_evaluations == 3


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[0.5, 0.5]], [1.0, 2.0], "shape"),
        ([0.5, 0.5], [1.0], "shape"),
        ([[0.5, 9.0]], [1.0], "outside the domain"),
        ([[0.5, float("nan")]], [1.0], "outside the domain"),
        ([[0.5, 0.5]], ["text"], "y is no array of numbers"),
        ([[0.5, 0.5]], None, "y is no array of numbers"),
        ([[0.5, 0.5], [0.5]], [1.0, 2.0], "x is no array of numbers"),
    ],
)
def test_wrong_results_are_refused(box: Box, x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _sampler(box).tell(x, y)


# ---- wrong use ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": -3}, "batch_size"),
        ({"n_initial": 0}, "n_initial"),
        ({"n_initial": 2.5}, "n_initial"),
        ({"retries": -1}, "retries"),
        ({"record_every": 0}, "record_every"),
        ({"seed": "0"}, "seed"),
        ({"seed": None}, "seed"),
        ({"design": "halton"}, "design"),
        ({"gradient_cost": float("nan")}, "gradient_cost"),
        ({"gradient_cost": -1}, "gradient_cost"),
        ({"strategy": "topkk"}, "did you mean topk"),
        ({"surrogate": "mpl"}, "did you mean mlp"),
        ({"surrogate": 7}, "no surrogate"),
        ({"strategy": 7}, "no strategy"),
    ],
)
def test_wrong_settings_are_refused(
    oracle: ExpressionOracle, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _sampler(oracle, **settings)


@pytest.mark.parametrize("budget", [9, 0, -5, float("nan"), float("inf")])
def test_a_budget_must_cover_the_initial_design(oracle: ExpressionOracle, budget: float) -> None:
    with pytest.raises(ValueError, match="initial design of 10"):
        _sampler(oracle).run(budget)


def test_what_is_no_oracle_is_refused() -> None:
    with pytest.raises(ValueError, match="FunctionOracle"):
        _sampler(lambda x: x)
    with pytest.raises(ValueError, match="ask"):
        _sampler(Box({"x": (0, 1)})).run(10)


def test_asking_for_gradients_of_an_oracle_without_is_refused_before_they_are_paid(
    box: Box,
) -> None:
    function = CountingFunction()
    with pytest.raises(ValueError, match="asks for gradients"):
        _sampler(FunctionOracle(function, box), strategy="gradient").run(30)
    assert len(function.calls) == 10


RAISES: dict[str, Callable[[np.ndarray], Any]] = {
    "raises": lambda x: 1 / 0,
    "exits": lambda x: (_ for _ in ()).throw(SystemExit("bye")),
    "raises without text": lambda x: (_ for _ in ()).throw(_UnprintableError()),
    "long text": lambda x: (_ for _ in ()).throw(RuntimeError("x" * 10**7)),
}


class _UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("kind", BAD_ANSWERS | RAISES)
def test_a_bad_answer_is_a_failed_evaluation_and_its_siblings_are_kept(
    box: Box, kind: str, tmp_path: Path
) -> None:
    bad = (BAD_ANSWERS | RAISES)[kind]

    def function(x: np.ndarray) -> Any:
        return bad(x) if x[0, 0] < 0.3 else x.sum(axis=1)

    path = tmp_path / "run.jsonl"
    run = _sampler(FunctionOracle(function, box), strategy="topk", run_file=path).run(40)
    failed = [e for e in run.evaluations if e.status != "ok"]
    assert run.n_evaluations == 40
    assert 0 < len(failed) == sum(float(e.x[0]) < 0.3 for e in run.evaluations)
    assert all(e.y is None and 0 < len(e.message) < 5000 for e in failed)
    assert len(run.data) == 40 - len(failed)
    assert path.stat().st_size < 10**6
    with pytest.raises(RunFailedError, match="10 x "):
        _sampler(FunctionOracle(bad, box)).run(40)


def test_a_failure_is_retried_at_its_price_and_then_left(box: Box) -> None:
    seen: dict[tuple[float, ...], int] = {}

    def flaky(x: np.ndarray) -> np.ndarray:
        key = tuple(x[0].tolist())
        seen[key] = seen.get(key, 0) + 1
        if x[0, 0] < 0.2 or (x[0, 0] < 0.5 and seen[key] < 3):
            raise RuntimeError("not now")
        return x.sum(axis=1)

    run = _sampler(FunctionOracle(flaky, box), strategy="sobol", retries=2).run(60)
    assert run.n_evaluations == sum(seen.values()) == 60
    assert max(seen.values()) == 3
    last = {tuple(e.x.tolist()): e for e in run.evaluations}
    for point, evaluation in last.items():
        if seen[point] == 3 or point[0] >= 0.5:
            assert (evaluation.status == "ok") == (point[0] >= 0.2)
            assert evaluation.attempt == seen[point]


def test_a_keyboard_interrupt_leaves_a_run_file_that_continues(box: Box, tmp_path: Path) -> None:
    calls = 0

    def interrupted(x: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 14:
            raise KeyboardInterrupt
        return x.sum(axis=1)

    oracle = FunctionOracle(interrupted, box)
    path = tmp_path / "run.jsonl"
    with pytest.raises(KeyboardInterrupt):
        _sampler(oracle, run_file=path).run(30)
    assert len(read(path).evaluations) == 13
    assert _sampler(oracle, run_file=path, existing="resume").run(30).n_evaluations == 30
    assert calls == 31


def test_the_dataframe_has_a_row_a_round(oracle: ExpressionOracle) -> None:
    frame = _sampler(oracle, batch_size=5).run(20).to_dataframe()
    assert list(frame["n_evaluations"]) == [10, 15, 20]
    assert {"mae", "rmse", "max", "round", "training_set"} <= set(frame.columns)


def test_evaluate_answers_every_point_once_whatever_the_file_holds_besides(
    box: Box, tmp_path: Path
) -> None:
    oracle = FunctionOracle(lambda x: x[:, 0] + x[:, 1], box)
    path, settings = tmp_path / "run.jsonl", {"surrogate": "polynomial", "n_initial": 4}
    first = Sampler(oracle, **settings, run_file=path)
    x = first.ask()
    results = first.evaluate(x)
    first.tell([[0.5, 0.5]], [1.0])  # by somebody else, meanwhile
    first.tell(x, results)
    first.close()
    again = Sampler(oracle, **settings, run_file=path, existing="resume")
    x = again.ask()
    results = again.evaluate(x)
    assert [e.x.tolist() for e in results] == x.tolist()
    again.tell(x, results)
    assert len(again.data) == 5
    again.close()


def test_evaluations_told_back_are_those_of_the_points(box: Box) -> None:
    sampler = Sampler(FunctionOracle(lambda x: x[:, 0], box), surrogate="polynomial")
    x = sampler.ask(3)
    results = sampler.evaluate(x)
    with pytest.raises(ValueError, match="got 3 points and 2 evaluations"):
        sampler.tell(x, results[:2])
    with pytest.raises(ValueError, match=r"evaluation 0 is of .*, not of .*evaluate\(x\) returned"):
        sampler.tell(x.flip(0), results)
    with pytest.raises(ValueError, match="got 3 points and 0 evaluations"):
        sampler.tell(x, [])
    stranger = [replace(e) for e in results]
    with pytest.raises(ValueError, match="was not made by this sampler; tell its values instead"):
        sampler.tell(x, stranger)
    with pytest.raises(ValueError, match="gradient"):
        sampler.tell(x, results, gradient=torch.ones(3, 1, 2))
    assert len(sampler.data) == 0
    sampler.tell(x, results)
    assert len(sampler.data) == 3
