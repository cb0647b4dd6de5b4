"""Functions that jump along a smooth boundary."""

from adaptsample.surrogates.jump.surrogate import Jump as Jump
from adaptsample.surrogates.jump.surrogate import JumpModel as JumpModel
