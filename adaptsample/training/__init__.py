"""Training: how the parameters of a network are found."""

from adaptsample.training.gradient_descent.trainer import GradientDescent as GradientDescent
from adaptsample.training.gradient_descent.trainer import Training as Training
from adaptsample.training.levenberg_marquardt.trainer import (
    LevenbergMarquardt as LevenbergMarquardt,
)
from adaptsample.training.protocol import Trained as Trained
from adaptsample.training.protocol import Trainer as Trainer
from adaptsample.training.scipy_least_squares import ScipyLeastSquares as ScipyLeastSquares
