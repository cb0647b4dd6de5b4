"""Check functions like the peak function that lie outside every class a member fits exactly.

Each has a kink or a jump where a formula that is no polynomial is 0, or parts beside it that are
none. They are for checking only: nothing in the library may be tuned on them.
"""

from typing import Final

from adaptsample.oracles import ExpressionOracle
from adaptsample.oracles.problems import Problem, Problems

_Bounds = dict[str, tuple[float, float]]
_UNIT: Final = (0.0, 1.0)
_SIGNED: Final = (-1.0, 1.0)


def _unit(*names: str) -> _Bounds:
    return dict.fromkeys(names, _UNIT)


def _signed(*names: str) -> _Bounds:
    return dict.fromkeys(names, _SIGNED)


def _variant(name: str, summary: str, text: str, bounds: _Bounds) -> Problem:
    return Problem(name, summary, lambda: ExpressionOracle(text, bounds=bounds))


VARIANTS: Final = Problems(
    # one crease
    _variant(
        "sine_ridge",
        "the peak function on a level set with a sine",
        "1/(abs(sin(2*x) + y**2 - 0.8) + 0.1)",
        _unit("x", "y"),
    ),
    _variant(
        "exp_ridge",
        "a ridge of exponential flanks along y exp(x) = 1.2",
        "exp(-3*abs(y*exp(x) - 1.2))",
        _unit("x", "y"),
    ),
    _variant(
        "tanh_front",
        "a crease along a steep tanh, beside a smooth wave",
        "abs(y - 0.6*tanh(3*x)) + 0.5*sin(3*x + 2*y)",
        _signed("x", "y"),
    ),
    _variant(
        "rotated_wave",
        "a cosine crease in axes turned by 37 degrees",
        "log(1.2 + abs(0.6*y - 0.8*x - 0.3*cos(3*(0.8*y + 0.6*x))))",
        _signed("x", "y"),
    ),
    _variant(
        "closed_kink",
        "a kink on an ellipse",
        "cos(2*x + y)*abs(exp(-3*(x**2 + 2*y**2)) - 0.4)",
        _signed("x", "y"),
    ),
    _variant(
        "fading_kink",
        "a crease whose strength changes sign",
        "(x - 0.5)*abs(sin(3*x) - y) + exp(-x*y)",
        _unit("x", "y"),
    ),
    _variant(
        "waving_kink",
        "a straight crease whose strength is cos(5x)",
        "cos(5*x)*abs(y - 0.5 - 0.3*x)",
        _unit("x", "y"),
    ),
    _variant(
        "soft_kink",
        "continuous first derivative, jump in the second",
        "(sin(2*x) - cos(3*y))*abs(sin(2*x) - cos(3*y)) + x*exp(y)",
        _unit("x", "y"),
    ),
    # several branches
    _variant(
        "two_creases",
        "two creases that cross",
        "abs(sin(3*x) - y) + 0.5*abs(x - exp(-2*y)) + 0.3*cos(4*x*y)",
        _unit("x", "y"),
    ),
    _variant(
        "three_creases",
        "three creases of three shapes",
        "exp(-abs(y - 0.5 - 0.2*sin(5*x))) + 0.7*abs(x - 0.4*exp(y/2)) + abs(tanh(x) - y**2 + 0.1)",
        _unit("x", "y"),
    ),
    _variant(
        "two_regimes",
        "the larger of two smooth responses",
        "max(exp(x*y), 1.2 + 0.5*cos(4*x - 2*y))",
        _unit("x", "y"),
    ),
    _variant(
        "three_regimes",
        "the largest of three, with a point where all meet",
        "max(sin(3*x), cos(2*y) - 0.2, 0.4*exp(x + y) - 0.3)",
        _unit("x", "y"),
    ),
    _variant(
        "saturation",
        "a smooth response that is cut off at 0.8",
        "min(0.8, exp(x)*sin(3*y)**2)",
        _unit("x", "y"),
    ),
    # jumps
    _variant(
        "disc_jump",
        "a smooth function that is higher inside a circle",
        "sin(2*x)*exp(y/2) + Piecewise((1, (x - 0.5)**2 + (y - 0.4)**2 < 0.08), (0, True))",
        _unit("x", "y"),
    ),
    _variant(
        "sine_edge",
        "another formula on each side of a sine",
        "Piecewise((exp(x)*cos(2*y), y > 0.5 + 0.25*sin(4*x)), (sin(3*x) + y**2, True))",
        _unit("x", "y"),
    ),
    # above two dimensions
    _variant(
        "ridge_3d",
        "the peak function on a surface with a sine",
        "1/(abs(sin(2*x) + y**2*z - 0.8) + 0.1)",
        _unit("x", "y", "z"),
    ),
    _variant(
        "regimes_3d",
        "the larger of two smooth responses of three variables",
        "max(sin(2*x + y)*z, 0.4*exp(y - x) - 0.2*z)",
        _unit("x", "y", "z"),
    ),
    _variant(
        "ridge_4d",
        "a ridge of exponential flanks on a curved surface",
        "exp(-abs(x + y**2 - sin(z) - 0.5*w))",
        _unit("x", "y", "z", "w"),
    ),
)
"""Every check function by name."""
