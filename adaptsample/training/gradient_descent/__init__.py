"""Adam and SGD: a recipe, and the TorchScript program that it is made out for."""

from adaptsample.training.gradient_descent.trainer import GradientDescent as GradientDescent
from adaptsample.training.gradient_descent.trainer import OptimizerState as OptimizerState
from adaptsample.training.gradient_descent.trainer import Training as Training
