"""Levenberg-Marquardt: a recipe, and the parts that other least-squares methods share with it."""

from adaptsample.training.levenberg_marquardt.evidence import Prior as Prior
from adaptsample.training.levenberg_marquardt.evidence import flat_prior as flat_prior
from adaptsample.training.levenberg_marquardt.linearisation import Linearisation as Linearisation
from adaptsample.training.levenberg_marquardt.network import Problem as Problem
from adaptsample.training.levenberg_marquardt.network import differentiate as differentiate
from adaptsample.training.levenberg_marquardt.network import evaluate as evaluate
from adaptsample.training.levenberg_marquardt.network import linearise as linearise
from adaptsample.training.levenberg_marquardt.network import regression as regression
from adaptsample.training.levenberg_marquardt.race import (
    LeastSquaresTraining as LeastSquaresTraining,
)
from adaptsample.training.levenberg_marquardt.solver import State as State
from adaptsample.training.levenberg_marquardt.solver import Stop as Stop
from adaptsample.training.levenberg_marquardt.solver import compile_solver as compile_solver
from adaptsample.training.levenberg_marquardt.trainer import (
    LevenbergMarquardt as LevenbergMarquardt,
)
from adaptsample.training.levenberg_marquardt.trainer import (
    initial_parameters as initial_parameters,
)
from adaptsample.training.levenberg_marquardt.trainer import (
    parameter_jacobian as parameter_jacobian,
)
