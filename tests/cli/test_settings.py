"""Options of settings: each as the specification has it."""

import argparse

from adaptsample.cli.main import make_parsers
from adaptsample.cli.run import experiment_of
from adaptsample.cli.settings import OF_EVALUATION, OF_RUN, add_settings, given_settings
from adaptsample.loop.specification import SETTINGS, Specification
from adaptsample.oracles.problems import problem

VALUES = {
    "seed": "3",
    "n_initial": "7",
    "batch_size": "4",
    "design": "uniform",
    "gradient_cost": "0.5",
    "retries": "2",
    "record_every": "3",
    "asynchronous": None,
    "timeout": "2.5",
}


def test_every_setting_is_an_option_of_a_run_and_reaches_the_specification() -> None:
    assert set(VALUES) == set(SETTINGS) == {*OF_RUN, *OF_EVALUATION}
    words = [
        word
        for name, value in VALUES.items()
        for word in (f"--{name.replace('_', '-')}", value)
        if word is not None
    ]
    specification = experiment_of(make_parsers()["run"].parse_args(words)).specification
    assert {name: getattr(specification, name) for name in SETTINGS} == {
        "seed": 3,
        "n_initial": 7,
        "batch_size": 4,
        "design": "uniform",
        "gradient_cost": 0.5,
        "retries": 2,
        "record_every": 3,
        "asynchronous": True,
        "timeout": 2.5,
    }


def test_what_is_not_given_is_as_the_specification_has_it() -> None:
    specification = experiment_of(make_parsers()["run"].parse_args([])).specification
    assert specification.difference(Specification(problem("peak")).to_record()) == ""


def test_a_preset_sets_what_is_not_given() -> None:
    words = ["--preset", "source", "--strategy", "topk", "--batch-size", "8"]
    experiment = experiment_of(make_parsers()["run"].parse_args(words))
    specification = experiment.specification
    assert (specification.n_initial, specification.batch_size) == (500, 8)
    assert (specification.design, experiment.budget) == ("uniform", 3000)


def test_help_has_the_default_or_the_words_for_it() -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser, "design", "n_initial", "seed", defaults={"seed": "today"})
    told = " ".join(parser.format_help().split())
    assert "of the initial points (default: sobol)" in told
    assert "(default: 5 for each variable, at least 10)" in told
    assert "of everything random (default: today)" in told
    assert given_settings(parser.parse_args(["--seed", "0"])) == {"seed": 0}


def test_a_comparison_takes_the_settings_of_runs() -> None:
    options = make_parsers()["compare"].parse_args(["--design", "chebyshev"])
    assert given_settings(options) == {"design": "chebyshev"}
