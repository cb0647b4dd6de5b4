"""A formula as an oracle, with its exact gradient.

Text is read by a parser of its own (``_parser``) into a graph of operations (``_compile``), on
which the chain rule is applied symbolically and which is compiled to vectorised float64 code.
SymPy knows the derivative of each elementary function, and its expressions are accepted in place
of text. It never sees a user's text, and an expression of it is written as text before it is used:
so there is one way in, one set of limits, and the text alone is the oracle's identity.

The gradient where the formula has no derivative:

- ``Abs``, ``Max`` and ``Min`` have on their crease the mean of the derivatives of the branches that
  meet there, e.g. Abs(x) has 0 at 0;
- ``Piecewise`` has the derivative of the branch that its conditions choose, also on the border;
- ``sign``, ``Heaviside``, ``floor`` and ``ceiling`` have 0 everywhere, also at the jump, where
  sign(0) is 0 and Heaviside(0) is 1/2;
- where the value is NaN or infinite, and where the chain rule meets 0 times infinity, as at the tip
  of the cone sqrt(x**2 + y**2), it is NaN.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from typing import Any, TypeAlias, final

import sympy
import torch
from jaxtyping import Float
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanAtom
from sympy.printing.precedence import precedence
from sympy.printing.str import StrPrinter
from torch import Tensor

from adaptsample.core.domain import Box
from adaptsample.core.shapes import Points, Values
from adaptsample.errors import ExpressionError
from adaptsample.oracles._compile import Graph, Program
from adaptsample.oracles._parser import ELEMENTARY, MAX_LENGTH, check_names, parse

__all__ = ["ExpressionError", "ExpressionOracle"]

Formula: TypeAlias = str | sympy.Expr
"""A formula as text or as an expression of SymPy."""


@final
@dataclass(frozen=True, init=False, repr=False)
class ExpressionOracle:
    """An oracle given by a formula, with exact gradient.

    Formulas are written as in Python, with ``pi``, ``E``, ``+ - * / **`` and the functions sin cos
    tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh exp log(u) log(u, base) ln log10 sqrt
    cbrt (the real root) erf erfc abs sign floor ceiling Heaviside max min, and with
    ``Piecewise((value, condition), ..., (value, True))``; SymPy's Abs, Max and Min are understood.
    Where a formula has no real value, as the logarithm of a negative number, that point gets NaN or
    infinity and other points are not affected.

    Args:
        text: a formula in the variables, such as ``"1/(Abs(0.5 - x**4 - y**4) + 0.1)"``, or a
            SymPy expression, whose symbols are matched by name; or several, one for each output.
        bounds: the variables and their ranges, or a Box.

    Raises:
        ExpressionError: a formula that cannot be used; the message shows the place in the text.
        ValueError: bounds that make no Box; when called, points of another dimension.
    """

    text: str | tuple[str, ...]
    domain: Box
    _value: Program = field(compare=False)
    _value_and_gradient: Program = field(compare=False)

    def __init__(
        self,
        text: Formula | Sequence[Formula],
        bounds: Box | Mapping[str, Sequence[float]],
    ) -> None:
        domain = bounds if isinstance(bounds, Box) else Box(bounds)
        check_names(domain.names)
        alone = isinstance(text, str | sympy.Basic) or not isinstance(text, Sequence)
        texts = tuple(_as_text(formula, domain.names) for formula in ([text] if alone else text))
        if not texts:
            raise ExpressionError("an ExpressionOracle needs at least one formula, got none")

        graph = Graph(domain.dimension)
        names = {name: node for node, name in enumerate(domain.names)}
        values = [parse(formula, names, graph) for formula in texts]
        slopes = [slope for value in values for slope in _gradient(graph, value, len(names))]
        object.__setattr__(self, "text", texts[0] if alone else texts)
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "_value", graph.compile(values))
        object.__setattr__(self, "_value_and_gradient", graph.compile([*values, *slopes]))

    @property
    def n_outputs(self) -> int:
        """Number of outputs, k."""
        return len(self._value.outputs)

    @property
    def exact(self) -> "ExpressionOracle":
        """The oracle itself: a formula is exact, and evaluating it costs nothing."""
        return self

    def __call__(self, x: Points) -> Values:
        """Evaluate the formulas at n points, in the domain or not."""
        return self._value(self._checked(x))

    def gradient(self, x: Points) -> Float[Tensor, "n k d"]:
        """Return d y_k / d x_d at n points; the module's text tells it on creases and at jumps."""
        computed = self._value_and_gradient(self._checked(x))
        values, slopes = computed[:, : self.n_outputs], computed[:, self.n_outputs :]
        slopes = slopes.reshape(len(x), self.n_outputs, self.domain.dimension)
        return torch.where(torch.isfinite(values)[:, :, None], slopes, torch.nan)

    def _checked(self, x: Points) -> Points:
        if x.ndim != 2 or x.shape[1] != self.domain.dimension:
            raise ValueError(
                f"points must be (n, {self.domain.dimension}), one column for each of "
                f"{', '.join(self.domain.names)}; got {tuple(x.shape)}"
            )
        return x.detach().to(torch.float64)

    def __repr__(self) -> str:
        text = repr(self.text)
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        return f"ExpressionOracle({shown}, {self.domain})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ExpressionOracle, (self.text, self.domain)


def _gradient(graph: Graph, output: int, n_variables: int) -> list[int]:
    """Return the nodes of a node's derivatives with respect to the variables.

    Reverse accumulation (Griewank and Walther 2008, chapter 3), symbolically: from the output
    back, every node passes on its adjoint, the derivative of the output with respect to it, times
    its own derivative with respect to each argument. With it goes the condition under which the
    node counts at all. What Piecewise, Max or Min did not choose gets 0 by selection, for there
    the product may be 0 times infinity.
    """
    zero, true = graph.constant(0.0), graph.constant(1.0)
    adjoint, counts = {output: true}, {output: true}
    for node in range(output, -1, -1):
        if node not in adjoint:
            continue
        for argument, share, chosen in _shares(graph, node, adjoint[node]):
            condition = graph.apply("&", counts[node], chosen)
            addend = graph.apply("select", condition, share, zero)
            adjoint[argument] = graph.apply("+", adjoint.get(argument, zero), addend)
            counts[argument] = graph.apply("|", counts.get(argument, zero), condition)
    return [adjoint.get(variable, zero) for variable in range(n_variables)]


def _shares(graph: Graph, node: int, adjoint: int) -> Iterator[tuple[int, int, int]]:
    """Yield each argument that the node depends on, what it gets, and where it was chosen."""
    apply, true = graph.apply, graph.constant(1.0)
    name, arguments = graph[node].name, graph[node].arguments
    match name, arguments:
        case "select", (condition, a, b):
            yield a, adjoint, condition
            yield b, adjoint, apply("~", condition)
        case (("Max" | "Min"), _):
            ties = [apply("==", argument, node) for argument in arguments]
            number = reduce(lambda a, b: apply("+", a, b), ties)
            for argument, tie in zip(arguments, ties, strict=True):
                yield argument, apply("/", adjoint, number), tie
        case _:
            for argument, share in _smooth_shares(graph, node, adjoint):
                yield argument, share, true


def _smooth_shares(graph: Graph, node: int, adjoint: int) -> Iterator[tuple[int, int]]:
    apply, one = graph.apply, graph.constant(1.0)
    name, arguments = graph[node].name, graph[node].arguments
    match name, arguments:
        case "neg", (a,):
            yield a, apply("neg", adjoint)
        case "+", (a, b):
            yield a, adjoint
            yield b, adjoint
        case "-", (a, b):
            yield a, adjoint
            yield b, apply("neg", adjoint)
        case "*", (a, b):
            yield a, apply("*", adjoint, b)
            yield b, apply("*", adjoint, a)
        case "/", (a, b):
            yield a, apply("/", adjoint, b)
            yield b, apply("neg", apply("*", apply("/", adjoint, b), node))
        case "**", (a, b):
            lower = apply("**", a, apply("-", b, one))
            yield a, apply("*", adjoint, apply("*", b, lower))
            if graph.value(b) is None:
                zero, slope = graph.constant(0.0), apply("*", node, apply("log", a))
                # At a zero base log is infinite, but 0**b is 0 for all b > 0.
                slope = apply("select", apply("==", a, zero), zero, slope)
                yield b, apply("*", adjoint, slope)
        case "Abs", (a,):
            yield a, apply("*", adjoint, apply("sign", a))
        case _ if name in ELEMENTARY and name not in _STEPS:
            names = {f"u{i}": argument for i, argument in enumerate(arguments)}
            for argument, derivative in zip(arguments, _derivatives(name), strict=True):
                yield argument, apply("*", adjoint, parse(derivative, names, graph))


@cache
def _derivatives(name: str) -> tuple[str, ...]:
    """Ask SymPy for the derivatives of a function with respect to its arguments u0, u1, ..."""
    arguments = sympy.symbols(f"u:{ELEMENTARY[name]}", real=True)
    value = getattr(sympy, name)(*arguments)
    return tuple(str(value.diff(argument)) for argument in arguments)


def _as_text(formula: object, names: Sequence[str]) -> str:
    """Write an expression of SymPy as text that the parser reads to the bit; leave text alone.

    Raises:
        ExpressionError: something else, or an expression that the parser's language cannot say.
    """
    if isinstance(formula, str):
        return formula
    if not isinstance(formula, sympy.Expr):
        raise ExpressionError(f"a formula is text or an expression of SymPy, got {formula!r}")
    for count, part in enumerate(sympy.preorder_traversal(formula)):
        if count > MAX_LENGTH:
            raise ExpressionError(f"the expression has more than {MAX_LENGTH} parts: simplify it")
        if isinstance(part, sympy.Symbol) and part.name not in names:
            declared = ", ".join(names)
            raise ExpressionError(f"unknown symbol {part.name!a}; variables: {declared}")
        if not isinstance(part, _SYMPY_TYPES):
            raise ExpressionError(f"{type(part).__name__} of SymPy has no place in a formula")
    try:
        return str(_Printer().doprint(formula))
    except (ArithmeticError, ValueError, RecursionError) as error:  # numbers of 5,000 digits, ...
        raise ExpressionError(f"SymPy cannot write this expression: {error}") from error


class _Printer(StrPrinter):  # type: ignore[misc]  # SymPy is untyped
    """SymPy's text, with floats to the bit and comparisons by operators."""

    def _print_Float(self, number: sympy.Float) -> str:  # noqa: N802  # SymPy's naming
        return repr(float(number))

    def _print_Relational(self, relation: Any) -> str:  # noqa: N802  # SymPy's naming
        left, right = (self.parenthesize(side, precedence(relation)) for side in relation.args)
        return f"({left} {relation.rel_op} {right})"

    def _print_Symbol(self, symbol: sympy.Symbol) -> str:  # noqa: N802  # SymPy's naming
        return str(symbol.name)


_STEPS = frozenset({"sign", "Heaviside", "floor", "ceiling"})
_SYMPY_TYPES = (
    *(getattr(sympy, name) for name in (*ELEMENTARY, "Add", "Mul", "Pow", "Max", "Min")),
    *(sympy.Symbol, sympy.Rational, sympy.Float, type(sympy.pi), type(sympy.E)),
    *(sympy.Piecewise, ExprCondPair, sympy.core.relational.Relational),
    *(sympy.And, sympy.Or, sympy.Not, BooleanAtom),
)
