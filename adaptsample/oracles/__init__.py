"""Oracles: the functions being approximated."""

from adaptsample.oracles.command import CommandOracle as CommandOracle
from adaptsample.oracles.expression import ExpressionOracle as ExpressionOracle
from adaptsample.oracles.function import FunctionOracle as FunctionOracle
from adaptsample.oracles.noise import NoisyOracle as NoisyOracle
from adaptsample.oracles.protocol import Differentiable as Differentiable
from adaptsample.oracles.protocol import Finite as Finite
from adaptsample.oracles.protocol import Joint as Joint
from adaptsample.oracles.protocol import Oracle as Oracle
from adaptsample.oracles.protocol import Stochastic as Stochastic
from adaptsample.oracles.protocol import SupportsExact as SupportsExact
from adaptsample.oracles.table import TableOracle as TableOracle
