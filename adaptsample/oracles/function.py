"""Any Python function as an oracle.

The function is somebody else's code, so nothing that it answers is trusted: one place checks that
an answer is real numbers in the expected shape, and says what came back when it is not. Numbers
that are not finite pass through; they are for the caller to count as failed evaluations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from adaptsample.core.domain import Box
from adaptsample.core.shapes import Points, Values
from adaptsample.errors import OutputError

Function: TypeAlias = Callable[[Any], Any]
"""A user's function of n points, given as an array (n, d), or as a tensor if so asked."""


@final
@dataclass(frozen=True, init=False, eq=False)
class FunctionOracle:
    """An oracle that calls a Python function.

    Args:
        function: takes n points at once, the rows of a float64 array (n, d) that it may keep or
            change, and returns their values (n, k), or (n,) if there is one output; a plain number
            is understood for one output at one point. Arrays, lists and tensors of booleans,
            integers or floats will do. Its exceptions pass through untouched.
        domain: the points that may be asked.
        n_outputs: number of outputs, k.
        gradient: takes the points like ``function`` and returns d y_k / d x_d as (n, k, d), or
            (n, d) if there is one output. ``isinstance(oracle, Differentiable)`` holds exactly
            when it is given: otherwise the attribute is None, by which a runtime-checkable
            protocol knows that a method is missing.
        exact: a free and noiseless version of ``function``, against which errors are measured; a
            cheap function may be given here too. As an oracle it is its own exact version.
        tensors: give the functions float64 tensors instead of arrays.

    Raises:
        ValueError: a domain that is no Box, a function that cannot be called, less than one output.
        OutputError: when called, an answer of another kind or shape; the message says which.
    """

    domain: Box
    n_outputs: int
    gradient: Callable[[Points], Float[Tensor, "n k d"]] | None
    exact: "FunctionOracle | None"
    _value: Callable[[Points], Values]

    def __init__(
        self,
        function: Function,
        domain: Box,
        *,
        n_outputs: int = 1,
        gradient: Function | None = None,
        exact: Function | None = None,
        tensors: bool = False,
    ) -> None:
        if not isinstance(domain, Box):
            raise ValueError(f"domain must be a Box, as in Box({{'x': (0, 1)}}); got {domain!r}")
        if n_outputs < 1:
            raise ValueError(f"n_outputs must be at least 1, got {n_outputs!r}")
        value = _Checked(function, (n_outputs,), tensors)
        slope = free = None
        if gradient is not None:
            slope = _Checked(gradient, (n_outputs, domain.dimension), tensors)
        if exact is not None:
            free = FunctionOracle(exact, domain, n_outputs=n_outputs, tensors=tensors)
            object.__setattr__(free, "exact", free)
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "n_outputs", n_outputs)
        object.__setattr__(self, "gradient", slope)
        object.__setattr__(self, "exact", free)
        object.__setattr__(self, "_value", value)

    def __call__(self, x: Points) -> Values:
        """Evaluate the function at n points."""
        return self._value(x)

    def __repr__(self) -> str:
        return f"FunctionOracle({self._value}, {self.domain})"


@final
@dataclass(frozen=True)
class _Checked:
    """A function that answers n points with float64 numbers (n, *shape), or raises OutputError."""

    function: Function
    shape: tuple[int, ...]
    tensors: bool

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ValueError(f"a FunctionOracle needs functions to call, got {self.function!r}")

    def __str__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    def __call__(self, x: Points) -> Tensor:
        points = x.detach().to("cpu", torch.float64, copy=True)
        answer = self.function(points if self.tensors else points.numpy())
        array = _real_array(answer, name=str(self))
        self._check_shape(array.shape, n=len(x))
        # A copy: a function may answer with a buffer into which it writes again.
        values = torch.from_numpy(np.array(array, dtype=np.float64, order="C"))
        return values.reshape(len(x), *self.shape)

    def _check_shape(self, shape: tuple[int, ...], *, n: int) -> None:
        outputs, *rest = self.shape
        expected = [(n, outputs, *rest)]
        if outputs == 1:
            expected.append((n, *rest))
        if (shape or (1,)) in expected:
            return
        if not rest and len(shape) == 2 and shape[0] == n:
            remedy = f"if these are its outputs, say n_outputs={shape[1]}"
        else:
            remedy = "it is given all points at once, one per row, and answers one row for each"
        raise OutputError(
            f"{self} returned numbers of shape {shape} for {n} points, expected "
            f"{' or '.join(map(str, expected))}; {remedy}"
        )


def _real_array(answer: object, *, name: str) -> NDArray[Any]:
    hint = "return an array, list or tensor of numbers that fit into float64, a row per point"
    if answer is None:
        raise OutputError(f"{name} returned None (is `return` missing?); {hint}")
    if isinstance(answer, np.ma.MaskedArray):
        raise OutputError(f"{name} returned a masked array; fill the masked entries with NaN")
    kind = type(answer).__name__
    try:
        array = answer.numpy(force=True) if isinstance(answer, Tensor) else np.asarray(answer)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OutputError(f"{name} returned a {kind} that is no array: {error}; {hint}") from error
    if array.dtype.kind not in "biuf":
        # Types and no values: these may be huge, and Python refuses to print a huge integer.
        items = ", ".join(sorted({type(item).__name__ for item in array.flat}))
        what = kind if array.ndim == 0 else f"{kind} of {items}"
        raise OutputError(f"{name} returned a {what}; {hint}")
    return array
