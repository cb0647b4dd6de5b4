"""Training: how the parameters of a network are found."""

from adaptsample.training.gradient_descent import GradientDescent as GradientDescent
from adaptsample.training.gradient_descent import Training as Training
from adaptsample.training.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
from adaptsample.training.protocol import Finalist as Finalist
from adaptsample.training.protocol import SupportsFolds as SupportsFolds
from adaptsample.training.protocol import SupportsPosterior as SupportsPosterior
from adaptsample.training.protocol import Trainer as Trainer
from adaptsample.training.scipy_least_squares import ScipyLeastSquares as ScipyLeastSquares
