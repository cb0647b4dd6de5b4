"""Formulas as graphs of elementary operations, and the programs they compile to.

A graph holds every operation once: a node is a position in its list, equal operations on equal
nodes are the same node, and arguments come before what is made of them. Common subexpressions are
therefore shared without looking for them, and every walk over a formula is a loop, never a
recursion. Building simplifies lightly and only in ways that keep the value at every point where
the formula has one: constants are folded, neutral elements vanish, sqrt(u**2) is Abs(u). Anything
bolder is unsafe in float64: (x/1000)**200 rewritten as 1e-600*x**200 is zero.

Over the reals some operations are undefined at some points; there the result is NaN or infinite,
without a warning. So a condition has three values, 1, 0 and NaN for "undefined", which follow
Kleene's logic, and an undefined choice is NaN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor

from adaptsample.core.shapes import Points


@dataclass(frozen=True)
class Operation:
    """One elementary operation.

    Args:
        name: a key of the table of functions below, "variable" or "constant".
        arguments: nodes.
        parameter: the value of a constant, the coordinate of a variable.
    """

    name: str
    arguments: tuple[int, ...] = ()
    parameter: float = 0.0


@final
class Graph:
    """A growing list of operations; the first ``n_variables`` nodes are the variables."""

    def __init__(self, n_variables: int) -> None:
        self._operations: list[Operation] = []
        self._nodes: dict[Operation, int] = {}
        for coordinate in range(n_variables):
            self._node(Operation("variable", parameter=coordinate))

    def __getitem__(self, node: int) -> Operation:
        return self._operations[node]

    def value(self, node: int) -> float | None:
        """Return the value of a constant, None for anything else."""
        operation = self._operations[node]
        return operation.parameter if operation.name == "constant" else None

    def constant(self, value: float) -> int:
        """Return the node of a constant."""
        return self._node(Operation("constant", parameter=value))

    def apply(self, name: str, *arguments: int) -> int:
        """Return the node of an operation, simplified."""
        if name in _COMMUTATIVE:  # one order for equal operations, constants last
            arguments = tuple(sorted(arguments, key=lambda a: (self.value(a) is not None, a)))
        values = [self.value(argument) for argument in arguments]
        last = values[-1]
        if name == "select" and values[0] is not None:
            return arguments[1] if values[0] == 1.0 else arguments[2]
        if (name, last) in _NEUTRAL:
            return arguments[0]
        if (name, last) in _ABSORBING:
            return self.constant(_ABSORBING[name, last])
        known = [torch.tensor(value, dtype=torch.float64) for value in values if value is not None]
        if len(known) == len(values):
            return self.constant(float(_function(name, last)(*known)))
        return self._power_simplified(Operation(name, arguments))

    def _power_simplified(self, operation: Operation) -> int:
        """Write u*u as u**2 and, over the reals, (u**even)**q as Abs(u)**(even*q)."""
        if operation.name == "*" and operation.arguments[0] == operation.arguments[1]:
            return self.apply("**", operation.arguments[0], self.constant(2.0))
        if operation.name == "**":
            base, outer = self[operation.arguments[0]], self.value(operation.arguments[1])
            inner = self.value(base.arguments[1]) if base.name == "**" else None
            if inner is not None and outer is not None and inner % 2 == 0 and outer % 1 != 0:
                root = self.apply("Abs", base.arguments[0])
                return self.apply("**", root, self.constant(inner * outer))
        return self._node(operation)

    def _node(self, operation: Operation) -> int:
        if operation not in self._nodes:
            self._nodes[operation] = len(self._operations)
            self._operations.append(operation)
        return self._nodes[operation]

    def compile(self, outputs: Sequence[int]) -> "Program":
        """Return the program of these nodes, without the operations that they do not need."""
        needed = set(outputs)
        last_use: dict[int, int] = dict.fromkeys(outputs, len(self._operations))
        for node in range(max(outputs), -1, -1):
            if node in needed:
                for argument in self[node].arguments:
                    needed.add(argument)
                    last_use.setdefault(argument, node)
        operations = {node: self[node] for node in sorted(needed)}
        return Program(
            variables={
                node: int(operation.parameter)
                for node, operation in operations.items()
                if operation.name == "variable"
            },
            constants={
                node: torch.tensor(operation.parameter, dtype=torch.float64)
                for node, operation in operations.items()
                if operation.name == "constant"
            },
            steps=tuple(
                self._step(node, last_use)
                for node, operation in operations.items()
                if operation.arguments
            ),
            outputs=tuple(outputs),
        )

    def _step(self, node: int, last_use: dict[int, int]) -> "_Step":
        arguments = self[node].arguments
        function = _function(self[node].name, self.value(arguments[-1]))
        released = tuple({argument for argument in arguments if last_use[argument] == node})
        return _Step(function, node, arguments, released)


@dataclass(frozen=True)
class _Step:
    function: Callable[..., Tensor]
    result: int
    arguments: tuple[int, ...]
    released: tuple[int, ...]  # nodes that no later step needs


@final
@dataclass(frozen=True, eq=False)
class Program:
    """The steps that compute some nodes of a graph at many points at once."""

    variables: dict[int, int]
    constants: dict[int, Float[Tensor, ""]]
    steps: tuple[_Step, ...]
    outputs: tuple[int, ...]

    def __call__(self, x: Points) -> Float[Tensor, "n m"]:
        """Compute the m outputs at n points."""
        values = {node: x[:, column].contiguous() for node, column in self.variables.items()}
        values |= self.constants
        for step in self.steps:
            values[step.result] = step.function(*(values[node] for node in step.arguments))
            for node in step.released:
                del values[node]
        return torch.stack([values[node].expand(len(x)) for node in self.outputs], dim=1)


def _function(name: str, last: float | None) -> Callable[..., Tensor]:
    """Return the function of an operation whose last argument has this value, if it is constant."""
    if name != "**" or last is None:
        return _FUNCTIONS[name]
    if last in _ROOTS:
        return lambda u, _: _ROOTS[last](u)
    if last.is_integer() and 0 < abs(last) <= _LARGEST_PRODUCT:
        return lambda u, _: _integer_power(u, int(last))
    return _power


def _power(u: Tensor, exponent: Tensor) -> Tensor:
    undefined = torch.isnan(u) | torch.isnan(exponent)  # torch.pow(1, nan) is 1
    return torch.where(undefined, torch.nan, torch.pow(u, exponent))


def _integer_power(u: Tensor, exponent: int) -> Tensor:
    """Multiply repeatedly, which is many times faster than the general power."""
    if exponent < 0:
        return torch.reciprocal(_integer_power(u, -exponent))
    if exponent == 1:
        return u
    root = _integer_power(u, exponent // 2)
    return root * root * u if exponent % 2 else root * root


def _sign(u: Tensor) -> Tensor:
    return torch.where(torch.isnan(u), u, torch.sign(u))


def _heaviside(u: Tensor, at_zero: Tensor) -> Tensor:
    return torch.where(torch.isnan(u), u, torch.heaviside(u, at_zero))


def _comparison(holds: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def compare(a: Tensor, b: Tensor) -> Tensor:
        defined = ~(torch.isnan(a) | torch.isnan(b))
        return torch.where(defined, holds(a, b).to(torch.float64), torch.nan)

    return compare


def _not(a: Tensor) -> Tensor:
    return 1.0 - a


def _and(a: Tensor, b: Tensor) -> Tensor:
    return torch.where((a == 0.0) | (b == 0.0), 0.0, a * b)


def _or(a: Tensor, b: Tensor) -> Tensor:
    return _not(_and(_not(a), _not(b)))


def _select(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    chosen = torch.where(condition == 1.0, a, b)
    return torch.where(torch.isnan(condition), torch.nan, chosen)


_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "neg": torch.neg,
    "+": torch.add,
    "-": torch.sub,
    "*": torch.mul,
    "/": torch.div,
    "**": _power,
    "<": _comparison(torch.lt),
    "<=": _comparison(torch.le),
    "==": _comparison(torch.eq),
    "!=": _comparison(torch.ne),
    "~": _not,
    "&": _and,
    "|": _or,
    "select": _select,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "atan2": torch.atan2,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "exp": torch.exp,
    "log": torch.log,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "Abs": torch.abs,
    "sign": _sign,
    "floor": torch.floor,
    "ceiling": torch.ceil,
    "Heaviside": _heaviside,
    "Max": lambda *arguments: reduce(torch.maximum, arguments),
    "Min": lambda *arguments: reduce(torch.minimum, arguments),
}
_ROOTS = {0.5: torch.sqrt, -0.5: torch.rsqrt}
_LARGEST_PRODUCT = 64  # up to this exponent the rounding of repeated products is negligible
_COMMUTATIVE = frozenset({"+", "*", "&", "|", "==", "!="})
# Constants as the last argument that make an operation vanish, or decide its result.
_Rule: TypeAlias = tuple[str, float | None]
_NEUTRAL: frozenset[_Rule] = frozenset(
    {("+", 0.0), ("-", 0.0), ("*", 1.0), ("/", 1.0), ("**", 1.0), ("&", 1.0), ("|", 0.0)}
)
_ABSORBING: dict[_Rule, float] = {
    ("*", 0.0): 0.0,
    ("**", 0.0): 1.0,
    ("&", 0.0): 0.0,
    ("|", 1.0): 1.0,
}
