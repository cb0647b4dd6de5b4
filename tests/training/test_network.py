import math

import pytest
import torch
from torch import Tensor

from adaptsample.core import derive_generator
from adaptsample.training.network import (
    ACTIVATIONS,
    activate,
    count_parameters,
    curvature,
    forward,
    hidden,
    initial_parameters,
    input_gradient,
    split,
    times_slope,
)
from adaptsample.training.torchscript import script

WIDTHS = [3, 7, 5, 2]


def draw(*shape: int) -> Tensor:
    generator = derive_generator(1, "draw")
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.fixture
def theta() -> Tensor:
    return 2 * initial_parameters(WIDTHS, generator=derive_generator(0, "theta"))


class Abs(torch.nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z.abs()


class Crease(torch.nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([z[..., :1].abs(), z[..., 1:]], dim=-1)


def module(theta: Tensor, activation: str) -> torch.nn.Sequential:
    """The same network as torch's own layers, made without drawing random numbers."""
    kinds = {
        "tanh": torch.nn.Tanh,
        "relu": torch.nn.ReLU,
        "silu": torch.nn.SiLU,
        "gelu": torch.nn.GELU,
        "abs": Abs,
        "crease": Crease,
    }
    parts: list[torch.nn.Module] = []
    for weight, bias in zip(*split(theta, WIDTHS), strict=True):
        linear = torch.nn.utils.skip_init(torch.nn.Linear, *weight.shape, dtype=torch.float64)
        linear.weight.data, linear.bias.data = weight.T.clone(), bias.clone()
        parts += [linear, kinds[activation]()]
    return torch.nn.Sequential(*parts[:-1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_network_is_the_one_of_torch(theta: Tensor, activation: str) -> None:
    x = draw(11, 3)
    expected = module(theta, activation)(x)
    torch.testing.assert_close(
        forward(split(theta, WIDTHS), [activation] * 2, x), expected, rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_input_gradient_agrees_with_automatic_differentiation(
    theta: Tensor, activation: str, compiled: bool
) -> None:
    x = draw(11, 3)
    layers = split(theta, WIDTHS)
    expected = torch.func.vmap(torch.func.jacrev(module(theta, activation)))(x)
    recursion = script(input_gradient) if compiled else input_gradient
    found = recursion(layers, [activation] * 2, x)
    assert found.shape == (11, 2, 3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slope_and_curvature_are_the_derivatives_of_the_activation(activation: str) -> None:
    z = draw(40).requires_grad_()
    torch_functions = {
        "tanh": torch.tanh,
        "relu": torch.relu,
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "abs": torch.abs,
        "crease": lambda z: torch.cat([z[:1].abs(), z[1:]]),
    }
    value = torch_functions[activation](z)
    (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    bend = torch.zeros_like(z)
    if activation not in ("relu", "abs", "crease"):
        (bend,) = torch.autograd.grad(slope.sum(), z)
    z, a, s = z.detach(), torch.empty(40, dtype=z.dtype), torch.empty(40, dtype=z.dtype)
    activate(activation, z, a)
    times_slope(activation, torch.full_like(z, 3.0), z, a, s)
    torch.testing.assert_close(a, value.detach(), rtol=0, atol=1e-15)
    torch.testing.assert_close(s, 3 * slope.detach(), rtol=0, atol=1e-14)
    torch.testing.assert_close(curvature(activation, z, a), bend, rtol=0, atol=1e-14)


def test_layers_are_views_into_the_parameter_vector(theta: Tensor) -> None:
    layers = split(theta, WIDTHS)
    layers.weights[0][0, 0] = 5.0
    layers.biases[-1][-1] = 6.0
    assert theta[0] == 5.0
    assert theta[-1] == 6.0
    assert len(theta) == count_parameters(WIDTHS) == 3 * 7 + 7 + 7 * 5 + 5 + 5 * 2 + 2


def test_initial_parameters_are_uniform_within_torchs_bounds() -> None:
    theta = initial_parameters([100, 400, 1], generator=derive_generator(0, "theta"))
    layers = split(theta, [100, 400, 1])
    for weight, bias, fan_in in zip(*layers, (100, 400), strict=True):
        bound = 1 / math.sqrt(fan_in)
        assert weight.abs().max() <= bound
        assert bias.abs().max() <= bound
        assert weight.abs().max() > 0.95 * bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_the_output_is_linear_in_the_features(theta: Tensor) -> None:
    x = draw(6, 3)
    layers = split(theta, WIDTHS)
    expected = hidden(layers, ["tanh"] * 2, x) @ layers.weights[-1] + layers.biases[-1]
    torch.testing.assert_close(forward(layers, ["tanh"] * 2, x), expected, rtol=0, atol=1e-15)


def test_a_network_without_hidden_layers_is_linear() -> None:
    layers = split(torch.tensor([2.0, 3.0, 1.0], dtype=torch.float64), [2, 1])
    x = draw(4, 2)
    torch.testing.assert_close(
        forward(layers, [], x), 2 * x[:, :1] + 3 * x[:, 1:] + 1, rtol=0, atol=1e-15
    )
    assert torch.equal(
        input_gradient(layers, [], x),
        torch.tensor([[[2.0, 3.0]]], dtype=torch.float64).expand(4, 1, 2),
    )
