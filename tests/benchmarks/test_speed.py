"""Measurements of speed: choices that must be equal, and tables."""

import json
from unittest.mock import patch

import pytest
import torch

from benchmarks.speed.selection_speed import HELD, MODES, STORE, portable_draw, small_task
from benchmarks.speed.startup import HERE, TASKS, Start, start, table


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", HELD)
def test_strategies_choose_the_rows_that_bmdal_reg_chooses(method: str, mode: str) -> None:
    kept = json.loads(STORE.read_text())
    assert kept["made_by"] == "bmdal_reg 3.0.2"
    with patch.object(torch, "multinomial", portable_draw):
        chosen = small_task().ours(method, alone=MODES[mode])
    assert chosen == kept["choices"][method][mode]


def _starts(*seconds: float, modules: tuple[str, ...] = ()) -> dict[str, list[Start]]:
    return {task: [Start(some, frozenset(modules)) for some in seconds] for task in TASKS}


def test_starts_are_told_by_medians_and_by_what_was_imported() -> None:
    row = table(_starts(0.1, 0.2, 0.9, modules=("os", "torch", "sympy.core"))).splitlines()[2]
    assert row == "| Python itself | 0.20 | 3 | torch |"


def test_another_checkout_stands_beside_with_ratios_of_times() -> None:
    here, there = _starts(0.2), _starts(0.1, 0.5, 0.6, modules=("sympy", "torch"))
    there["`adaptsample list`"] = []  # unknown there
    rows = table(here, there).splitlines()
    assert rows[2] == "| Python itself | 0.20 | 0 | - | 0.50 | 2 | torch, sympy | 2.5 |"
    assert rows[5] == "| `adaptsample list` | 0.20 | 0 | - | - | - | - | - |"


def test_a_start_has_the_modules_of_its_own_process_alone() -> None:
    bare = start(TASKS["Python itself"], HERE)
    assert bare is not None
    assert bare.seconds > 0
    assert "sys" in bare.modules
    assert "pytest" not in bare.modules
    assert start("raise SystemExit(2)", HERE) is None
