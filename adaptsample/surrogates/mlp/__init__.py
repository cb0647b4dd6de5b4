"""Networks, also with creases."""

from adaptsample.surrogates.mlp.calibrated import CalibratedMLPModel as CalibratedMLPModel
from adaptsample.surrogates.mlp.ensemble import EarlyStopped as EarlyStopped
from adaptsample.surrogates.mlp.ensemble import EarlyStoppedModel as EarlyStoppedModel
from adaptsample.surrogates.mlp.model import MLPModel as MLPModel
from adaptsample.surrogates.mlp.model import NetworkModel as NetworkModel
from adaptsample.surrogates.mlp.network import Network as Network
from adaptsample.surrogates.mlp.surrogate import MLP as MLP
