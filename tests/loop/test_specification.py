from dataclasses import FrozenInstanceError, fields, replace
from inspect import signature
from math import inf, nan
from typing import Any

import pytest

from adaptsample import Box, Sampler
from adaptsample.experiments.experiment import Experiment
from adaptsample.loop.specification import DEFAULTS, SETTINGS, Specification
from adaptsample.oracles import ExpressionOracle, FunctionOracle

BOX = Box({"x": (0, 1), "y": (-1, 1), "z": (0, 2)})
OTHERS: dict[str, Any] = {
    "seed": 7,
    "n_initial": 4,
    "batch_size": 3,
    "design": "uniform",
    "gradient_cost": 0.5,
    "retries": 2,
    "record_every": 5,
    "asynchronous": True,
    "timeout": 1.5,
}


def test_what_is_not_given_follows_from_the_domain_and_the_defaults() -> None:
    spec = Specification(BOX)
    assert (spec.n_initial, Specification(Box({"x": (0, 1)})).n_initial) == (15, 10)
    assert type(spec.surrogate).__name__ == "Auto"
    assert type(spec.strategy).__name__ == "Topk"
    assert (spec.oracle, spec.domain) == (None, BOX)


def test_every_setting_has_help_and_a_value_that_is_not_its_default_here() -> None:
    assert {*OTHERS} == {*SETTINGS}
    for name, setting in SETTINGS.items():
        assert setting.help
        assert OTHERS[name] != DEFAULTS[name]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_survives_the_run_file_and_makes_another_run(name: str) -> None:
    plain = Specification(ExpressionOracle("x*y*z", BOX), strategy="sobol", surrogate="polynomial")
    other = replace(plain, **{name: OTHERS[name]})
    again = Specification.from_record(other.to_record(30))
    assert getattr(again, name) == OTHERS[name]
    assert again.difference(other.to_record(40)) == ""
    told = plain.difference(other.to_record())
    assert told.startswith(name) or name == "timeout"  # how long one waits changes no value


@pytest.mark.parametrize("name", SETTINGS)
def test_what_an_older_file_does_not_say_is_as_by_default(name: str) -> None:
    plain = Specification(BOX, strategy="sobol", surrogate="polynomial")
    record = {k: v for k, v in plain.to_record().items() if k != name}
    assert getattr(Specification.from_record(record), name) == getattr(plain, name)
    if name != "n_initial":  # which every file says
        assert plain.difference(record) == ""
        assert plain.difference({**record, name: None}) == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", 1.0, "seed must be a whole number, got 1.0"),
        ("seed", True, "seed must be a whole number, got True"),
        ("n_initial", 0, "n_initial must be a whole number of at least 1, got 0"),
        ("batch_size", -1, "batch_size must be a whole number of at least 1, got -1"),
        ("batch_size", None, "batch_size must be a whole number of at least 1, got None"),
        ("design", "spiral", "design must be one of .*'sobol'.*, got 'spiral'"),
        ("gradient_cost", -0.1, "gradient_cost must be a finite number of at least 0, got -0.1"),
        ("gradient_cost", nan, "gradient_cost must be a finite number of at least 0, got nan"),
        ("gradient_cost", "1", "gradient_cost must be a finite number of at least 0, got '1'"),
        ("retries", -1, "retries must be a whole number of at least 0, got -1"),
        ("record_every", 0, "record_every must be a whole number of at least 1, got 0"),
        ("asynchronous", 1, "asynchronous must be True or False, got 1"),
        ("timeout", 0.0, "timeout must be a finite number above 0, got 0.0"),
        ("timeout", inf, "timeout must be a finite number above 0, got inf"),
    ],
)
def test_a_value_that_a_setting_may_not_have_is_named(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Specification(BOX, **{name: value})


def test_a_setting_that_there_is_not_is_answered_with_the_near_ones() -> None:
    with pytest.raises(TypeError, match="no setting 'batchsize'; did you mean batch_size"):
        Sampler(BOX, batchsize=3)


def test_the_sampler_shows_all_settings_with_their_defaults() -> None:
    shown = signature(Sampler).parameters
    assert {name: shown[name].default for name in DEFAULTS} == dict(DEFAULTS)


def test_a_sampler_takes_a_whole_specification_and_changes_of_it() -> None:
    spec = Specification(BOX, surrogate="polynomial", strategy="sobol", batch_size=4)
    assert Sampler(spec, seed=3).spec.seed == 3
    assert Sampler(spec, seed=3).spec.batch_size == 4


def test_it_is_frozen_and_an_experiment_adds_a_goal_and_names_only() -> None:
    spec = Specification(BOX)
    with pytest.raises(FrozenInstanceError):
        spec.seed = 1  # type: ignore[misc]
    names = {f.name for f in fields(Experiment)}
    assert names == {"specification", "labels", "budget", "tolerance"}
    assert not names & {*SETTINGS}


def test_a_damaged_line_differs_from_no_specification() -> None:
    assert Specification(BOX).difference({}) == ""


def test_what_a_file_can_only_describe_has_to_be_given() -> None:
    oracle = FunctionOracle(lambda x: x[:, 0], BOX)
    record = Specification(oracle, surrogate="polynomial", strategy="sobol").to_record()
    with pytest.raises(ValueError, match=r"describes its oracle .*give it: resume\(path"):
        Specification.from_record(record)
    assert Specification.from_record(record, oracle=oracle).oracle is oracle
