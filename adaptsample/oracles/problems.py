"""Named oracles to try things on, all of them with exact values.

A problem is a formula on the domain that the literature gives it, so its gradient is exact too;
the noisy ones put measurement noise around a formula. Building one costs symbolic work, hence a
problem is built when it is first asked for: names and summaries are free.

Sources, by author and year: Franke, NPS-53-79-003, 1979. Dixon and Szegö, Towards Global
Optimisation 2, 1978 (Branin, Hartmann). Ishigami and Homma, ISUMA 1990. Ben-Ari and Steinberg,
Quality Engineering 19, 2007 (OTL circuit, piston). Morris, Mitchell and Ylvisaker, Technometrics
35, 1993 (borehole). Forrester, Sobester and Keane, Engineering Design via Surrogate Modelling,
2008 (wing weight). Friedman, Annals of Statistics 19, 1991. Rosenbrock, Computer Journal 3, 1960.
Rastrigin, Systems of Extremal Control, 1974. Ackley, A Connectionist Machine for Genetic
Hillclimbing, 1987. Runge, Zeitschrift für Mathematik und Physik 46, 1901. Burgers, Advances in
Applied Mechanics 1, 1948 (the standing shock). Nijholt et al., the package adaptive (narrow peak).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from math import pi
from typing import TYPE_CHECKING, Final, final

from adaptsample import oracles

if TYPE_CHECKING:  # names and summaries need neither symbols nor arrays
    from adaptsample.oracles import ExpressionOracle, Oracle

_Bounds = Mapping[str, tuple[float, float]]


@final
@dataclass(frozen=True)
class Problem:
    """A named oracle that is built when it is first asked for.

    Args:
        name: what it is called.
        summary: one line: dimension, what it looks like, source.
        build: makes the oracle.
    """

    name: str
    summary: str
    build: Callable[[], "Oracle"]

    @cached_property
    def oracle(self) -> "Oracle":
        """The oracle, the same one each time."""
        return self.build()


@final
class Problems(Mapping[str, "Oracle"]):
    """Oracles by name. Iteration, ``in`` and ``summaries`` build nothing.

    Raises:
        ValueError: two problems of one name.
    """

    def __init__(self, *problems: Problem) -> None:
        self._problems = {entry.name: entry for entry in problems}
        for entry in problems:
            if self._problems[entry.name] is not entry:
                raise ValueError(f"two problems are called {entry.name!r}; rename one of them")

    def __getitem__(self, name: str) -> "Oracle":
        return self._problems[name].oracle

    def __iter__(self) -> Iterator[str]:
        return iter(self._problems)

    def __len__(self) -> int:
        return len(self._problems)

    def __contains__(self, name: object) -> bool:
        return name in self._problems  # a Mapping's own test would build the oracle

    @property
    def summaries(self) -> Mapping[str, str]:
        """One line about each problem."""
        return {name: entry.summary for name, entry in self._problems.items()}


def monomial(p: int) -> "ExpressionOracle":
    """Return x^p on [-1, 1], whose difficulty grows with p.

    Args:
        p: the power, at least 1.

    Raises:
        ValueError: a smaller power.
    """
    if p < 1:
        raise ValueError(f"the power of a monomial must be at least 1, got {p!r}")
    return oracles.ExpressionOracle(f"x**{p}", bounds={"x": (-1, 1)})


def problem(text: str) -> "Oracle":
    """Return the oracle that a text names: a key of ``PROBLEMS``, or ``monomial(7)`` for x^7.

    Raises:
        ValueError: no such problem; the message gives the near names.
    """
    if text in PROBLEMS:
        return PROBLEMS[text]
    if match := re.fullmatch(r"monomial\(([1-9]\d{0,3})\)", text, re.ASCII):
        return monomial(int(match[1]))
    known = [*PROBLEMS, "monomial(7)"]
    near = get_close_matches(text, known, n=3) or known
    raise ValueError(f"no problem is called {text!r}; there is {', '.join(near)}")


def _formula(name: str, summary: str, text: str, bounds: _Bounds) -> Problem:
    return Problem(name, summary, lambda: oracles.ExpressionOracle(text, bounds=bounds))


def _numbered(n: int, low: float, high: float) -> _Bounds:
    return {f"x{i}": (low, high) for i in range(1, n + 1)}


_UNIT_SQUARE: Final[_Bounds] = {"x": (0, 1), "y": (0, 1)}
_LINE = "-0.68*x + 1.4"
_QUADRATIC = "1.54*x**2 - 0.54*x + 1.3"


def _otl_circuit() -> str:
    gain = "beta*(Rc2 + 9)"
    base = "12*Rb2/(Rb1 + Rb2) + 0.74"
    return f"(({base})*{gain} + 11.35*Rf + 0.74*Rf*{gain}/Rc1)/({gain} + Rf)"


def _piston() -> str:
    gas = "P0*V0*Ta/T0"
    force = "(P0*S + 19.62*M - k*V0/S)"
    volume = f"(S/(2*k)*(sqrt({force}**2 + 4*k*{gas}) - {force}))"
    return f"2*pi*sqrt(M/(k + S**2*{gas}/{volume}**2))"


def _hartmann6() -> str:
    heights = (1.0, 1.2, 3.0, 3.2)
    rates = (
        (10, 3, 17, 3.5, 1.7, 8),
        (0.05, 10, 17, 0.1, 8, 14),
        (3, 3.5, 1.7, 10, 17, 8),
        (17, 8, 0.05, 10, 0.1, 14),
    )
    centres = (
        (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
        (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
        (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
        (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
    )
    wells = []
    for height, rate, centre in zip(heights, rates, centres, strict=True):
        pairs = zip(rate, centre, strict=True)
        squares = (f"{a}*(x{i} - {c})**2" for i, (a, c) in enumerate(pairs, start=1))
        wells.append(f"{height}*exp(-({' + '.join(squares)}))")
    return f"-({' + '.join(wells)})"


PROBLEMS: Final = Problems(
    _formula(
        "peak",
        "2-D: a ridge of height 10 with a kink along its crest",
        "1/(Abs(0.5 - x**4 - y**4) + 0.1)",
        _UNIT_SQUARE,
    ),
    _formula("sin", "1-D: sin(x)", "sin(x)", {"x": (0, 10)}),
    _formula("exp_sin", "1-D: exp(sin(x))", "exp(sin(x))", {"x": (0, 10)}),
    _formula(
        "runge",
        "1-D: analytic, yet equispaced polynomials diverge (Runge 1901)",
        "1/(1 + 25*x**2)",
        {"x": (-1, 1)},
    ),
    _formula("cbrt", "1-D: cube root, of infinite slope at 0", "cbrt(x)", {"x": (0, 1)}),
    _formula("linear", "1-D: a straight line", _LINE, {"x": (-1, 1)}),
    _formula("quadratic", "1-D: a parabola", _QUADRATIC, {"x": (-2, 2)}),
    _formula("cubic", "1-D: a cubic polynomial", f"2.04*x**3 + {_QUADRATIC}", {"x": (-2, 2)}),
    Problem(
        "noisy_cosine",
        "1-D: cos(x) with noise on y of standard deviation 0.1",
        lambda: oracles.NoisyOracle(
            oracles.ExpressionOracle("cos(x)", bounds={"x": (0, 10)}), y_noise=(0, 0.1)
        ),
    ),
    Problem(
        "noisy_line",
        "1-D: the line of `linear` with biased noise on x and on y",
        lambda: oracles.NoisyOracle(
            oracles.ExpressionOracle(_LINE, bounds={"x": (-1, 1)}),
            x_noise=(0.05, 0.02),
            y_noise=(-0.05, 0.15),
        ),
    ),
    _formula(
        "narrow_peak",
        "1-D: a Lorentzian peak of half-width 0.01 on a slope (adaptive)",
        "x + 0.01**2/(0.01**2 + (x - 0.3)**2)",
        {"x": (-1, 1)},
    ),
    _formula(
        "tanh_step",
        "1-D: standing shock of viscosity 0.01 (Burgers 1948)",
        "-tanh(50*(x - 0.3))",
        {"x": (-1, 1)},
    ),
    _formula(
        "franke",
        "2-D: two peaks and a dip on a slope (Franke 1979)",
        "0.75*exp(-((9*x - 2)**2 + (9*y - 2)**2)/4)"
        " + 0.75*exp(-(9*x + 1)**2/49 - (9*y + 1)**2/10)"
        " + 0.5*exp(-((9*x - 7)**2 + (9*y - 3)**2)/4)"
        " - 0.2*exp(-(9*x - 4)**2 - (9*y - 7)**2)",
        _UNIT_SQUARE,
    ),
    _formula(
        "branin",
        "2-D: three equal minima (Branin, in Dixon and Szegö 1978)",
        "(x2 - 5.1*x1**2/(4*pi**2) + 5*x1/pi - 6)**2 + 10*(1 - 1/(8*pi))*cos(x1) + 10",
        {"x1": (-5, 10), "x2": (0, 15)},
    ),
    _formula(
        "rosenbrock",
        "2-D: a curved valley (Rosenbrock 1960)",
        "100*(x2 - x1**2)**2 + (1 - x1)**2",
        _numbered(2, -5, 10),
    ),
    _formula(
        "rastrigin",
        "2-D: a bowl under a hundred ripples (Rastrigin 1974)",
        "20 + x1**2 - 10*cos(2*pi*x1) + x2**2 - 10*cos(2*pi*x2)",
        _numbered(2, -5.12, 5.12),
    ),
    _formula(
        "ackley",
        "2-D: a rippled plain with a sharp funnel (Ackley 1987)",
        "20 + exp(1) - 20*exp(-0.2*sqrt((x1**2 + x2**2)/2)) - exp((cos(2*pi*x1) + cos(2*pi*x2))/2)",
        _numbered(2, -32.768, 32.768),
    ),
    _formula(
        "ishigami",
        "3-D: strong interaction of two variables (Ishigami and Homma 1990)",
        "sin(x1) + 7*sin(x2)**2 + 0.1*x3**4*sin(x1)",
        _numbered(3, -pi, pi),
    ),
    _formula(
        "otl_circuit",
        "6-D: mid-point voltage of a push-pull circuit (Ben-Ari and Steinberg 2007)",
        _otl_circuit(),
        {
            "Rb1": (50, 150),
            "Rb2": (25, 70),
            "Rf": (0.5, 3),
            "Rc1": (1.2, 2.5),
            "Rc2": (0.25, 1.2),
            "beta": (50, 300),
        },
    ),
    _formula(
        "hartmann6",
        "6-D: four Gaussian wells (Hartmann, in Dixon and Szegö 1978)",
        _hartmann6(),
        _numbered(6, 0, 1),
    ),
    _formula(
        "piston",
        "7-D: cycle time of a piston (Ben-Ari and Steinberg 2007)",
        _piston(),
        {
            "M": (30, 60),
            "S": (0.005, 0.02),
            "V0": (0.002, 0.01),
            "k": (1000, 5000),
            "P0": (90_000, 110_000),
            "Ta": (290, 296),
            "T0": (340, 360),
        },
    ),
    _formula(
        "borehole",
        "8-D: water flow through a borehole (Morris, Mitchell and Ylvisaker 1993)",
        "2*pi*Tu*(Hu - Hl)/(log(r/rw)*(1 + Tu/Tl) + 2*L*Tu/(rw**2*Kw))",
        {
            "rw": (0.05, 0.15),
            "r": (100, 50_000),
            "Tu": (63_070, 115_600),
            "Hu": (990, 1110),
            "Tl": (63.1, 116),
            "Hl": (700, 820),
            "L": (1120, 1680),
            "Kw": (9855, 12_045),
        },
    ),
    _formula(
        "wing_weight",
        "10-D: weight of a light aircraft's wing (Forrester, Sobester and Keane 2008)",
        "0.036*Sw**0.758*Wfw**0.0035*(A/cos(pi*sweep/180)**2)**0.6*q**0.006*taper**0.04"
        "*(100*tc/cos(pi*sweep/180))**(-0.3)*(Nz*Wdg)**0.49 + Sw*Wp",
        {
            "Sw": (150, 200),
            "Wfw": (220, 300),
            "A": (6, 10),
            "sweep": (-10, 10),
            "q": (16, 45),
            "taper": (0.5, 1),
            "tc": (0.08, 0.18),
            "Nz": (2.5, 6),
            "Wdg": (1700, 2500),
            "Wp": (0.025, 0.08),
        },
    ),
    _formula(
        "friedman",
        "10-D: five variables matter, five do not (Friedman 1991)",
        "10*sin(pi*x1*x2) + 20*(x3 - 0.5)**2 + 10*x4 + 5*x5",
        _numbered(10, 0, 1),
    ),
)
"""Every problem by name."""
