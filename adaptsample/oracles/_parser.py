"""Reads a formula as text into a graph of operations.

Formulas come from command lines and files, so their text is not trusted. The grammar below is all
there is, and the text never reaches an evaluator, nor Python's own parser: there is nothing to
forbid. What could grow is bounded before it is made: the length of the text, the depth of its
nesting and, because constants are folded in float64, every constant.

    number     literal | variable | pi | E | (number) | -number | +number
               | number + - * / ** number | function(number, ...)
               | Piecewise((number, condition), ...)
    condition  True | False | (condition) | ~condition | condition & | condition
               | number < <= > >= == != number ...

Operators bind as in Python; functions are in the tables at the end.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import e, isfinite, isnan, nan, pi
from typing import NamedTuple

from adaptsample.errors import ExpressionError
from adaptsample.oracles._compile import Graph

MAX_LENGTH = 10_000
"""The most characters in a formula."""

MAX_DEPTH = 64
"""The most levels of brackets, signs and powers within one another."""


def parse(text: str, names: Mapping[str, int], graph: Graph) -> int:
    """Read a formula.

    Args:
        text: the formula.
        names: the node of every variable.
        graph: takes up the operations.

    Returns:
        The formula's node.

    Raises:
        ExpressionError: the text is no formula in these variables, or has no real value.
    """
    return _Parser(text, names, graph).formula()


def check_names(names: Iterable[str]) -> None:
    """Refuse variables that a formula could not name.

    Raises:
        ExpressionError: a name is no identifier, or means something in every formula.
    """
    for name in names:
        if not name.isidentifier() or not unicodedata.is_normalized("NFKC", name):
            raise ExpressionError(
                f"variable {name!a} cannot be written in a formula: "
                "use letters, digits and _, and no digit first"
            )
        if name in _FUNCTIONS or name in _CONSTANTS or name in _TRUTH:
            raise ExpressionError(
                f"variable {name!r} has the name of a function or constant: choose another name"
            )


class _Token(NamedTuple):
    kind: str  # "number", "name", "operator" or "end"
    text: str
    offset: int


class _Term(NamedTuple):
    node: int
    is_condition: bool
    offset: int


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the formula has {len(text)} characters, more than {MAX_LENGTH}: "
            "shorten it, or write it as a Python function",
            text[: MAX_LENGTH + 1],
            MAX_LENGTH,
        )
    tokens, offset = [], 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None or not unicodedata.is_normalized("NFKC", match.group()):
            hint = _HINTS.get(text[offset], "no such character belongs in a formula")
            raise ExpressionError(f"unexpected {text[offset]!a}: {hint}", text, offset)
        if match.lastgroup is not None:  # else blanks
            tokens.append(_Token(match.lastgroup, match.group(), offset))
        offset = match.end()
    return [*tokens, _Token("end", "", len(text))]


class _Parser:
    """Recursive descent with binding strengths; operands are typed as numbers or conditions."""

    def __init__(self, text: str, names: Mapping[str, int], graph: Graph) -> None:
        self._text = text
        self._names = names
        self._graph = graph
        self._tokens = _tokens(text)
        self._position = 0
        self._depth = 0

    def formula(self) -> int:
        if self._token.kind == "end":
            raise self._error("the formula is empty")
        node = self._number()
        if self._token.kind != "end":
            raise self._expected("an operator, such as *,")
        return node

    @property
    def _token(self) -> _Token:
        return self._tokens[self._position]

    def _take(self, text: str | None = None) -> _Token:
        """Go past the token; if a text is given, the token must be this one."""
        token = self._token
        if text is not None and token.text != text:
            raise self._expected(repr(text))
        self._position += 1
        return token

    def _error(self, problem: str, place: _Token | _Term | None = None) -> ExpressionError:
        return ExpressionError(problem, self._text, (place or self._token).offset)

    def _expected(self, what: str) -> ExpressionError:
        found = repr(self._token.text[:40]) if self._token.text else "the end"
        return self._error(f"expected {what} and found {found}")

    def _require(self, term: _Term, *, condition: bool) -> int:
        if condition and not term.is_condition:
            raise self._error(
                "expected a condition such as x < 0, with brackets around each that &, | or ~ join",
                term,
            )
        if term.is_condition and not condition:
            raise self._error(
                "a condition is not a number: use it in Piecewise((value, condition), ...)", term
            )
        return term.node

    def _number(self) -> int:
        return self._require(self._expression(), condition=False)

    def _condition(self) -> int:
        return self._require(self._expression(), condition=True)

    def _expression(self, binding: int = 0) -> _Term:
        """Read operands joined by operators that bind more tightly than ``binding``."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} levels deep")
        left = last = self._operand()
        while _BINDING.get(self._token.text, 0) > binding:
            operator = self._take()
            right = self._expression(_RIGHT_BINDING.get(operator.text, _BINDING[operator.text]))
            if operator.text in _COMPARISONS:  # a < b < c means (a < b) & (b < c)
                link = self._operation(operator, last, right)
                left = link if left is last else self._both(left, link)
                last = right
            else:
                left = last = self._operation(operator, left, right)
        self._depth -= 1
        return left

    def _operand(self) -> _Term:
        if self._token.kind == "number":
            token = self._take()
            return self._term(self._graph.constant(float(token.text)), token)
        if self._token.kind == "name":
            name = self._take()
            return self._call(name) if self._token.text == "(" else self._named(name)
        if self._token.text in _SIGNS:
            return self._signed(self._take())
        if self._token.text == "(":
            self._take()
            inside = self._expression()
            self._take(")")
            return inside
        raise self._expected("a number, a name or a bracket")

    def _signed(self, sign: _Token) -> _Term:
        operand = self._expression(_SIGN)
        node = self._require(operand, condition=sign.text == "~")
        if sign.text == "+":
            return operand
        if sign.text == "~":
            return _Term(self._graph.apply("~", node), True, sign.offset)
        return self._term(self._graph.apply("neg", node), sign)

    def _named(self, name: _Token) -> _Term:
        if name.text in self._names:
            return _Term(self._names[name.text], False, name.offset)
        if name.text in _CONSTANTS:
            return _Term(self._graph.constant(_CONSTANTS[name.text]), False, name.offset)
        if name.text in _TRUTH:
            return _Term(self._graph.constant(_TRUTH[name.text]), True, name.offset)
        if name.text in _FUNCTIONS:
            raise self._error(f"{name.text} is a function: write {name.text}(...)", name)
        near = _near(name.text, [*self._names, *_CONSTANTS])
        declared = ", ".join(self._names)
        raise self._error(f"unknown name {name.text[:40]!a}{near}; variables: {declared}", name)

    def _call(self, name: _Token) -> _Term:
        if name.text in self._names or name.text in _CONSTANTS:
            raise self._error(f"{name.text} is not a function: write {name.text}*(...)", name)
        if name.text not in _FUNCTIONS:
            near = _near(name.text, _FUNCTIONS)
            raise self._error(f"unknown function {name.text[:40]!a}{near}", name)
        self._take("(")
        if name.text == "Piecewise":
            node = self._branches()
        else:
            node = self._function(name, self._arguments())
        self._take(")")
        return self._term(node, name)

    def _arguments(self) -> list[int]:
        arguments = [self._number()]
        while self._token.text == ",":
            self._take()
            arguments.append(self._number())
        return arguments

    def _branches(self) -> int:
        """Read (value, condition), ...: the first condition that holds decides, else NaN."""
        branches = [self._branch()]
        while self._token.text == ",":
            self._take()
            branches.append(self._branch())
        node = self._graph.constant(nan)
        for value, condition in reversed(branches):
            node = self._graph.apply("select", condition, value, node)
        return node

    def _branch(self) -> tuple[int, int]:
        self._take("(")
        value = self._number()
        self._take(",")
        condition = self._condition()
        self._take(")")
        return value, condition

    def _function(self, name: _Token, arguments: list[int]) -> int:
        if name.text in _EXTREMES:
            return self._graph.apply(_EXTREMES[name.text], *arguments)
        if ELEMENTARY.get(name.text) == len(arguments):
            if name.text == "Heaviside" and self._graph.value(arguments[1]) is None:
                raise self._error("the value of Heaviside at 0 must be a constant", name)
            return self._graph.apply(name.text, *arguments)
        if (name.text, len(arguments)) not in _ABBREVIATIONS:
            raise self._error(f"{name.text} does not take {len(arguments)} arguments", name)
        meaning = _ABBREVIATIONS[name.text, len(arguments)]
        try:
            return parse(meaning, dict(zip("uv", arguments, strict=False)), self._graph)
        except ExpressionError as error:
            raise self._error(error.problem, name) from None

    def _operation(self, operator: _Token, left: _Term, right: _Term) -> _Term:
        name, logical = operator.text, operator.text in _LOGICAL
        a = self._require(left, condition=logical)
        b = self._require(right, condition=logical)
        if name == "/" and self._graph.value(b) == 0.0:
            raise self._error("division by zero", operator)
        if name in {">", ">="}:
            name, a, b = name.replace(">", "<"), b, a
        node = self._graph.apply(name, a, b)
        if logical or name in _COMPARISONS:
            return _Term(node, True, operator.offset)
        return self._term(node, operator)

    def _both(self, left: _Term, right: _Term) -> _Term:
        return _Term(self._graph.apply("&", left.node, right.node), True, left.offset)

    def _term(self, node: int, place: _Token) -> _Term:
        """Return a number, which must be a finite one where it is constant."""
        value = self._graph.value(node)
        if value is not None and not isfinite(value):
            kind = "not a real number" if isnan(value) else "infinite or too large"
            raise self._error(f"this constant is {kind}", place)
        return _Term(node, False, place.offset)


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:40], known)
    return f", did you mean {' or '.join(near)}?" if near else ""


_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<operator>\*\*|[<>=!]=|[-+*/<>&|~(),])"
    r"|[ \t\r\n]+"
)
_HINTS = {
    "^": "powers are written **",
    "=": "equality is written ==",
    "'": "there is no text in a formula",
    '"': "there is no text in a formula",
}

_SIGN = 6  # binding of -, + and ~ before an operand: less than **, more than *
_SIGNS = frozenset("+-~")
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
_LOGICAL = frozenset("&|")
_BINDING = dict.fromkeys(_COMPARISONS, 1) | {
    "|": 2,
    "&": 3,
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "**": 7,
}
_RIGHT_BINDING = {"**": _SIGN}  # a**b**c is a**(b**c), and 2**-x needs no brackets

_CONSTANTS = {"pi": pi, "E": e}
_TRUTH = {"True": 1.0, "False": 0.0}
ELEMENTARY = {
    # operations of the graph and their numbers of arguments; SymPy has them under the same names
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan"), 1),
    **dict.fromkeys(("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"), 1),
    **dict.fromkeys(("exp", "log", "erf", "erfc", "Abs", "sign", "floor", "ceiling"), 1),
    **dict.fromkeys(("atan2", "Heaviside"), 2),
}
_EXTREMES = {"Max": "Max", "max": "Max", "Min": "Min", "min": "Min"}
_ABBREVIATIONS = {  # what a function of u, or of u and v, stands for
    ("abs", 1): "Abs(u)",
    ("ln", 1): "log(u)",
    ("log10", 1): "log(u)/log(10)",
    ("log", 2): "log(u)/log(v)",
    ("sqrt", 1): "u**0.5",
    ("cbrt", 1): "sign(u)*Abs(u)**(1/3)",
    ("Heaviside", 1): "Heaviside(u, 0.5)",
}
_FUNCTIONS = frozenset(
    {"Piecewise", *ELEMENTARY, *_EXTREMES, *(name for name, _ in _ABBREVIATIONS)}
)
