import torch
from torch import Tensor

from adaptsample.training.torchscript import script


def count_down(x: Tensor, n: int) -> Tensor:
    while n > 0:
        x = x - 1
        n -= 1
    return x


def test_a_compiled_function_computes_the_same() -> None:
    x = torch.arange(3.0)
    assert torch.equal(script(count_down)(x, 2), count_down(x, 2))


def test_a_function_is_compiled_once() -> None:
    assert script(count_down) is script(count_down)
