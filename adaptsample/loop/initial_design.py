"""The points that a run begins with, before there is any model."""

import torch

from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points
from adaptsample.loop.specification import Specification


def initial_points(spec: Specification, first: int, n: int | None) -> Points:
    """Return n points of a run's initial design, from the given one on.

    By default all that are left, or a batch. Who asks for more than there are gets more points that
    fill the space.
    """
    domain = spec.domain
    rest = spec.n_initial - first
    last = first + (n or (rest if rest > 0 else spec.batch_size))
    draw = {
        "sobol": domain.sobol,
        "uniform": domain.uniform,
        "latin_hypercube": domain.latin_hypercube,
        "chebyshev": domain.chebyshev,
        "mapped_chebyshev": domain.mapped_chebyshev,
    }[spec.design]
    points = draw(spec.n_initial, generator=derive_generator(spec.seed, "initial"))
    if last > spec.n_initial:
        more = derive_generator(spec.seed, "more")
        points = torch.cat([points, domain.sobol(last - spec.n_initial, generator=more)])
    return points[first:last]
