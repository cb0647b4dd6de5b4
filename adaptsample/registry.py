"""Finds strategies and surrogates by name, and turns recipes into text and back.

The entry-point groups ``adaptsample.strategies`` and ``adaptsample.surrogates`` name packages,
modules or classes; those of this package come first, then anyone's. Every final recipe class in a
package's public modules, and every one that a package hands on, is registered under its class name
in snake_case, so a new file is found with no list to edit. What cannot be used is a warning, and
stops nobody. A recipe can be written with its hyper-parameters, e.g.
``topk(n_candidates=500, retirement=drop_lowest("change"))``: a call whose arguments are literals or
other recipes. Such text is parsed, never evaluated.
"""

import ast
import importlib
import importlib.util
import json
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract, isclass, isroutine
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard, TypeVar

import cloudpickle

from adaptsample import oracles, training
from adaptsample.acquisition import features, forgetting, gradients, selection
from adaptsample.acquisition.strategy import Strategy
from adaptsample.core.domain import Box
from adaptsample.core.text import near, snake_case
from adaptsample.errors import PluginWarning, UnknownNameError
from adaptsample.oracles import ExpressionOracle
from adaptsample.surrogates.protocol import Surrogate

T = TypeVar("T")

_LATER_MEMBERS = {"early_networks"}
"""Of the portfolio of the automatic surrogate, those that earlier versions did not have."""

_EARLIER_PORTFOLIOS = {"71edc560c508a45964b3ea6b1bdc81b543e7f06fd460601f063504e97fa6556c"}
"""SHA-256 of earlier ones with the same members and attributes, which had other settings."""

_PLACE = re.compile(r"((?!\d)[\w.]+(?=:[^\W\d])|.+?\.py):(.+)", re.DOTALL)
"""A module or a file, and a recipe of it."""


def strategies() -> Mapping[str, type[Strategy[Any]]]:
    """Return the registered strategies by name."""
    return _registered("adaptsample.strategies", Strategy)


def surrogates() -> Mapping[str, type[Surrogate]]:
    """Return the registered surrogates by name."""
    return _registered("adaptsample.surrogates", Surrogate)


def make_strategy(text: str) -> Strategy[Any]:
    """Build a strategy from its name, or from where its class is.

    Args:
        text: ``name``, ``path/to/file.py:Class`` or ``importable.module:Class``; options may follow
            in brackets: ``name(option=value, ...)``.

    Raises:
        UnknownNameError: no strategy or option has that name.
        ValueError: the text is no recipe, the module cannot be imported, or the hyper-parameters
            are refused.
    """
    return _build(text, "strategy", strategies(), Strategy)


def make_surrogate(text: str) -> Surrogate:
    """Build a surrogate from text; see `make_strategy`."""
    return _build(text, "surrogate", surrogates(), Surrogate)


def describe(value: object) -> Any:
    """Return a recipe or an oracle, with all that it is made of, as plain JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = [f.name for f in fields(value) if f.init and f.compare]
        options = {name: describe(getattr(value, name)) for name in parts}
        return {"name": snake_case(type(value).__name__), **options}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isroutine(value) or isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    return type(value).__name__


def rebuild(description: Any) -> Any:
    """Return what `describe` described: a recipe, or an oracle that can be written down.

    Raises:
        UnknownNameError: a part that has no registered name.
        ValueError: a part that cannot be made again from its description, e.g. a Python function.
    """
    try:
        value = _rebuilt(description)
    except TypeError as error:
        raise ValueError(f"{description!r} cannot be made again: {error}") from error
    if describe(value) != description:
        raise ValueError(f"{description!r} cannot be made again from its description")
    return value


def upgraded(description: Any) -> Any:
    """Return a recipe's description as it is written now, where an earlier version wrote it.

    Strategies had no ``filling``, ``retirement`` some of them only, and gradients that were asked
    for or not. Surrogates were limited in seconds, where they count their work now, and
    an automatic one had another portfolio by default.
    """
    name = description.get("name") if isinstance(description, Mapping) else None
    if isinstance(name, str) and name in surrogates():
        return _upgraded_surrogate(description)
    if not isinstance(name, str) or name not in strategies():
        return description
    options = dict(description)
    if isinstance(options.get("gradients"), bool):
        wanted = gradients.AllGradients() if options["gradients"] else gradients.NoGradients()
        options["gradients"] = describe(wanted)
    shared = [f for f in fields(strategies()[name]) if f.kw_only]
    return {**{f.name: describe(f.default) for f in shared}, **options}


def _upgraded_surrogate(description: Any) -> Any:
    """Return a description without limits in seconds, and without an earlier default portfolio.

    What came instead is as it is by default.
    """
    if isinstance(description, list):
        return [_upgraded_surrogate(part) for part in description]
    if not isinstance(description, Mapping):
        return description
    options = {key: _upgraded_surrogate(value) for key, value in description.items()}
    recipe = _parts().get(str(options.get("name")))
    if recipe is None or not is_dataclass(recipe):
        return options
    defaults = {f.name: describe(f.default) for f in fields(recipe)}
    kept = dict(options)
    if "seconds" not in defaults:
        kept.pop("seconds", None)
    if "members" in defaults and _is_earlier_portfolio(kept.get("members"), defaults["members"]):
        del kept["members"]
    return options if kept == options else {"name": kept["name"], **defaults, **kept}


def _is_earlier_portfolio(theirs: Any, ours: Sequence[Mapping[str, Any]]) -> bool:
    """Whether members are those that an automatic surrogate had by default in another version."""
    if not isinstance(theirs, list) or not all(isinstance(one, Mapping) for one in theirs):
        return False
    if sha256(json.dumps(theirs, sort_keys=True).encode()).hexdigest() in _EARLIER_PORTFOLIOS:
        return True
    is_of_this_version = all(one.keys() == ours[0].keys() for one in theirs)
    names, known = [one.get("name") for one in theirs], [one["name"] for one in ours]
    has_all = all(name in names for name in known if name not in _LATER_MEMBERS)
    return not is_of_this_version and has_all and all(name in known for name in names)


def label(value: object) -> str:
    """Return a recipe as it can be typed: the name, with the options that are not default."""
    if not is_dataclass(value) or isinstance(value, type):
        return str(describe(value))
    changed = [
        f"{f.name}={_option_label(getattr(value, f.name))}"
        for f in sorted(fields(value), key=lambda f: f.kw_only is True)
        if f.init and getattr(value, f.name) != f.default
    ]
    name = snake_case(type(value).__name__)
    return f"{name}({', '.join(changed)})" if changed else name


def _option_label(value: object) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        text = label(value)
        return text if text.endswith(")") else f"{text}()"  # a bare name would be no recipe
    return repr(value)


@cache
def _registered(group: str, kind: type[T]) -> dict[str, type[T]]:
    found: dict[str, type[T]] = {}
    for entry in sorted(entry_points(group=group), key=_rank):
        classes, problems = _offered(entry, kind)
        for cls in classes:
            taken = found.setdefault(snake_case(cls.__name__), cls)
            if taken is not cls:
                problems.append(
                    f"{cls.__module__}.{cls.__name__} has the name of "
                    f"{taken.__module__}.{taken.__name__}, which stays; rename it"
                )
        if problems:
            whose = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "nobody"
            message = f"plug-in {entry.name!r} of {whose}: {'; '.join(problems)}"
            warnings.warn(message, PluginWarning, stacklevel=3)
    return dict(sorted(found.items()))


def _rank(entry: EntryPoint) -> tuple[bool, str, str]:
    """Sort entry points, ours first: who comes first keeps the name."""
    return not _is_ours(entry.value), entry.dist.name if entry.dist else "", entry.name


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == __name__.partition(".")[0]


def _offered(entry: EntryPoint, kind: type[T]) -> tuple[list[type[T]], list[str]]:
    """Return the classes that an entry point leads to, and what is wrong with it.

    These are those that a module defines, and those that a package, or the entry point's own
    module, hands on; but who imports a class of ours does not offer it.
    """
    found, problems = list[type[T]](), list[str]()
    start = entry.value.partition("[")[0].strip()
    places = [start]
    while places:
        place = places.pop(0)
        try:
            value = (pkgutil.resolve_name if ":" in place else importlib.import_module)(place)
            path = getattr(value, "__path__", None)
            for cls in _recipes(value, kind):
                is_handed_on = path is not None or place == start
                is_own = _is_ours(cls.__module__) == _is_ours(start)
                if cls.__module__ == place or (is_handed_on and is_own):
                    found.append(cls)
            inside = [info.name for info in pkgutil.iter_modules(path or ())]
        except (Exception, SystemExit) as error:  # whatever it does, others go on
            problems.append(f"{place} cannot be imported ({type(error).__name__}: {error})")
        else:
            places += [f"{place}.{name}" for name in inside if not name.startswith("_")]
    if not found and not problems:
        problems.append(f"{start} has no final dataclass that is a {kind.__name__}")
    return found, problems


def _recipes(value: object, kind: type[T]) -> list[type[T]]:
    """Return the final recipes that a module holds, also those that it hands on when asked."""
    held = [value]
    if isinstance(value, ModuleType):
        names = dict.fromkeys([*vars(value), *getattr(value, "__all__", ())])
        held = [getattr(value, name) for name in names]
    return [cls for cls in held if _is_final_recipe(cls) and issubclass(cls, kind)]


def _is_final_recipe(cls: object) -> TypeGuard[type]:
    final = isclass(cls) and vars(cls).get("__final__", False)
    return bool(final and is_dataclass(cls) and not isabstract(cls))


def _parts() -> dict[str, type]:
    """Return what may stand as an argument inside a recipe's text."""
    modules = (training, features, selection, forgetting, gradients)
    own = [cls for module in modules for cls in vars(module).values() if _is_final_recipe(cls)]
    parts = {snake_case(cls.__name__): cls for cls in own}
    return {**parts, **strategies(), **surrogates()}


def _rebuilt(description: Any) -> Any:
    if isinstance(description, list):
        return tuple(map(_rebuilt, description))
    if not isinstance(description, Mapping):
        return description
    options = dict(description)
    name = options.pop("name", None)
    makers: dict[str, Callable[..., Any]] = {**_parts(), **_oracles()}
    if name not in makers:
        raise UnknownNameError(f"nothing registered is called {name!r}")
    maker = makers[name]
    if isclass(maker) and is_dataclass(maker):
        # parts without a name of their own stay as they are by default
        defaults = {f.name: f.default for f in fields(maker)}
        options = {k: v for k, v in options.items() if v != describe(defaults.get(k, MISSING))}
    return maker(**{option: _rebuilt(value) for option, value in options.items()})


def _oracles() -> dict[str, Callable[..., Any]]:
    """Return what makes oracles and domains of their descriptions."""
    classes = [getattr(oracles, name) for name in dir(oracles)]
    own = {snake_case(cls.__name__): cls for cls in classes if _is_final_recipe(cls)}
    return {**own, "box": _box, "expression_oracle": _expression_oracle}


def _box(names: tuple[str, ...], bounds: tuple[tuple[float, float], ...]) -> Box:
    return Box(dict(zip(names, bounds, strict=True)))


def _expression_oracle(text: str | tuple[str, ...], domain: Box) -> ExpressionOracle:
    return ExpressionOracle(text, domain)


def _build(text: str, noun: str, known: Mapping[str, type[T]], kind: type[T]) -> T:
    if match := _PLACE.fullmatch(text.strip()):
        place, text = match.groups()
        known = {cls.__name__: cls for cls in _recipes(_load(place), kind)}
        noun = f"final {noun} class of {place}"
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is no {noun}; write a name, or name(option=value)") from None
    recipe = _from_node(node, noun, known)
    if not isinstance(recipe, kind):
        raise ValueError(f"{text!r} is no {noun}")
    return recipe


def _from_node(node: ast.expr, noun: str, known: Mapping[str, type]) -> object:
    call = node if isinstance(node, ast.Call) else ast.Call(func=node, args=[], keywords=[])
    if not isinstance(call.func, ast.Name):
        raise ValueError(f"{ast.unparse(node)!r} is no {noun}; write a name, or name(option=value)")
    name = call.func.id
    if name not in known:
        raise UnknownNameError(f"unknown {noun} {name!r}; {near(name, known)}")
    cls = known[name]
    options = [f.name for f in fields(cls) if f.init]
    positional = [f.name for f in fields(cls) if f.init and not f.kw_only]
    given = {option: _argument(arg) for option, arg in zip(positional, call.args, strict=False)}
    if len(call.args) > len(positional):
        raise ValueError(
            f"{noun} {name!r} has {len(positional)} options without name, got {len(call.args)}"
        )
    for keyword in call.keywords:
        if keyword.arg not in options:
            raise UnknownNameError(
                f"{noun} {name!r} has no option {keyword.arg!r}; {near(str(keyword.arg), options)}"
            )
        given[keyword.arg] = _argument(keyword.value)
    try:
        return cls(**given)
    except TypeError as error:
        raise ValueError(f"{noun} {name!r}: {error}") from error


def _argument(node: ast.expr) -> object:
    if isinstance(node, ast.Call):
        return _from_node(node, "part", _parts())
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(
            f"{ast.unparse(node)!r} is no number, text, tuple or recipe (text needs quotes)"
        ) from None


def _load(place: str) -> ModuleType:
    is_file = place.endswith(".py")
    if is_file and not Path(place).is_file():
        raise ValueError(f"there is no file {place!r}")
    try:
        return _load_file(Path(place)) if is_file else importlib.import_module(place)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{place!r} cannot be imported ({reason})") from error


def _load_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # dataclasses and pickling look a class's module up by name
    sys.modules.setdefault(path.stem, module)
    cloudpickle.register_pickle_by_value(sys.modules[path.stem])  # no worker could import it
    spec.loader.exec_module(module)
    return module
