"""What a run is specified by, checked once: everything that decides what it does.

Two runs of one specification on one machine are the same run. It is the first line of a run file,
from which it can be read back where oracle, surrogate and strategy can be written down.

Here, and nowhere else, a setting has its name, default, range and help: `Sampler`, `Experiment`,
the command line and the run file are fed by the fields of `Specification`. It is imported without
torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from inspect import Parameter, signature
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, final, get_args

from adaptsample import acquisition, core, oracles, surrogates
from adaptsample.core.provenance import commit, versions

if TYPE_CHECKING:
    from adaptsample.acquisition import Strategy
    from adaptsample.core import Box
    from adaptsample.oracles import Oracle
    from adaptsample.surrogates import Surrogate

F = TypeVar("F", bound=Callable[..., Any])

Design: TypeAlias = Literal["sobol", "uniform", "latin_hypercube", "chebyshev", "mapped_chebyshev"]

_MAY_DIFFER = ("kind", "format", "budget", "timeout", "as_written", "versions", "commit")


@final
@dataclass(frozen=True)
class Setting:
    """What people are told of a setting, and which values it may have.

    Args:
        help: what it decides, in a line.
        kind: of its values: a whole number, a number, text, or yes and no.
        least: the smallest number.
        is_above: whether a number must be larger than ``least``.
        choices: the texts that it may be; any, if there are none.
        metavar: what stands for the value in help, if not its name.
        default_text: the default in words, where it follows from other things.
    """

    help: str
    kind: type[int | float | str | bool]
    least: float = -inf
    is_above: bool = False
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    default_text: str | None = None

    def check(self, name: str, value: object) -> None:
        """Refuse a value that the setting may not have.

        Raises:
            ValueError: the message names the setting, the value and what it may be.
        """
        if self.kind is str:
            if value not in self.choices:
                raise ValueError(f"{name} must be one of {self.choices}, got {value!r}")
            return
        if self.kind is bool:
            if not isinstance(value, bool):
                raise ValueError(f"{name} must be True or False, got {value!r}")
            return
        numbers = int if self.kind is int else (int, float)
        if isinstance(value, numbers) and not isinstance(value, bool) and self._holds(value):
            return
        what = "a whole number" if self.kind is int else "a finite number"
        if self.least > -inf:
            what += f" {'above' if self.is_above else 'of at least'} {self.least:g}"
        raise ValueError(f"{name} must be {what}, got {value!r}")

    def _holds(self, value: float) -> bool:
        return isfinite(value) and (value > self.least if self.is_above else value >= self.least)


def _setting(default: object, help: str, kind: type, **more: Any) -> Any:
    return field(default=default, metadata={"setting": Setting(help, kind, **more)}, kw_only=True)


def _recipe(text: str) -> Any:
    return field(default=text, kw_only=True)


@final
@dataclass(frozen=True, eq=False)
class Specification:
    """Everything that decides what a run does.

    Args:
        source: the oracle, or the domain alone if somebody else evaluates.
        surrogate: what is fitted: a recipe, or its text, e.g. ``"mlp(hidden=(30, 30))"``.
        strategy: what proposes: a recipe, or its text, e.g. ``"topk(n_candidates=500)"``.

    Raises:
        ValueError: an argument that cannot be used; the message names it and the remedy.
    """

    source: Oracle | Box
    surrogate: Surrogate = _recipe("auto")
    strategy: Strategy[Any] = _recipe("topk")
    seed: int = _setting(0, "of everything random", int)
    n_initial: int = _setting(
        *(None, "evaluations of the initial design", int),
        least=1,
        default_text="5 for each variable, at least 10",
    )
    batch_size: int = _setting(10, "points proposed in a round", int, least=1)
    design: Design = _setting("sobol", "of the initial points", str, choices=get_args(Design))
    gradient_cost: float = _setting(1.0, "of a gradient, in evaluations", float, least=0.0)
    retries: int = _setting(
        0, "how often a failed evaluation is tried again, at full price", int, least=0
    )
    record_every: int = _setting(1, "between two error measures", int, least=1, metavar="ROUNDS")
    asynchronous: bool = _setting(
        False, "ask for one new point as each result arrives, batch_size of them under way", bool
    )
    timeout: float | None = _setting(
        *(None, "end an evaluation that takes longer, with all that it started", float),
        least=0.0,
        is_above=True,
        metavar="SECONDS",
    )

    def __post_init__(self) -> None:
        if not isinstance(self.source, (core.Box, oracles.Oracle)):
            raise ValueError(
                f"{self.source!r} is no oracle; wrap a function as "
                "FunctionOracle(function, Box(...))"
            )
        self._read_texts()
        if not isinstance(self.surrogate, surrogates.Surrogate):
            raise ValueError(f"{self.surrogate!r} is no surrogate: it has no fit(data, generator)")
        surrogates.check_fit(self.surrogate)
        if not isinstance(self.strategy, acquisition.Strategy):
            raise ValueError(f"{self.strategy!r} is no strategy; derive it from Strategy")
        if self.strategy.uses_model:
            surrogates.check_capable(self.surrogate, self.strategy.requires)
        if self.n_initial is None:
            object.__setattr__(self, "n_initial", max(10, 5 * self.domain.dimension))
        for name, setting in SETTINGS.items():
            value = getattr(self, name)
            if value is not None or DEFAULTS[name] is not None:
                setting.check(name, value)

    @property
    def oracle(self) -> Oracle | None:
        """What is evaluated; None if somebody else evaluates."""
        return None if isinstance(self.source, core.Box) else self.source

    @property
    def domain(self) -> Box:
        """The points that may be asked."""
        return self.source if isinstance(self.source, core.Box) else self.source.domain

    def check_budget(self, budget: float) -> None:
        """Refuse a budget that a run cannot be made with.

        Raises:
            ValueError: it is below the initial design, or not finite.
        """
        if not self.n_initial <= budget < inf:
            raise ValueError(
                f"budget {budget} does not cover the initial design of {self.n_initial} "
                "evaluations; raise the budget or lower n_initial"
            )

    def to_record(self, budget: float = inf) -> dict[str, Any]:
        """Return everything needed to repeat a run of that budget, as plain JSON values."""
        describe = _registry().describe
        return {
            "oracle": None if self.oracle is None else describe(self.oracle),
            "domain": dict(zip(self.domain.names, map(list, self.domain.bounds), strict=True)),
            "surrogate": describe(self.surrogate),
            "strategy": describe(self.strategy),
            **{name: getattr(self, name) for name in SETTINGS},
            "budget": budget if isfinite(budget) else None,
            "versions": versions(),
            "commit": commit(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], **given: Any) -> Specification:
        """Read a run file's first line back.

        Args:
            record: the line.
            given: oracle, surrogate or strategy, where the line cannot say what they were.

        Raises:
            ValueError: one that was not given and cannot be made again.
        """
        rebuild = _registry().rebuild
        made = {name: part for name, part in given.items() if part is not None}
        for name in {"oracle", "surrogate", "strategy"} - {*made}:
            try:
                made[name] = rebuild(record[name])
            except ValueError as error:
                raise ValueError(
                    f"the run file only describes its {name} ({error}); give it: "
                    f"resume(path, {name}=...)"
                ) from error
        source = made.pop("oracle") or core.Box(record["domain"])
        settings = {name: record[name] for name in SETTINGS if record.get(name) is not None}
        return cls(source, **made, **settings)

    def difference(self, record: Mapping[str, Any]) -> str:
        """Say where a run file's first line is of another run; empty if nowhere.

        Budget, timeout and versions may differ. What a file of an earlier version does not say is
        as it is by default. A damaged line, an empty one, differs from none.
        """
        now = self.to_record()
        for name in sorted({*now, *record} - {*_MAY_DIFFER}) if record else ():
            old, new = record.get(name), now.get(name)
            if old is None:
                old = DEFAULTS.get(name)
            if old != new:
                return f"{name} is {old!r} there and {new!r} now"
        return ""

    def _read_texts(self) -> None:
        """Make recipes of their texts."""
        registry = _registry()
        makers = {"surrogate": registry.make_surrogate, "strategy": registry.make_strategy}
        for name, make in makers.items():
            if isinstance(text := getattr(self, name), str):
                object.__setattr__(self, name, make(text))


SETTINGS: Final[Mapping[str, Setting]] = {
    f.name: f.metadata["setting"] for f in fields(Specification) if "setting" in f.metadata
}
"""Every setting by name: what people are told of it."""

DEFAULTS: Final[Mapping[str, Any]] = {
    f.name: f.default for f in fields(Specification) if f.default is not MISSING
}
"""What is not given; recipes by name."""

Specification.__doc__ = f"{Specification.__doc__}\n    Settings:\n" + "\n".join(
    f"        {name}: {setting.help} (default: {setting.default_text or DEFAULTS[name]})."
    for name, setting in SETTINGS.items()
)


def _registry() -> Any:
    from adaptsample import registry  # noqa: PLC0415  # it brings torch

    return registry


def takes_settings(function: F) -> F:
    """Show all settings in the signature of a function that hands them on as ``**settings``."""
    own = signature(function)
    named = [p for p in own.parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    more = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default)
        for name, default in DEFAULTS.items()
    ]
    function.__signature__ = own.replace(parameters=[*named, *more])  # type: ignore[attr-defined]
    return function


def check_names(settings: Mapping[str, Any]) -> None:
    """Refuse settings that there are not.

    Raises:
        TypeError: the message names it and what is near.
    """
    for name in settings:
        if name not in DEFAULTS:
            near = get_close_matches(name, DEFAULTS, n=3) or [*DEFAULTS]
            raise TypeError(f"there is no setting {name!r}; did you mean {' or '.join(near)}?")
