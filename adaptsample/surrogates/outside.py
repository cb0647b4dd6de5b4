"""What a model cannot know outside of its data."""

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.scaling import Scaling, spread_of
from adaptsample.core.shapes import Points, Values

MARGIN = 0.25
"""A model is asked so far beyond the box of its data in any case, in half-widths: the box of a few
random points is smaller than their domain."""

STEEPNESS = 2.0
"""Spreads of the output that it may differ by beyond the margin, for each half-width: a straight
line through the box has a slope of 1.7."""


def with_doubt_outside(std: Values, data: Dataset, x: Points) -> Values:
    """Return a standard deviation that grows with the distance from the data's box.

    Inside and up to the margin it is as it was. Beyond, where models go on as if nothing changed,
    the square of what may change is added.

    Args:
        std: at x, in the units of the data.
        data: what the model was fitted to.
        x: the points.
    """
    beyond = (Scaling.to_box(data.x).forward(x).abs() - (1 + MARGIN)).clamp_min(0)
    off: Float[Tensor, " n"] = beyond.nan_to_num(posinf=1e150).clamp_max(1e150).norm(dim=1)
    far = STEEPNESS * off[:, None] * spread_of(data.y)
    return torch.nan_to_num(torch.hypot(std, far))
