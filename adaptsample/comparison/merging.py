"""Anyone's runs beside one another: only what is alike has one name, nothing counts twice."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from adaptsample.comparison.curves import SMALLEST_ERROR, Curve

ROUNDING = 1e-13
"""Errors that are a smaller part of the values are rounding, and no merit of whoever made them."""

_LONGEST = 60


def comparable(curves: Iterable[Curve]) -> tuple[list[Curve], list[str]]:
    """Return runs that may be compared, and say what that took.

    Oracles of one name that are different functions get names of their own, as do rivals of one
    name with different settings. Of the same run there twice the longer one counts, or the first.
    Errors that are rounding are raised to what rounding is on that oracle.

    Args:
        curves: of any runs; the first of a name keeps it.
    """
    notes: list[str] = []
    kept = _apart(_apart(list(curves), "oracle", "task", notes), "rival", "settings", notes)
    return _above_rounding(_once(kept, notes)), notes


def _apart(
    curves: Sequence[Curve],
    name: Literal["oracle", "rival"],
    key: Literal["task", "settings"],
    notes: list[str],
) -> list[Curve]:
    """Give all but the first of the things that share a name a number after it."""
    first: dict[str, dict[str, Curve]] = {}
    for curve in curves:
        first.setdefault(getattr(curve, name), {}).setdefault(getattr(curve, key), curve)
    new: dict[tuple[str, str], str] = {}
    for called, kinds in first.items():
        original, *others = kinds
        new[called, original] = called
        for number, other in enumerate(others, start=2):
            new[called, other] = f"{called} ({number})"
            difference = _difference(*(json.loads(text or "{}") for text in (original, other)))
            notes.append(
                f"{called} ({number}), from {kinds[other].path}, is not {called} from "
                f"{kinds[original].path}: {difference}"
            )
    renamed = (new[getattr(curve, name), getattr(curve, key)] for curve in curves)
    if name == "oracle":
        return [
            replace(curve, oracle=called) for curve, called in zip(curves, renamed, strict=True)
        ]
    return [replace(curve, rival=called) for curve, called in zip(curves, renamed, strict=True)]


def _difference(old: Any, new: Any, where: str = "it") -> str:
    """Say in what two values of JSON differ first."""
    if isinstance(old, dict) and isinstance(new, dict):
        key = next(key for key in {**new, **old} if old.get(key) != new.get(key))
        return _difference(old.get(key), new.get(key), f"{where}.{key}".removeprefix("it."))
    return f"{where} is {_short(new)}, not {_short(old)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _once(curves: Sequence[Curve], notes: list[str]) -> list[Curve]:
    kept: dict[tuple[str, str, int], Curve] = {}
    n_alike = 0
    for curve in curves:
        place = curve.oracle, curve.rival, curve.seed
        other = kept.setdefault(place, curve)
        if other is curve:
            continue
        known = dict(zip(other.evaluations, other.errors, strict=True))
        if all(known.get(n, e) == e for n, e in zip(curve.evaluations, curve.errors, strict=True)):
            n_alike += 1
            kept[place] = max(other, curve, key=lambda c: (c.is_finished, c.reach))
        else:
            notes.append(f"{curve.path} is {other.path} with other errors; the second counts")
    if n_alike:
        notes.append(f"runs that are there twice, alike, and count once: {n_alike}")
    return list(kept.values())


def _above_rounding(curves: Sequence[Curve]) -> list[Curve]:
    scale: dict[str, float] = {}
    for curve in curves:
        scale[curve.oracle] = max(scale.get(curve.oracle, 0.0), curve.scale)
    raised = []
    for curve in curves:
        least = max(ROUNDING * scale[curve.oracle], SMALLEST_ERROR)
        raised.append(replace(curve, errors=tuple(max(error, least) for error in curve.errors)))
    return raised
