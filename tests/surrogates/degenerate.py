"""Data that leave a fit little or nothing to go by."""

import torch

from adaptsample import Dataset
from adaptsample.core import Points, Values, derive_generator


def degenerate_data() -> dict[str, Dataset]:
    """Return data sets by what is wrong with them."""
    g = derive_generator(7, "degenerate")
    x = torch.rand(12, 2, dtype=torch.float64, generator=g)
    y = torch.rand(12, 1, dtype=torch.float64, generator=g)
    line = torch.linspace(0, 1, 15, dtype=torch.float64)[:, None].expand(15, 5)
    long = torch.linspace(0, 1, 60, dtype=torch.float64)[:, None].expand(60, 3)
    near = long + 1e-12 * torch.rand(60, 3, dtype=torch.float64, generator=g)
    twins = torch.tensor([[0.5], [0.5 + 1e-15]], dtype=torch.float64)
    return {
        "one point": Dataset(x[:1], y[:1]),
        "two points": Dataset(x[:2], y[:2]),
        "constant": Dataset(x, torch.full_like(y, 3.7)),
        "duplicates": Dataset(torch.cat([x, x]), torch.cat([y, 1 - y])),
        "duplicates in 1-D": Dataset(torch.cat([x, x])[:, :1], torch.cat([y, 1 - y])),
        "all the same point": Dataset(x[:1].expand(12, 2), y),
        "huge values": Dataset(x, 1e300 * (y - 0.5)),
        "huge positive values": Dataset(x, 1e300 * y),
        "tiny values": Dataset(x, 1e-300 * y),
        "values over all magnitudes": Dataset(x, 10.0 ** (600 * y - 300)),
        "huge coordinates": Dataset(1e300 * (x - 0.5), y),
        "points 1e-15 apart": Dataset(torch.cat([x, x + 1e-15]), torch.cat([y, y])),
        "twins": Dataset(twins, y[:2]),
        "twins in 1-D": Dataset(torch.cat([x[:, :1], twins]), torch.cat([y, y[:2]])),
        "a line in 5-D": Dataset(line, line[:, :1] ** 2),
        "a line that bears a trend": Dataset(long, long[:, :1].sin()),
        "nearly a line": Dataset(near, long[:, :1].sin()),
        "a constant axis": Dataset(torch.cat([x, torch.ones_like(y)], dim=1), y),
        "spike": Dataset(x, torch.eye(12, 1, dtype=torch.float64)),
    }


def near_and_far(data: Dataset) -> Points:
    """Return the points, some beside them, and one as far away as can be."""
    return torch.cat([data.x, data.x * 1.1, torch.full_like(data.x[:1], 1e308)])


def all_finite(*values: Values) -> bool:
    """Tell whether all numbers are finite."""
    return all(bool(torch.isfinite(v).all()) for v in values)
