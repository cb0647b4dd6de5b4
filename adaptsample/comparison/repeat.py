"""The command line that repeats a run, read from the specification in its run file."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Literal

from adaptsample.core.domain import parse_bounds
from adaptsample.core.files import Record
from adaptsample.core.text import file_name
from adaptsample.oracles.problems import PROBLEMS
from adaptsample.record.run_file import Recorded
from adaptsample.registry import describe, label, make_strategy, make_surrogate, rebuild

MALFORMED = (
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ValueError,
    OverflowError,
    RecursionError,
)
"""What reading raises where a record is not what this library writes."""

_DEFAULTS: Mapping[str, Any] = {
    "design": "sobol",
    "gradient_cost": 1.0,
    "retries": 0,
    "record_every": 1,
    "timeout": None,
}


def command_of(recorded: Recorded) -> str | None:
    """Return the ``adaptsample run`` command that makes the same run again, quoted for a shell.

    None if the specification does not say enough: an oracle that is a Python function or a table,
    or a recipe that is registered nowhere. How many workers evaluated is not recorded, nor where
    the results went.
    """
    try:
        options = list(_options(recorded))
    except MALFORMED:
        return None
    # joined by a sign where a value would be taken for an option
    words = [
        part
        for name, value in options
        for part in ([f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value])
    ]
    words += ["--asynchronous"] if recorded.spec.get("asynchronous") else []
    return shlex.join(["adaptsample", "run", *words])


def labels_of(recorded: Recorded) -> tuple[str, str]:
    """Return the oracle, and the surrogate with the strategy, as people would write them.

    These are the names of the folders, except where it is plain what a folder's name stands for.
    """
    folder, run = recorded.path.absolute().parent.parent.name, recorded.path.absolute().parent.name
    try:
        parts = [
            _recipe(recorded.spec, "surrogate"),
            _recipe(recorded.spec, "strategy"),
        ]
        if "-".join(map(file_name, parts)) == run:
            run = "-".join(parts)
    except MALFORMED:
        pass
    for kind, text in _texts(recorded.spec):
        bounds = {name: tuple(pair) for name, pair in recorded.spec["domain"].items()}
        folder = text if file_name(f"{kind} {text} {bounds}") == folder else folder
    return folder, run


def strategy_names(text: str) -> list[str]:
    """Return what a strategy that was typed may be called in names of rivals, as typed first."""
    names = [text, file_name(text)]
    with suppress(ValueError):  # it may be the name of a folder
        names.append(label(make_strategy(text)))
    return list(dict.fromkeys(names))


def _texts(spec: Record) -> Iterator[tuple[str, str]]:
    """Yield what a formula or a command is, if the oracle is one."""
    oracle = spec.get("oracle")
    if isinstance(oracle, dict) and isinstance(oracle.get("text"), str):
        yield "expr", oracle["text"]
    elif isinstance(oracle, dict) and isinstance(oracle.get("command"), list):
        yield "command", shlex.join(map(str, oracle["command"]))


def _options(recorded: Recorded) -> Iterator[tuple[str, str]]:
    """Yield options and their values.

    Raises:
        ValueError: something cannot be written as an option; or any other of `MALFORMED`.
    """
    spec, end = recorded.spec, recorded.end or {}
    yield from _oracle(spec, recorded.path.absolute().parent.parent.name)
    yield "surrogate", _recipe(spec, "surrogate")
    yield "strategy", _recipe(spec, "strategy")
    budget = end.get("budget", spec["budget"])  # a continued run may have been given more
    if budget is not None:
        yield "budget", _number(budget)
    if end.get("tolerance") is not None:
        yield "tolerance", _number(end["tolerance"])
    for name in ("n_initial", "batch_size", "seed"):
        yield name.replace("_", "-"), str(spec[name])
    for name, default in _DEFAULTS.items():
        value = spec.get(name, default)
        if value != default:
            yield name.replace("_", "-"), value if isinstance(value, str) else _number(value)


def _oracle(spec: Record, folder: str) -> Iterator[tuple[str, str]]:
    oracle = spec["oracle"]
    if folder in PROBLEMS and describe(PROBLEMS[folder]) == oracle:
        yield "oracle", folder
        return
    if not isinstance(oracle, dict):
        raise ValueError("somebody else evaluated")
    if oracle["name"] == "expression_oracle" and isinstance(oracle["text"], str):
        yield "expr", oracle["text"]
    elif oracle["name"] == "command_oracle" and not oracle["with_gradient"]:
        if oracle["seed"] != spec["seed"]:
            raise ValueError("the command line has one seed for both")
        yield "command", shlex.join(oracle["command"])
        if oracle["n_outputs"] != 1:
            yield "n-outputs", str(oracle["n_outputs"])
        if oracle["output_file"] is not None:
            yield "output-file", oracle["output_file"]
    else:
        raise ValueError("no option names such an oracle")
    bounds = [f"{name}={_number(a)}:{_number(b)}" for name, (a, b) in spec["domain"].items()]
    if parse_bounds(bounds) != {name: tuple(pair) for name, pair in spec["domain"].items()}:
        raise ValueError("bounds that cannot be written")
    for bound in bounds:
        yield "bound", bound


def _recipe(spec: Record, kind: Literal["surrogate", "strategy"]) -> str:
    return _typed(kind, json.dumps(spec[kind]))


@cache  # many runs share a recipe
def _typed(kind: str, description: str) -> str:
    described = json.loads(description)
    text = label(rebuild(described))
    make = make_surrogate if kind == "surrogate" else make_strategy
    if describe(make(text)) != described:
        raise ValueError(f"the {kind} cannot be written as text")
    return text


def _number(value: float) -> str:
    """Return the shortest text that reads back as the same number."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)
