"""Gaussian processes."""

from adaptsample.surrogates.gaussian_process.surrogate import GaussianProcess as GaussianProcess
from adaptsample.surrogates.gaussian_process.surrogate import (
    GaussianProcessModel as GaussianProcessModel,
)
