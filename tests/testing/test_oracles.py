"""The contract of oracles catches each promise that is broken, and names it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, final
from unittest import SkipTest

import pytest
import torch
from torch import Generator, Tensor

from adaptsample import Box
from adaptsample.testing import OracleContract

_MOODS = count()
BOX = Box({"x": (0, 1), "y": (-2, 3)})


@final
@dataclass(frozen=True)
class Broken:
    """Breaks one promise at a time."""

    how: str = ""

    @property
    def domain(self) -> Any:
        return BOX.bounds if self.how == "bounds, no box" else BOX

    @property
    def n_outputs(self) -> int:
        return 0 if self.how == "no output" else 1

    @property
    def exact(self) -> Any:
        return Broken("inexact") if self.how == "inexact" else self

    def __call__(self, x: Tensor) -> Tensor:
        if self.how == "writes into x":
            x += 1
        y = x.prod(dim=1, keepdim=True)
        changed: dict[str, Callable[[], Tensor]] = {
            "another shape": lambda: y[:, 0],
            "short numbers": y.float,
            "fails in the corners": lambda: torch.where(x[:, :1] == 1, torch.nan, y),
            "moody": lambda: y + next(_MOODS),
            "looks at its neighbours": lambda: y - y.mean(),
            "minds the order": lambda: y + torch.arange(len(y))[:, None],
        }
        return changed.get(self.how, lambda: y)()

    def gradient(self, x: Tensor) -> Tensor:
        slopes = x.flip(1)[:, None]
        return 2 * slopes if self.how == "another slope" else slopes

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        factor = 2 if self.how == "two answers" else 1
        return self(x) * factor, self.gradient(x)

    def sample(self, x: Tensor, *, generator: Generator) -> Tensor:
        if self.how == "deaf to its generator":
            return self(x)
        noise = torch.randn(len(x), 1, dtype=torch.float64, generator=generator)
        return self(x) + noise + (next(_MOODS) if self.how == "noise of its own" else 0)


@final
@dataclass(frozen=True)
class BrokenPool:
    how: str = ""
    domain: Box = BOX
    n_outputs: int = 1

    @property
    def pool(self) -> Tensor:
        rows = BOX.grid(3)
        return {
            "a row twice": torch.cat([rows, rows[:1]]),
            "a row outside": torch.cat([rows, rows[:1] - 1]),
            "no rows": rows[:0],
        }.get(self.how, rows)

    def __call__(self, x: Tensor) -> Tensor:
        return x.sum(dim=1, keepdim=True)


NAMES = "test_an_oracle_names_its_domain_and_the_number_of_its_outputs"
FINITE = "test_values_are_finite_on_the_closed_domain"
SAME = "test_the_same_point_gets_the_same_value_in_any_batch"
SLOPE = "test_the_gradient_is_the_slope_of_the_values"
JOINT = "test_value_and_gradient_of_one_call_are_those_of_two"
POOL = "test_a_finite_pool_has_each_of_its_points_once"
SAMPLES = "test_samples_follow_from_their_generator"
EXACT = "test_the_exact_version_is_of_the_same_kind_and_exact_itself"

BREACHES = [
    (Broken("bounds, no box"), NAMES, "must be a Box"),
    (Broken("no output"), NAMES, "at least 1"),
    (abs, NAMES, "domain, n_outputs and __call__"),
    (Broken("another shape"), FINITE, r"shape \(54, 1\)"),
    (Broken("short numbers"), FINITE, "float64"),
    (Broken("fails in the corners"), FINITE, "finite"),
    (Broken("writes into x"), FINITE, "leave the points"),
    (Broken("moody"), SAME, "same points"),
    (Broken("looks at its neighbours"), SAME, "alone"),
    (Broken("minds the order"), SAME, "alone|any order"),
    (Broken("another slope"), SLOPE, "no slope of the values"),
    (Broken("two answers"), JOINT, "values of a plain call"),
    (BrokenPool("a row twice"), POOL, "once"),
    (BrokenPool("a row outside"), POOL, "within the domain"),
    (BrokenPool("no rows"), POOL, "must have a row"),
    (Broken("deaf to its generator"), SAMPLES, "another sample"),
    (Broken("noise of its own"), SAMPLES, "equal samples"),
    (Broken("inexact"), EXACT, "its own exact version"),
]


def _hold(oracle: Any, promise: str) -> None:
    contract = OracleContract()
    contract.oracle = oracle
    getattr(contract, promise)()


@pytest.mark.parametrize(("broken", "promise", "message"), BREACHES)
def test_the_contract_catches_a_broken_oracle(broken: Any, promise: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        _hold(broken, promise)


@pytest.mark.parametrize("promise", sorted({promise for _, promise, _ in BREACHES}))
def test_the_contract_lets_sound_oracles_pass(promise: str) -> None:
    with suppress(SkipTest):  # no gradient between the rows of a pool, no pool
        _hold(BrokenPool(), promise)
    with suppress(SkipTest):
        _hold(Broken(), promise)
