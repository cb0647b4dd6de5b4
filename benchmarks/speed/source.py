"""The network of the source experiments, trained the way it was: one Python iteration a step."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor, nn

from adaptsample import Dataset
from adaptsample.core import Points, Values
from adaptsample.training.network import initial_parameters, split

WIDTHS = [2, 30, 30, 1]


@final
@dataclass(frozen=True)
class EagerNetwork:
    """A torch.nn.Module, automatic differentiation and torch.optim.Adam with its defaults.

    Args:
        steps: of a fit that starts afresh.
        continued_steps: of a fit that goes on with module and optimiser of the one before.
    """

    steps: int = 1000
    continued_steps: int = 50

    def fit(
        self, data: Dataset, *, generator: Generator, start: "EagerModel | None" = None
    ) -> "EagerModel":
        """Train in float32 on all points at once."""
        steps = self.steps if start is None else self.continued_steps
        network = module(initial_parameters(WIDTHS, generator=generator).float())
        optimizer = torch.optim.Adam(network.parameters())
        if start is not None:
            network.load_state_dict(start.network.state_dict())
            optimizer.load_state_dict(start.optimizer.state_dict())
        loss_of = nn.MSELoss()
        x, y = data.x.float(), data.y.float()
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_of(network(x), y)
            loss.backward()
            optimizer.step()
        return EagerModel(network, optimizer)


@final
@dataclass(frozen=True, eq=False)
class EagerModel:
    """A module and its optimiser; the next fit goes on with both."""

    network: nn.Sequential
    optimizer: torch.optim.Adam

    def predict(self, x: Points) -> Values:
        """Predict at n points."""
        with torch.no_grad():
            prediction: Tensor = self.network(x.float()).double()
        return prediction


def module(theta: Tensor) -> nn.Sequential:
    """Return the network as torch's own layers."""
    parts: list[nn.Module] = []
    for weight, bias in zip(*split(theta, WIDTHS), strict=True):
        n_in, n_out = weight.shape
        linear = nn.Linear(n_in, n_out, dtype=theta.dtype)
        linear.weight.data, linear.bias.data = weight.T.clone(), bias.clone()
        parts += [linear, nn.Tanh()]
    return nn.Sequential(*parts[:-1])
