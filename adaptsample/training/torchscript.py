"""TorchScript, in one place: the only module that touches ``torch.jit``.

A training loop of small networks spends most of its time in the Python interpreter and in the
bookkeeping of autograd. Written in the subset of Python that TorchScript understands, the very same
function runs as one compiled program, without either.
"""

import sys
import warnings
from collections.abc import Callable
from functools import cache, wraps
from threading import RLock
from typing import Any, Final, TypeVar, cast

import torch

F = TypeVar("F", bound=Callable[..., Any])

_COMPILING: Final = RLock()
"""Several threads may ask at once."""

CAN_COMPILE = sys.version_info < (3, 14)


def script(function: F, *, is_tuned: bool = True) -> F:
    """Return the compiled version of a function; it is compiled once, at the first request.

    A program that is tuned spends its first calls on finding out which shapes and types come, and
    on what could be done about that. It takes seconds, and pays for long training by autograd only.

    Where torch cannot compile, from Python 3.14 on, and with the environment variable
    ``PYTORCH_JIT=0``, it is the function itself, which computes the same.

    Warns:
        RuntimeWarning: once, if it cannot compile.
    """
    if not CAN_COMPILE:
        _warn_once()
        return function
    with _COMPILING:
        return cast(F, _compiled(function, is_tuned))


@cache
def _warn_once() -> None:
    warnings.warn(
        "TorchScript compiles nothing on Python 3.14 and later: training runs uncompiled, which "
        "takes several times as long; use Python 3.11 to 3.13",
        RuntimeWarning,
        stacklevel=3,
    )


@cache
def _compiled(function: Any, is_tuned: bool) -> Any:
    with warnings.catch_warnings():
        # torch >= 2.9 announces successors of TorchScript that have no compiled loops yet.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        program: Any = torch.jit.script(function)
    if is_tuned:
        return program

    @wraps(function)
    def run(*arguments: Any) -> Any:
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]  # not in its __all__
            return program(*arguments)

    return run
