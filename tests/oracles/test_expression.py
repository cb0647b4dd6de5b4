"""A formula means what it says, to 1e-12, with exact gradient; other text is refused unharmed."""

import ast
import json
import math
import multiprocessing
import operator
import pickle
import resource
from pathlib import Path

import mpmath
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptsample.core.domain import Box
from adaptsample.errors import ExpressionError
from adaptsample.oracles.expression import ExpressionOracle
from adaptsample.oracles.protocol import Differentiable, Oracle, Stochastic, SupportsExact

SQUARE = Box({"x": (0, 1), "y": (0, 1)})
LINE = Box({"x": (-2, 2)})
PEAK = "1/(Abs(0.5 - x**4 - y**4) + 0.1)"
EXAMPLES = json.loads((Path(__file__).parents[1] / "data" / "expressions.json").read_text())

# The long examples are given as the Python code that makes them; here it is, as code.
LONG = {
    '"x**"+"9"*5000': "x**" + "9" * 5000,
    '"9"*1000000': "9" * 1000000,
    '"("*5000+"x"+")"*5000': "(" * 5000 + "x" + ")" * 5000,
    '"-"*100000+"x"': "-" * 100000 + "x",
    '"sin("*400+"x"+")"*400': "sin(" * 400 + "x" + ")" * 400,
    '"**".join(["x"]*2000)': "**".join(["x"] * 2000),
    '"x+"*5000000+"x"': "x+" * 5000000 + "x",
    '"+".join(f"{i}*x**{i%7}" for i in range(200))': "+".join(
        f"{i}*x**{i % 7}" for i in range(200)
    ),
}


def text_of(example):
    return example["text"] if "text" in example else LONG[example["python"]]


ACCEPTED = [
    *(text_of(example) for example in EXAMPLES["accept"]),
    PEAK,
    "(" * 50 + "x" + ")" * 50,
    "1e300*x",
    "Abs(x - y) + ceiling(x)",
    "(((((x+1)**2+1)**2+1)**2+1)**2+1)**2",
    "((x + 1)*1e-5/(y*1e-5 + 1e-5))**70",  # expanded, it is 1e-350 times 1e350
    "log10(x + 1) - ln(y + 1) + cbrt(x) + erfc(y)",
    "asinh(x) + acosh(1 + y) + atanh(x/2)",
    "Piecewise((1, x < y <= 0.7), (2, ~(x > 0.5) | (y == x)), (3, (x >= y) & (y != 0)), (4, True))",
    "Heaviside(x - 0.5, 1) + max(x, y)*min(x, y)",
]


def points(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def uniform(domain, n=50, seed=0):
    return domain.uniform(n, generator=torch.Generator().manual_seed(seed))


# Safety


def refuse_all(marker, done):
    """Refuse every bad example, in a process that has neither time nor memory to spare."""
    texts = [text_of(example).replace("MARK", marker) for example in EXAMPLES["reject"]]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20, used + 100 * 2**20))
    for text in texts:
        with pytest.raises(ExpressionError):
            ExpressionOracle(text, SQUARE)
    done.send(len(texts))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux only")
def test_no_bad_example_is_run_or_takes_time_or_memory(tmp_path):
    marker = tmp_path / "marker"
    receiver, done = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=refuse_all, args=(str(marker), done)
    )
    process.start()
    done.close()
    process.join(timeout=300)
    process.kill()
    assert process.exitcode == 0
    assert receiver.recv() == len(EXAMPLES["reject"])
    assert not marker.exists()


@pytest.mark.parametrize("example", EXAMPLES["reject"], ids=lambda example: example["id"])
def test_a_refusal_names_a_place_in_the_text(example):
    text = text_of(example)
    with pytest.raises(ExpressionError) as caught:
        ExpressionOracle(text, SQUARE)
    assert 0 <= caught.value.offset <= len(text)
    assert len(str(caught.value)) < 400


VOCABULARY = [
    *("x", "y", "z", "pi", "E", "True", "sin", "log", "sqrt", "Max", "Piecewise", "Heaviside"),
    *("0", "1", "2", ".5", "1e300", "(", ")", "((", "))", ",", "+", "-", "*", "/", "**", "<", "=="),
    *("&", "|", "~", " ", "\n", "lambda", "'", "__class__", ".", "[", "sin(x)", "(x < y)"),
]


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.lists(st.sampled_from(VOCABULARY), max_size=25).map("".join),
        st.text(max_size=40),
        st.binary(max_size=40).map(lambda data: data.decode("latin-1")),
    )
)
def test_any_text_is_refused_or_works(text):
    try:
        oracle = ExpressionOracle(text, SQUARE)
    except ExpressionError:
        return
    x = uniform(SQUARE, 3)
    assert oracle(x).shape == (3, 1)
    assert oracle.gradient(x).shape == (3, 1, 2)


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("x + yy", 4, "unknown name 'yy', did you mean y?; variables: x, y"),
        ("sine(x)", 0, "unknown function 'sine', did you mean sin"),
        ("2*(x + 1", 8, "expected ')' and found the end"),
        ("2*x)", 3, "expected an operator, such as *, and found ')'"),
        ("x^2", 1, "powers are written **"),
        ("x(1 + y)", 0, "x is not a function: write x*(...)"),
        ("atan2(x)", 0, "atan2 does not take 1 arguments"),
        ("x +\n y/0", 6, "division by zero"),
        ("1 + sqrt(2 - 3)", 4, "this constant is not a real number"),
        ("log(x, 1)", 0, "division by zero"),
        ("Heaviside(x, y)", 0, "must be a constant"),
        ("x < y", 2, "a condition is not a number"),
        ("Heaviside(x > 0)", 12, "a condition is not a number"),
        ("Piecewise((x, y))", 14, "expected a condition"),
        ("Piecewise((x, x < 1 & y < 1))", 18, "brackets around each"),
        ("Piecewise((1, False))", 0, "not a real number"),
        ("x + \N{CYRILLIC SMALL LETTER HA}", 4, r"unknown name '\u0445'"),
    ],
)
def test_an_error_tells_what_is_wrong_and_where(text, offset, message):
    with pytest.raises(ExpressionError) as caught:
        ExpressionOracle(text, SQUARE)
    assert caught.value.offset == offset
    assert message in str(caught.value)


def test_an_error_points_at_the_place_in_its_line_and_travels_between_processes():
    with pytest.raises(ExpressionError) as caught:
        ExpressionOracle("x +\n  foo*y", SQUARE)
    assert str(caught.value).split("\n")[1:] == ["    foo*y", "    ^"]
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # bytes of our own
    assert str(error) == str(caught.value)


@pytest.mark.parametrize("name", ["sin", "pi", "E", "max", "Piecewise", "True", "a b", "2x", "x-y"])
def test_a_variable_needs_a_name_of_its_own(name):
    with pytest.raises(ExpressionError, match="variable"):
        ExpressionOracle("1", {name: (0, 1)})


@pytest.mark.parametrize("name", ["x_1", "_", "lambda", "θ", "u", "v", "u0", "x0"])
def test_any_other_identifier_names_a_variable(name):
    oracle = ExpressionOracle(f"sqrt({name}) + 1", {name: (0, 1)})
    assert oracle(points([0.25])).item() == 1.5
    assert oracle.gradient(points([0.25])).item() == 1.0


# Values

EXACT = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul},
    **{ast.Div: operator.truediv, ast.Pow: operator.pow},
    **{ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Invert: operator.not_},
    **{ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge},
    **{ast.Eq: operator.eq, ast.NotEq: operator.ne},
    **{ast.BitAnd: operator.and_, ast.BitOr: operator.or_},
    "abs": mpmath.fabs,
    "Abs": mpmath.fabs,
    "ln": mpmath.log,
    "Max": max,
    "Min": min,
    "ceiling": mpmath.ceil,
    "Heaviside": lambda u, at_zero=0.5: mpmath.mpf(u > 0) if u != 0 else mpmath.mpf(at_zero),
}


def exact_value(tree, names):
    """Evaluate Python's reading of a formula with 50 digits: a second opinion on every step."""
    match tree:
        case ast.Expression(body):
            return exact_value(body, names)
        case ast.Constant(bool() as value):
            return value
        case ast.Constant(value):
            return mpmath.mpf(repr(value))
        case ast.Name(name):
            return names[name] if name in names else {"pi": mpmath.pi, "E": mpmath.e}[name] * 1
        case ast.BinOp(left, operation, right):
            return EXACT[type(operation)](exact_value(left, names), exact_value(right, names))
        case ast.UnaryOp(operation, operand):
            return EXACT[type(operation)](exact_value(operand, names))
        case ast.Compare(left, operations, others):
            terms = [exact_value(term, names) for term in (left, *others)]
            links = zip(operations, terms, terms[1:], strict=False)
            return all(EXACT[type(operation)](a, b) for operation, a, b in links)
        case ast.Call(ast.Name("Piecewise"), branches):
            chosen = next(pair for pair in branches if exact_value(pair.elts[1], names))
            return exact_value(chosen.elts[0], names)
        case ast.Call(ast.Name(name), arguments):
            function = EXACT.get(name) or EXACT.get(name.capitalize()) or getattr(mpmath, name)
            return function(*(exact_value(argument, names) for argument in arguments))
    raise AssertionError(ast.dump(tree))


@pytest.mark.parametrize("text", ACCEPTED, ids=lambda text: text[:40])
def test_values_agree_with_fifty_digits(text):
    oracle = ExpressionOracle(text, SQUARE)
    x = uniform(SQUARE, 12)
    values = oracle(x)
    tree = ast.parse(" ".join(text.split()), mode="eval")
    with mpmath.workdps(50):
        for row, value in zip(x.tolist(), values[:, 0].tolist(), strict=True):
            names = dict(zip("xy", map(mpmath.mpf, row), strict=True))
            assert value == pytest.approx(float(exact_value(tree, names)), rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-x**2", -4.0),
        ("2**-x", 0.25),
        ("-x**-x", -0.25),
        ("2**3**x", 512.0),
        ("12/x/3*x", 4.0),
        ("10 - 3 - x", 5.0),
        ("--x - +x", 0.0),
        ("10**6*x + 2**10", 2001024.0),
        ("Piecewise((1, x < 1), (5, x < 3))", 5.0),
        ("Piecewise((1, 1 < x < 3), (0, True))", 1.0),
        ("Piecewise((1, (x < 0) | (x > 1) & (x > 3)), (0, True))", 0.0),
        ("Piecewise((1, ~(x < 0)), (0, True))", 1.0),
        ("cbrt(-4*x)", -2.0),
        ("sign(x - 2)", 0.0),
        ("Heaviside(x - 2)", 0.5),
        ("Heaviside(x - 2, 1)", 1.0),
        ("0*x + 3", 3.0),
        ("7", 7.0),
    ],
)
def test_operators_bind_as_in_python(text, value):
    assert ExpressionOracle(text, LINE)(points([2.0])).item() == pytest.approx(value, rel=1e-15)


LEAVES = st.one_of(
    st.sampled_from([("x", lambda x, y: x), ("y", lambda x, y: y)]),
    st.floats(-9, 9).map(lambda c: (f"({c!r})", lambda x, y: c)),
)


def combine(text, function):
    """Return what makes of (text, function) pairs the pair of a longer formula."""

    def combined(*parts):
        def value(x, y):
            result = function(*(part[1](x, y) for part in parts))
            if not math.isfinite(result):
                raise OverflowError
            return result

        return text.format(*(part[0] for part in parts)), value

    return combined


def larger(inner):
    """Use operations whose float64 result is the exact one rounded: equality is to the bit."""
    one = [
        combine("(-{})", operator.neg),
        combine("Abs({})", abs),
        combine("floor({})", math.floor),
        combine("ceiling({})", math.ceil),
        combine("sign({})", lambda u: (u > 0) - (u < 0)),
        combine("({})**2", lambda u: u * u),
    ]
    two = [
        combine("({} + {})", operator.add),
        combine("({} - {})", operator.sub),
        combine("({} * {})", operator.mul),
        combine("({} / {})", operator.truediv),
        combine("Max({}, {})", max),
        combine("Min({}, {})", min),
    ]
    four = [
        combine(
            f"Piecewise(({{0}}, {{1}} {sign} {{2}}), ({{3}}, True))",
            lambda a, b, c, d, holds=holds: a if holds(b, c) else d,
        )
        for sign, holds in [("<", operator.lt), (">=", operator.ge), ("!=", operator.ne)]
    ]
    return st.one_of(
        st.builds(lambda f, a: f(a), st.sampled_from(one), inner),
        st.builds(lambda f, a, b: f(a, b), st.sampled_from(two), inner, inner),
        st.builds(lambda f, *a: f(*a), st.sampled_from(four), inner, inner, inner, inner),
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.recursive(LEAVES, larger, max_leaves=12))
def test_a_random_formula_has_the_value_of_its_tree(formula):
    text, value = formula
    x = uniform(Box({"x": (-3, 3), "y": (-3, 3)}), 5)
    expected = []
    for row in x.tolist():
        try:
            expected.append(value(*row))
        except (OverflowError, ZeroDivisionError):
            expected.append(None)  # nothing is promised, except that others are not affected
    try:
        values = ExpressionOracle(text, {"x": (-3, 3), "y": (-3, 3)})(x)[:, 0].tolist()
    except ExpressionError:
        assert expected == [None] * 5
    else:
        for got, want in zip(values, expected, strict=True):
            assert want is None or got == want


@pytest.mark.parametrize(
    "text",
    ["log(x)", "sqrt(x)", "1/(x + 1)", "x**0.3", "asin(x - 1)", "x**(x/2)", "log(x)**2 + 1"],
)
def test_points_without_a_real_value_do_not_affect_others(text):
    oracle = ExpressionOracle(text, LINE)
    x = points([-1.0], [0.5], [1.5])
    assert not oracle(x)[0].isfinite()
    assert oracle.gradient(x)[0].isnan()
    assert torch.equal(oracle(x)[1:], oracle(x[1:]))
    assert oracle(x[1:]).isfinite().all()
    assert torch.equal(oracle.gradient(x)[1:], oracle.gradient(x[1:]))
    assert oracle.gradient(x[1:]).isfinite().all()


def test_where_a_condition_is_undefined_so_is_the_value():
    def values(text):
        return ExpressionOracle(text, LINE)(points([-1.0], [2.0]))[:, 0].isnan().tolist()

    assert values("Piecewise((1, log(x) < 0), (2, True))") == [True, False]
    assert values("sign(log(x)) + floor(log(x))") == [True, False]
    assert values("Heaviside(log(x))") == [True, False]
    assert values("Max(log(x), 0)") == [True, False]
    assert values("(x/x)**log(x)") == [True, False]
    # Kleene: what is undefined does not matter where the rest decides.
    assert values("Piecewise((1, (x > 0) & (log(x) < 0)), (2, True))") == [False, False]
    assert values("Piecewise((1, (x < 0) | (log(x) < 0)), (2, True))") == [False, False]
    assert values("Piecewise((1, x > 0))") == [True, False]


# Gradients

FORMULAS = [
    *("sin(x*y)", "cos(x*y)", "tan(x*y)", "asin(x*y)", "acos(x*y)", "atan(x*y)", "atan2(y, x)"),
    *("sinh(x*y)", "cosh(x*y)", "tanh(x*y)", "asinh(x*y)", "acosh(1 + x*y)", "atanh(x*y)"),
    *(
        "exp(x*y)",
        "log(x*y)",
        "log(x + 1, y + 2)",
        "log10(x*y)",
        "ln(x*y)",
        "erf(x*y)",
        "erfc(x*y)",
    ),
    *(
        "sqrt(x*y)",
        "cbrt(x) + cbrt(-x - y)",
        "x**y",
        "x**-y",
        "2**(x*y)",
        "(x*y)**0.3",
        "(x*y)**-7",
    ),
    *("x**65", "-x + +y", "x/y", "1/(x*y)", "x*y*x*y*y", "x/(y + 1)/(x + 2)", "3"),
    *("Abs(x - y)", "Max(x, y, 0.3)", "Min(x, 1 - y)", "Heaviside(x - 0.3)*x", "sign(x - y)*y"),
    *("floor(4*x)*y", "ceiling(4*x)*y", "Abs(log(x))", "Max(sin(9*x), Min(x, y)*y, cos(9*y))"),
    *("Piecewise((x, x < y), (x**2*y, x + y > 1), (exp(y), True))", "sqrt((x - y)**2)"),
]


@pytest.mark.parametrize("text", FORMULAS + ACCEPTED, ids=lambda text: text[:40])
def test_gradients_agree_with_central_differences(text):
    oracle = ExpressionOracle(text, SQUARE)
    x = 0.05 + 0.9 * uniform(SQUARE)
    h = 1e-5
    steps = h * torch.eye(2, dtype=torch.float64)
    # Fourth order, as large powers curve much; no point is within 2 h of a crease or jump.
    near = torch.stack([oracle(x + step) - oracle(x - step) for step in steps], dim=2)
    far = torch.stack([oracle(x + 2 * step) - oracle(x - 2 * step) for step in steps], dim=2)
    expected = (8 * near - far) / (12 * h)
    gradient = oracle.gradient(x)
    assert gradient.shape == (50, 1, 2)
    scale = expected.abs().max() + oracle(x).abs().max()
    assert (gradient - expected).abs().max() <= 1e-8 * scale


@pytest.mark.parametrize(
    ("text", "x", "gradient"),
    [
        ("Abs(x)", 0.0, 0.0),
        ("sqrt(x**2)", 0.0, 0.0),
        ("sqrt(x*x)", 0.0, 0.0),
        ("(x**2)**0.75", 0.0, 0.0),
        ("Abs(x) + x", 0.0, 1.0),
        ("Max(x, 0)", 0.0, 0.5),
        ("Max(2*x, x, 0)", 0.0, 1.0),
        ("Min(3*x, x)", 0.0, 2.0),
        ("Max(x, x)", 0.5, 1.0),
        ("Piecewise((x, x < 0), (x**2, True))", 0.0, 0.0),
        ("Piecewise((x, x <= 0), (x**2, True))", 0.0, 1.0),
        ("sign(x)", 0.0, 0.0),
        ("Heaviside(x)", 0.0, 0.0),
        ("floor(x) + ceiling(x)", 1.0, 0.0),
        ("sqrt(x)", 0.0, math.inf),
        ("Abs(x)**1.3", 0.0, 0.0),
        ("Abs(x)**0.3", 0.0, math.nan),
        ("sqrt(abs(x))", 0.0, math.nan),
        ("1/x", 0.0, math.nan),
    ],
)
def test_gradients_on_creases_and_jumps_are_the_documented_ones(text, x, gradient):
    oracle = ExpressionOracle(text, LINE)
    assert oracle.gradient(points([x])).item() == pytest.approx(gradient, rel=1e-15, nan_ok=True)
    assert oracle.gradient(points([x], [0.7], [-0.7])).isfinite().sum() >= 1


@pytest.mark.parametrize(
    ("text", "x", "gradient"),
    [
        ("sqrt(Max(x, 0))", -1.0, 0.0),
        ("sqrt(Max(x, 0)) + sqrt(Max(x, -3))", -2.0, math.nan),
        ("Max(x, 0)**0.3 + Max(2 - x, 0)**0.3", -1.0, -0.3 * 3**-0.7),
        ("sqrt(floor(Abs(x)))", 0.5, 0.0),
        ("Piecewise((x*log(x), x > 0), (0, True))", 0.0, 0.0),
        ("Piecewise((sin(x)/x, x != 0), (1 + x, True))", 0.0, 1.0),
        ("Piecewise((log(x), x > 0), (x, True)) + x", -1.0, 2.0),
        ("Piecewise((Piecewise((1, log(x) < 0), (2, True)), x > 0), (x**2, True))", -1.0, -2.0),
        ("Max(Piecewise((log(x), x > 0), (3*x, True)), -9)", -1.0, 3.0),
        ("x**(x + 2)", 0.0, 0.0),
    ],
)
def test_what_is_not_chosen_leaves_the_gradient_alone(text, x, gradient):
    got = ExpressionOracle(text, LINE).gradient(points([x])).item()
    assert got == pytest.approx(gradient, rel=1e-14, nan_ok=True)


def test_the_gradient_of_the_peak_is_exact():
    x, y = uniform(SQUARE).unbind(dim=1)
    slope = 4 * torch.sign(0.5 - x**4 - y**4) / (torch.abs(0.5 - x**4 - y**4) + 0.1) ** 2
    expected = torch.stack([slope * x**3, slope * y**3], dim=1)[:, None]
    gradient = ExpressionOracle(PEAK, SQUARE).gradient(torch.stack([x, y], dim=1))
    torch.testing.assert_close(gradient, expected, rtol=1e-13, atol=0)


def test_common_subexpressions_are_computed_once():
    oracle = ExpressionOracle("exp(sin(x))*exp(sin(x)) + (1 + exp(sin(x)))", LINE)
    functions = [step.function for step in oracle._value.steps]
    assert functions.count(torch.sin) == functions.count(torch.exp) == 1


def test_a_gradient_costs_a_few_values_whatever_the_formula():
    product = ExpressionOracle("*".join(f"sin({k}*x + y)" for k in range(1, 300)), SQUARE)
    assert len(product._value_and_gradient.steps) < 5 * len(product._value.steps)


# SymPy

X, Y = sympy.symbols("x y")


@pytest.mark.parametrize(
    "expression",
    [
        1 / (sympy.Abs(0.5 - X**4 - Y**4) + 0.1),
        sympy.exp(-X) * sympy.log(Y + 1, 10) / 3 + sympy.pi * sympy.E,
        sympy.sqrt(X) + X ** sympy.Rational(1, 3) - Y ** (-2.5),
        sympy.Max(X, Y, sympy.Rational(1, 3)) + sympy.Min(X, Y) * sympy.sign(X - Y),
        sympy.atan2(X, Y) + sympy.Heaviside(X - Y) + sympy.Heaviside(Y - X, 1),
        sympy.Piecewise((X, sympy.And(X < Y, sympy.Ne(X, 0))), (Y, X > 0.6), (1, True)),
        sympy.Piecewise((X, sympy.Or(X > Y, sympy.Not(sympy.Eq(X, Y)))), (2, True)),
        sympy.Add(X, sympy.Mul(-2, sympy.Pow(X, -1, evaluate=False), evaluate=False)),
        sympy.Symbol("x", positive=True) * 3,
        sympy.Integer(2),
    ],
    ids=str,
)
def test_an_expression_of_sympy_is_understood(expression):
    oracle = ExpressionOracle(expression, SQUARE)
    x = uniform(SQUARE, 9)
    for row, value in zip(x.tolist(), oracle(x)[:, 0].tolist(), strict=True):
        named = {symbol: row["xy".index(symbol.name)] for symbol in expression.free_symbols}
        assert value == pytest.approx(float(expression.evalf(30, subs=named)), rel=1e-13)
    assert ExpressionOracle(oracle.text, SQUARE) == oracle


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (sympy.I * X, "ImaginaryUnit"),
        (sympy.oo * X, "Infinity of SymPy"),
        (sympy.zoo, "ComplexInfinity"),
        (sympy.nan, "NaN"),
        (sympy.Symbol("z") + X, "unknown symbol 'z'; variables: x, y"),
        (sympy.Symbol("x+y"), "unknown symbol"),
        (sympy.Function("sin")(X) + sympy.Function("f")(X), "f of SymPy"),
        (sympy.besselj(0, X), "besselj"),
        (sympy.Derivative(X**2, X), "Derivative"),
        (sympy.Integral(X, X), "Integral"),
        (sympy.Integer(10) ** 400 * X, "too large"),
        (sympy.Integer(10) ** 6000 * X, "SymPy cannot write"),
        (sympy.Float("1e400") * X, "unknown name|cannot write"),
        (sympy.sqrt(-2) * X, "ImaginaryUnit"),
        (sympy.Add(*(X**k for k in range(1, 9000))), "parts"),
        (sympy.true, "text or an expression"),
        (3, "text or an expression"),
        (None, "text or an expression"),
        (b"x", "text or an expression"),
        ([], "at least one"),
    ],
)
def test_another_expression_is_refused(expression, message):
    with pytest.raises(ExpressionError, match=message):
        ExpressionOracle(expression, SQUARE)


def test_floats_of_sympy_keep_every_bit():
    number = 0.1 + 0.2 + 1e-17
    assert ExpressionOracle(sympy.Float(number) * X, LINE)(points([1.0])).item() == number


def test_gradients_agree_with_sympy():
    expression = sympy.sin(X * Y) ** 3 / (1 + sympy.exp(X) * sympy.atan2(Y, X + 1)) + X**Y
    x = uniform(SQUARE, 9)
    gradient = ExpressionOracle(expression, SQUARE).gradient(x)
    for row, slopes in zip(x.tolist(), gradient[:, 0].tolist(), strict=True):
        exact = [
            expression.diff(s).evalf(30, subs=dict(zip((X, Y), row, strict=True))) for s in (X, Y)
        ]
        assert slopes == pytest.approx([float(value) for value in exact], rel=1e-12)


# The oracle


def test_it_is_an_exact_and_differentiable_oracle():
    oracle = ExpressionOracle(PEAK, {"x": (0, 1), "y": (0, 1)})
    assert isinstance(oracle, Oracle)
    assert isinstance(oracle, Differentiable)
    assert isinstance(oracle, SupportsExact)
    assert not isinstance(oracle, Stochastic)
    assert oracle.domain == SQUARE
    assert oracle.exact is oracle
    assert oracle.text == PEAK
    assert repr(oracle) == f"ExpressionOracle({PEAK!r}, {SQUARE})"


def test_several_formulas_are_several_outputs():
    oracle = ExpressionOracle(["x*y", X + 2 * Y, "3"], SQUARE)
    x = points([0.5, 0.25], [0.0, 1.0])
    assert oracle.n_outputs == 3
    assert oracle.text == ("x*y", "x + 2*y", "3")
    assert oracle(x).tolist() == [[0.125, 1.0, 3.0], [0.0, 2.0, 3.0]]
    assert oracle.gradient(x)[0].tolist() == [[0.25, 0.5], [1.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize("text", [PEAK, ("x", "y**2"), ("x",)])
def test_a_pickle_gives_an_equal_oracle_and_holds_no_code(text):
    oracle = ExpressionOracle(text, SQUARE)
    data = pickle.dumps(oracle)
    copy = pickle.loads(data)  # noqa: S301  # bytes of our own
    assert copy == oracle
    assert hash(copy) == hash(oracle)
    assert torch.equal(copy(uniform(SQUARE)), oracle(uniform(SQUARE)))
    assert len(data) < 400


def test_oracles_of_other_text_or_bounds_differ():
    oracle = ExpressionOracle("x + y", SQUARE)
    assert oracle != ExpressionOracle("y + x", SQUARE)
    assert oracle != ExpressionOracle("x + y", {"x": (0, 1), "y": (0, 2)})


@pytest.mark.parametrize("shape", [(2,), (3, 1), (3, 3), (1, 3, 2)])
def test_points_of_another_shape_are_refused(shape):
    oracle = ExpressionOracle("x", SQUARE)
    for method in (oracle, oracle.gradient):
        with pytest.raises(
            ValueError, match=r"points must be \(n, 2\), one column for each of x, y"
        ):
            method(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("text", ["x + y", "x", "3", "Piecewise((1, x > 2))"])
def test_no_points_have_no_values(text):
    oracle = ExpressionOracle(text, SQUARE)
    assert oracle(torch.zeros(0, 2, dtype=torch.float64)).shape == (0, 1)
    assert oracle.gradient(torch.zeros(0, 2, dtype=torch.float64)).shape == (0, 1, 2)


def test_values_are_plain_numbers_that_share_no_memory_with_the_points():
    oracle = ExpressionOracle("x", SQUARE)
    x = uniform(SQUARE).requires_grad_()
    y = oracle(x)
    assert not y.requires_grad
    assert y.dtype == torch.float64
    before = x.detach().clone()
    y += 1
    assert torch.equal(x, before)


def test_bad_bounds_are_refused_by_name():
    with pytest.raises(ValueError, match="bounds of 'x'"):
        ExpressionOracle("x", {"x": (1, 0)})
