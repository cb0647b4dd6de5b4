"""Networks, also with creases."""

from adaptsample.surrogates.mlp.calibrated import CalibratedMLPModel as CalibratedMLPModel
from adaptsample.surrogates.mlp.network import Network as Network
from adaptsample.surrogates.mlp.surrogate import MLP as MLP
from adaptsample.surrogates.mlp.surrogate import MLPModel as MLPModel
