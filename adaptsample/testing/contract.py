"""What the contracts share: cases of a test, what does not apply, and checks of numbers.

pytest runs the contracts and is not needed to import them.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

from adaptsample.core.domain import Box
from adaptsample.core.shapes import Points, Values
from adaptsample.core.text import snake_case
from adaptsample.registry import describe, label, rebuild


class Contract:
    """Tests that are inherited, with the cases of their arguments."""

    def cases(self) -> Mapping[str, Iterable[object]]:
        """Return the values that arguments of tests take, by the arguments' names."""
        return {}

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Let pytest run a test once for each combination of its arguments' cases."""
        for name, values in self.cases().items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, list(values), ids=str)


def does_not_apply(reason: str) -> NoReturn:
    """Skip a test.

    Raises:
        SkipTest: always; pytest shows the reason.
    """
    raise SkipTest(reason)


@contextmanager
def global_randomness_untouched() -> Iterator[None]:
    """Check that nothing is drawn from the generators that Python, NumPy and torch have in common.

    Raises:
        AssertionError: something was.
    """
    before = _global_states()
    yield
    names = [name for name, state in _global_states().items() if state != before[name]]
    assert not names, (
        f"the global random state of {' and '.join(names)} has changed; draw from the generator "
        "that is given, and from nothing else"
    )


def _global_states() -> dict[str, object]:
    numpy = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (numpy["key"].tobytes(), numpy["pos"]),
        "random": random.getstate(),
    }


def check_recipe(recipe: Any) -> None:
    """Check that a recipe is a frozen dataclass of plain values.

    Raises:
        AssertionError: it is not.
    """
    name = type(recipe).__name__
    parameters = getattr(type(recipe), "__dataclass_params__", None)
    assert parameters is not None, f"{name} must be a dataclass, so that it can be written down"
    assert parameters.frozen, f"{name} must be a frozen dataclass: a recipe has no state"
    try:
        json.dumps(describe(recipe), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(
            f"{name} must be made of plain, finite values and other recipes, as run files hold "
            f"JSON: {error}"
        ) from error


def check_made_again(recipe: Any, make: Callable[[str], Any], known: Mapping[str, type]) -> None:
    """Check that a recipe is the same after it was written as text, or as JSON, and read.

    Args:
        recipe: a frozen dataclass.
        make: reads the text.
        known: what is registered.

    Raises:
        AssertionError: it is another.
        SkipTest: its class is not registered.
    """
    name = snake_case(type(recipe).__name__)
    if known.get(name) is not type(recipe):
        does_not_apply(f"{name} is not registered: no entry point names its package")
    text = label(recipe)
    assert make(text) == recipe, f"{text} is read as another recipe, {make(text)!r}"
    description = json.loads(json.dumps(describe(recipe)))
    assert rebuild(description) == recipe, f"what {description} describes is another recipe"


def check_numbers(numbers: object, shape: tuple[int | None, ...], what: str) -> None:
    """Check that numbers are finite, of type float64 and of a shape.

    Args:
        numbers: a tensor, if all is well.
        shape: sizes of its axes; None is any size but 0.
        what: the numbers are.

    Raises:
        AssertionError: they are not.
    """
    assert isinstance(numbers, Tensor), (
        f"{what} must be a tensor where a tensor was asked, and is a {type(numbers).__name__}"
    )
    fits = numbers.ndim == len(shape) and all(
        given == size or (size is None and given > 0)
        for given, size in zip(numbers.shape, shape, strict=True)
    )
    wanted = ", ".join("any" if size is None else str(size) for size in shape)
    assert fits, f"{what} must have the shape ({wanted}), and has {tuple(numbers.shape)}"
    assert numbers.dtype == torch.float64, f"{what} must be float64, and is {numbers.dtype}"
    assert bool(torch.isfinite(numbers).all()), f"{what} must be finite"


def check_gradient(
    value: Callable[[Points], Values],
    gradient: Callable[[Points], Tensor],
    box: Box,
    u: Points,
    *,
    rtol: float,
    atol: float,
) -> None:
    """Check a gradient against differences of the fourth order.

    They are taken in the unit cube of the box, where all variables have the same scale.

    Args:
        value: of n points, (n, k).
        gradient: at n points, (n, k, d).
        box: of the variables.
        u: points of the unit cube, 2e-5 or more from its faces (n, d).
        rtol: error that is allowed, by the size of each number.
        atol: error that is allowed anyway, in units of the values.

    Raises:
        AssertionError: another shape, or another slope.
    """

    def shifted(step: Tensor) -> Values:
        return value(box.from_unit(u + step))

    told = gradient(box.from_unit(u))
    n, d = u.shape
    check_numbers(told, (n, value(box.from_unit(u)).shape[1], d), "gradient(x)")
    told = told * (box.upper - box.lower)
    for j, step in enumerate(1e-5 * torch.eye(d, dtype=torch.float64)):
        near = shifted(step) - shifted(-step)
        far = shifted(2 * step) - shifted(-2 * step)
        slope = (8 * near - far) / 12e-5
        off = (told[:, :, j] - slope).abs()
        assert bool((off <= atol + rtol * slope.abs()).all()), (
            f"gradient(x) by {box.names[j]} is no slope of the values: it is off by up to "
            f"{float(off.max()):.1e} over the range of {box.names[j]}"
        )
