"""Losses over two parameters, and descents on them."""

import pytest
import torch
from torch import Tensor

from adaptsample.core import derive_generator
from adaptsample.diagnostics.loss_surface import descent_path, loss_surface
from adaptsample.training import GradientDescent
from adaptsample.training.losses import Samples

X = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
NONE = torch.zeros(0, 20, 1, dtype=torch.float64)
SAMPLES = Samples(X, 2 * X + 1, NONE, NONE)
ZERO = torch.zeros(2, dtype=torch.float64)


def path(training: GradientDescent, theta: Tensor = ZERO) -> Tensor:
    generator = derive_generator(0, "path")
    return descent_path(training, theta, [1, 1], "tanh", SAMPLES, generator=generator)


def test_each_entry_is_the_loss_of_its_pair():
    found = loss_surface(lambda pairs: 10 * pairs[:, 0] + pairs[:, 1], (0, 2), (5, 9), n=3)
    assert found.first.tolist() == [0, 1, 2]
    assert found.second.tolist() == [5, 7, 9]
    assert found.loss.tolist() == [[5, 7, 9], [15, 17, 19], [25, 27, 29]]
    assert found.share_below(9) == pytest.approx(2 / 9)


def test_what_is_no_surface_is_refused():
    with pytest.raises(ValueError, match="n must be at least 2"):
        loss_surface(lambda pairs: pairs[:, 0], (0, 1), (0, 1), n=1)
    with pytest.raises(ValueError, match=r"the losses of 9 pairs must be \(9,\)"):
        loss_surface(lambda pairs: pairs, (0, 1), (0, 1), n=3)


def test_a_descent_on_a_parabola_is_a_geometric_sequence():
    steps = path(GradientDescent("sgd", learning_rate=0.1, decay=1, steps=30))
    variance = float(X.square().mean())
    k = torch.arange(31, dtype=torch.float64)
    expected = torch.stack([2 - 2 * (1 - 0.2 * variance) ** k, 1 - 0.8**k], dim=1)
    torch.testing.assert_close(steps, expected)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_path_ends_where_the_fit_ends(optimizer):
    momentum = 0.5 if optimizer == "sgd" else 0.0
    training = GradientDescent(optimizer, 0.1, decay=1, steps=20, momentum=momentum)
    generator = derive_generator(0, "whole")
    (whole,) = training.train(ZERO, [1, 1], "tanh", SAMPLES, generator=generator)
    steps = path(training)
    assert torch.equal(steps[0], ZERO)
    torch.testing.assert_close(steps[-1], whole.theta, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    "change", [{"decay": 0.5}, {"batch_size": 5}, {"validation_fraction": 0.5}]
)
def test_what_means_something_else_one_step_at_a_time_is_refused(change):
    with pytest.raises(ValueError, match="full batches at a constant rate"):
        path(GradientDescent(**{"decay": 1, **change}))
