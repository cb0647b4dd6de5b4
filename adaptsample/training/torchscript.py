"""TorchScript, in one place: the only module that touches ``torch.jit``.

A training loop of small networks spends most of its time in the Python interpreter and in the
bookkeeping of autograd. Written in the subset of Python that TorchScript understands, the very same
function runs as one compiled program, without either.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import torch

F = TypeVar("F", bound=Callable[..., Any])


def script(function: F) -> F:
    """Return the compiled version of a function; it is compiled once, at the first request.

    With the environment variable ``PYTORCH_JIT=0`` torch returns the function itself.
    """
    return cast(F, _script(function))


@cache
def _script(function: Any) -> Any:
    with warnings.catch_warnings():
        # torch >= 2.9 announces successors of TorchScript that have no compiled loops yet.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        return torch.jit.script(function)
