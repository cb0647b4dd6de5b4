"""Which side of the jump each point lies on: a soft step, fitted from many starts and hardened.

A jump is invisible to gradients, so it is first softened: y = a + c sigmoid(phi / width), with
polynomials a, c, phi of low degree and a width that shrinks while the fit continues. Only the signs
of phi are kept.
"""

from collections.abc import Iterator
from typing import TypeAlias

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from adaptsample.surrogates.crease import Form, Problem, Structure
from adaptsample.surrogates.jump.task import Task

Labels: TypeAlias = Bool[Tensor, " n"]
"""True on the side where the jump is added."""

DEGREES = ((1, 1, 1), (2, 1, 2), (2, 2, 2), (4, 1, 2), (6, 1, 2), (4, 0, 3))
"""Degrees of a, c and phi; a large degree of a reveals small jumps."""

WIDTHS = (0.6, 0.3, 0.12, 0.05)
"""Widths of the step, where phi has root mean square 1."""

N_STARTS, N_STEPS, SHARE, N_KEPT = 24, 15, 0.5, 3
"""Starts in each basis, steps of minimisation at each width, starts that go on, labels kept."""


def _soft_step(inner: Tensor, widths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the step; the height has a sign of its own, so the signs' place is the width's."""
    height, level = inner.unbind(dim=-2)
    width = widths[..., 1:]
    step = torch.sigmoid(level / width)
    return height * step, torch.stack([step, height * step * (1 - step) / width], dim=-2)


_SOFT_STEP = Form(_soft_step, groups=(0, 1), is_piecewise_linear=False)


def soft_labels(task: Task, *, generator: Generator) -> Iterator[list[Labels]]:
    """Yield, basis by basis, the labels of the best soft steps; starts come from ``generator``."""
    u, z, limit = task.u, task.z, task.limit
    for degrees in DEGREES:
        structure = Structure.isotropic("total", degrees, u.shape[1])
        indices = structure.indices(limit)
        if indices is None or sum(len(index) for index in indices) > limit:
            continue
        problem = Problem.of(_SOFT_STEP, structure, indices, u, z)
        thetas = 0.5 * torch.cat(
            [
                torch.randn(
                    N_STARTS, len(basis.to_coefficients), dtype=z.dtype, generator=generator
                )
                @ basis.from_coefficients.T
                for basis in problem.inner
            ],
            dim=1,
        )
        rmse = torch.zeros(N_STARTS, dtype=z.dtype)
        for width in WIDTHS:
            height, level = problem.split(thetas)
            size = (level.square().sum(dim=1, keepdim=True) / len(z)).sqrt().clamp_min(1e-12)
            widths = torch.full((len(thetas), 2), width, dtype=z.dtype)
            task.work.count(
                N_STEPS * len(thetas) * len(z) * thetas.shape[1] * (thetas.shape[1] + 10.0),
                calls=5.0 * N_STEPS,
            )
            thetas, rmse = problem.minimise(
                torch.cat([height, level / size], dim=1), widths, N_STEPS
            )
            kept = rmse.argsort()[: max(N_KEPT, int(SHARE * len(rmse)))]
            thetas, rmse = thetas[kept], rmse[kept]
        levels = problem.split(thetas)[1] @ problem.inner[1].q.T
        yield [level > 0 for level in levels[:N_KEPT]]
