import pytest
import torch
from torch import Tensor

from adaptsample.core import derive_generator
from adaptsample.training.losses import Samples, loss_and_gradient, mean_squared_error, workspace
from adaptsample.training.network import ACTIVATIONS, initial_parameters, split

D, K, N = 3, 2, 9
WIDTHS = [D, 6, 5, K]


def draw_samples(n: int = N) -> Samples:
    """Samples of which some slopes were not observed."""
    generator = derive_generator(0, "samples")
    x = torch.randn(n, D, dtype=torch.float64, generator=generator)
    y = torch.randn(n, K, dtype=torch.float64, generator=generator)
    slopes = torch.randn(K, n, D, dtype=torch.float64, generator=generator)
    weights = (torch.rand(K, n, D, dtype=torch.float64, generator=generator) > 0.3).double()
    return Samples(x, y, slopes, weights)


def values_only(samples: Samples) -> Samples:
    return Samples(samples.x, samples.y, samples.slopes[:0], samples.weights[:0])


def reference(
    theta: Tensor, widths: list[int], activation: str, samples: Samples, masks: list[Tensor]
) -> tuple[float, Tensor]:
    """The loss as its definition says, and its derivative by automatic differentiation."""
    function = {
        "tanh": torch.tanh,
        "relu": torch.relu,
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "abs": torch.abs,
        "crease": lambda z: torch.cat([z[:, :1].abs(), z[:, 1:]], dim=1),
    }[activation]
    theta = theta.clone().requires_grad_()
    x = samples.x.clone().requires_grad_()
    layers = split(theta, widths)
    a = x
    for i, (weight, bias) in enumerate(zip(*layers, strict=True)):
        a = a @ weight + bias
        if i < len(widths) - 2:
            a = function(a)
            a = a * masks[i] if masks else a
    loss = (a - samples.y).square().mean()
    if len(samples.slopes):
        slopes = torch.stack(
            [torch.autograd.grad(a[:, c].sum(), x, create_graph=True)[0] for c in range(K)]
        )
        loss = loss + (samples.weights * (slopes - samples.slopes).square()).mean()
    (gradient,) = torch.autograd.grad(loss, theta)
    return loss.item(), gradient


def found(
    theta: Tensor, widths: list[int], activation: str, samples: Samples, masks: list[Tensor]
) -> tuple[float, Tensor]:
    gradient = torch.full_like(theta, torch.nan)
    work = workspace(samples, widths, dropping=bool(masks))
    for buffers in (work.z, work.a, work.left, work.p, work.t):  # stale numbers must not matter
        for buffer in buffers:
            buffer.fill_(torch.nan)
    loss = loss_and_gradient(
        split(theta, widths),
        [activation] * (len(widths) - 2),
        samples,
        masks=masks,
        gradient=split(gradient, widths),
        work=work,
    )
    return loss, gradient


@pytest.mark.parametrize("dropping", [False, True])
@pytest.mark.parametrize("informed", [False, True])
@pytest.mark.parametrize("widths", [WIDTHS, [D, 4, K], [D, K], [D, 5, 4, 6, K]], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_derivative_agrees_with_automatic_differentiation(
    activation: str, widths: list[int], informed: bool, dropping: bool
) -> None:
    samples = draw_samples() if informed else values_only(draw_samples())
    theta = 2 * initial_parameters(widths, generator=derive_generator(0, "theta"))
    masks: list[Tensor] = []
    if dropping:
        u = derive_generator(0, "masks")
        masks = [
            (torch.rand(N, width, dtype=torch.float64, generator=u) > 0.3) / 0.7
            for width in widths[1:-1]
        ]
    expected_loss, expected_gradient = reference(theta, widths, activation, samples, masks)
    loss, gradient = found(theta, widths, activation, samples, masks)
    assert loss == pytest.approx(expected_loss, rel=1e-13)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-13)


def test_a_slope_that_was_not_observed_does_not_matter() -> None:
    samples = draw_samples()
    theta = initial_parameters(WIDTHS, generator=derive_generator(0, "theta"))
    other = torch.where(samples.weights > 0, samples.slopes, 77.0)
    changed = Samples(samples.x, samples.y, other, samples.weights)
    first = found(theta, WIDTHS, "tanh", samples, [])
    second = found(theta, WIDTHS, "tanh", changed, [])
    assert first[0] == second[0]
    assert torch.equal(first[1], second[1])


def test_the_loss_of_values_is_their_mean_squared_error() -> None:
    samples = values_only(draw_samples())
    theta = initial_parameters(WIDTHS, generator=derive_generator(0, "theta"))
    loss, _ = found(theta, WIDTHS, "gelu", samples, [])
    assert loss == pytest.approx(
        mean_squared_error(split(theta, WIDTHS), ["gelu"] * 2, samples), 1e-14
    )
