"""Settings that go together, by name.

``source`` holds the three attempts at the peak function from which this project grew, exactly as
they were published: a network trained for a fixed number of steps a round, fresh candidates scored
by how much the round changed the network, and points that leave the training set again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, final

from adaptsample.loop.specification import Design


@final
@dataclass(frozen=True)
class Preset:
    """What a preset sets for one strategy.

    Args:
        surrogate: recipe.
        strategy: recipe.
        n_initial: points of the initial design.
        batch_size: points added a round.
        budget: evaluations, the initial design included.
        design: of the initial points.
    """

    surrogate: str
    strategy: str
    n_initial: int
    batch_size: int
    budget: int
    design: Design = "uniform"

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it sets of a specification, besides recipes."""
        return {name: getattr(self, name) for name in ("n_initial", "batch_size", "design")}


_RELU = (
    "mlp(hidden=(100, 100, 100), activation='relu', dtype='float32', scale=False, "
    "training=gradient_descent(optimizer='sgd', learning_rate=0.01, decay=1, "
    "steps=1000, continued_steps=1000))"
)
_TANH = (
    "mlp(hidden=(30, 30), activation='tanh', dtype='float32', scale=False, "
    "training=gradient_descent({}, decay=1, continued_steps=50))"
)

PRESETS: Final[Mapping[str, Mapping[str, Preset]]] = MappingProxyType(
    {
        "source": MappingProxyType(
            {
                "softmax": Preset(
                    surrogate=_RELU,
                    strategy="softmax(n_candidates=1000, retirement=drop_all(), "
                    "selection=softmax_draw(quantile=0.7, absolute=True))",
                    n_initial=500,
                    batch_size=10,
                    budget=10_500,
                ),
                "gradient": Preset(
                    surrogate=_RELU,
                    strategy="gradient(n_candidates=1000, retirement=drop_all(), "
                    "selection=softmax_draw(quantile=0.7, absolute=True))",
                    n_initial=500,
                    batch_size=10,
                    budget=20_500,
                ),
                "swap": Preset(
                    surrogate=_TANH.format("optimizer='sgd', learning_rate=0.01, steps=30000"),
                    strategy="swap(n_candidates=500, retirement=drop_lowest('residual'), "
                    "selection=softmax_draw(absolute=True))",
                    n_initial=500,
                    batch_size=1,
                    budget=1500,
                ),
                "topk": Preset(
                    surrogate=_TANH.format("learning_rate=0.001, steps=1000"),
                    strategy="topk(n_candidates=12000, retirement=drop_lowest('change'))",
                    n_initial=500,
                    batch_size=5,
                    budget=3000,
                ),
            }
        )
    }
)
