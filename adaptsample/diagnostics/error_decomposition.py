"""Where the error of a trained model comes from: its space, its data, its training.

Let h be the trained model, g the best of the same hypothesis space on the same data, and b the best
of that space on the function itself. With MSE the mean squared error against exact values,

    MSE(h) = MSE(b)  +  (MSE(g) - MSE(b))  +  (MSE(h) - MSE(g)),
             approximation  generalisation      optimisation

exactly (Bottou and Bousquet, The tradeoffs of large scale learning, 2008). On a linear space, and
with b fitted to the reference set itself, the first two are squared distances of orthogonal parts:
generalisation is then the mean square of g - b.
"""

from dataclasses import dataclass
from typing import final

from adaptsample.core.dataset import Dataset
from adaptsample.metrics.errors import errors
from adaptsample.surrogates.protocol import Model


@final
@dataclass(frozen=True)
class ErrorSources:
    """Mean squared errors, in the squared units of the output, that add up to the total.

    Attributes:
        approximation: of the best in the hypothesis space.
        generalisation: what finite or noisy data add. Below 0: the best of the space was not found.
        optimisation: what training adds. Below 0: training that stopped early was lucky, as the
            best fit to noisy data need not be the best model.
    """

    approximation: float
    generalisation: float
    optimisation: float

    @property
    def total(self) -> float:
        """Mean squared error of the trained model."""
        return self.approximation + self.generalisation + self.optimisation


def error_sources(
    trained: Model, best_on_data: Model, best_of_space: Model, reference: Dataset
) -> ErrorSources:
    """Part the mean squared error of a trained model.

    Args:
        trained: the model as it was trained.
        best_on_data: the best fit of the same hypothesis space to the same data.
        best_of_space: the best fit of that space to the function itself, e.g. to dense exact data.
        reference: points with exact values.
    """
    models = best_of_space, best_on_data, trained
    squares = [errors(m.predict(reference.x), reference.y)["rmse"] ** 2 for m in models]
    return ErrorSources(squares[0], squares[1] - squares[0], squares[2] - squares[1])
