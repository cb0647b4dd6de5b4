"""Evaluations that somebody else made, checked before they are believed."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy.typing as npt
import torch
from torch import Tensor

from adaptsample.core.domain import Box
from adaptsample.core.shapes import Points
from adaptsample.evaluation.asking import judge
from adaptsample.evaluation.evaluation import LONGEST_MESSAGE, Evaluation, Status

Array: TypeAlias = Tensor | npt.ArrayLike


def told(
    domain: Box,
    x: Array,
    y: Array | list[Any],
    gradient: Array | None,
    *,
    n_outputs: int | None,
    gradient_cost: float,
    round: int,
) -> list[Evaluation]:
    """Return the evaluations that somebody else made.

    Args:
        domain: where the points must lie.
        x: points (n, d).
        y: values (n,) or (n, k); those that are not finite make failed evaluations.
        gradient: d y_k / d x_d (n, k, d), or None.
        n_outputs: k, if it is known already.
        gradient_cost: price of a gradient.
        round: the round to count them in.

    Raises:
        ValueError: what is not numbers, has the wrong shape, or lies outside the domain.
    """
    points, values = _numbers(x, "x"), _numbers(y, "y")
    values = values[:, None] if values.ndim == 1 else values
    d, k = domain.dimension, n_outputs or values.shape[-1]
    if points.ndim != 2 or points.shape[1] != d or values.shape != (len(points), k):
        raise ValueError(
            f"tell() needs x of shape (n, {d}) and y of shape (n,) or (n, {k}), "
            f"got {tuple(points.shape)} and {tuple(values.shape)}"
        )
    _check_inside(domain, points)
    slopes = None if gradient is None else _numbers(gradient, "gradient")
    if slopes is not None and slopes.shape != (len(points), k, d):
        raise ValueError(
            f"gradient must have shape {(len(points), k, d)}, got {tuple(slopes.shape)}"
        )
    price = 1.0 if slopes is None else 1.0 + gradient_cost
    return [
        judge(point, values[i], None if slopes is None else slopes[i], price=price, round=round)
        for i, point in enumerate(points)
    ]


def told_failed(domain: Box, x: Array, reason: str, *, round: int) -> list[Evaluation]:
    """Return the evaluations of points (n, d) that somebody else made in vain; see `told`."""
    points = _numbers(x, "x")
    if points.ndim != 2 or points.shape[1] != domain.dimension:
        raise ValueError(f"x must have shape (n, {domain.dimension}), got {tuple(points.shape)}")
    _check_inside(domain, points)
    message = reason[:LONGEST_MESSAGE]
    return [Evaluation(x, None, None, Status.FAILED, message, round=round) for x in points]


def check_told(
    x: Array,
    evaluations: list[Evaluation],
    gradient: Array | None,
    *,
    is_recorded: Callable[[Evaluation], bool],
) -> list[Evaluation]:
    """Return evaluations that are told back, if they are those of the points (n, d).

    Raises:
        ValueError: another number of them, of other points, some that are not on record, or a
            gradient beside them.
    """
    if gradient is not None:
        raise ValueError("evaluations have their gradients with them; leave gradient out")
    points = _numbers(x, "x")
    if len(points) != len(evaluations):
        raise ValueError(f"tell() got {len(points)} points and {len(evaluations)} evaluations")
    for i, (point, evaluation) in enumerate(zip(points, evaluations, strict=True)):
        if not torch.equal(point, evaluation.x):
            raise ValueError(
                f"evaluation {i} is of {evaluation.x.tolist()}, not of {point.tolist()}; "
                "tell what evaluate(x) returned, in that order"
            )
        if not is_recorded(evaluation):
            raise ValueError(
                f"evaluation {i} was not made by this sampler; tell its values instead: tell(x, y)"
            )
    return evaluations


def _check_inside(domain: Box, points: Points) -> None:
    inside = domain.contains(points)
    if not bool(inside.all()):
        raise ValueError(f"{points[~inside][0].tolist()} is outside the domain {domain}")


def _numbers(values: Any, name: str) -> Tensor:
    try:
        return torch.as_tensor(values, dtype=torch.float64).detach().clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is no array of numbers: {error}") from None
