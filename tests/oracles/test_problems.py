"""Problems by name, and each formula is the one of the literature."""

from math import cos, e, exp, pi, sin, tanh

import numpy as np
import pytest
import torch
import uqtestfuns

from adaptsample.core.domain import Box
from adaptsample.oracles.noise import NoisyOracle
from adaptsample.oracles.problems import PROBLEMS, Problem, Problems, monomial, problem
from adaptsample.oracles.protocol import Differentiable, Oracle, SupportsExact

NAMES = [
    "peak",
    "sin",
    "exp_sin",
    "runge",
    "cbrt",
    "linear",
    "quadratic",
    "cubic",
    "noisy_cosine",
    "noisy_line",
    "narrow_peak",
    "tanh_step",
    "franke",
    "branin",
    "rosenbrock",
    "rastrigin",
    "ackley",
    "ishigami",
    "otl_circuit",
    "hartmann6",
    "piston",
    "borehole",
    "wing_weight",
    "friedman",
]
NOISY = {"noisy_cosine", "noisy_line"}
EVERY = [*NAMES, "monomial(1)", "monomial(7)", "monomial(40)"]


def points(domain, n, seed=0):
    return domain.uniform(n, generator=torch.Generator().manual_seed(seed))


def at(name, *coordinates):
    return problem(name).exact(torch.tensor([coordinates], dtype=torch.float64)).item()


# What every problem keeps beyond the contract of oracles, see test_contract.


def test_the_registry_holds_these_problems():
    assert list(PROBLEMS) == NAMES


@pytest.mark.parametrize("name", EVERY)
def test_it_is_an_oracle_whose_exact_version_is_exact_itself(name):
    oracle = problem(name)
    assert isinstance(oracle, Oracle)
    assert isinstance(oracle, SupportsExact)
    assert oracle.exact.exact is oracle.exact
    assert oracle.exact.domain == oracle.domain
    assert oracle.n_outputs == oracle.exact.n_outputs == 1


@pytest.mark.parametrize("name", EVERY)
def test_it_is_noisy_exactly_if_it_says_so(name):
    oracle = problem(name)
    x = points(oracle.domain, 50)
    assert (oracle.exact is oracle) == (name not in NOISY)
    assert isinstance(oracle, Differentiable) == (name not in NOISY)
    assert torch.equal(oracle(x), oracle.exact(x)) == (name not in NOISY)


# Names and laziness.


def test_iteration_membership_and_summaries_build_nothing():
    def fail():
        raise AssertionError("built")

    problems = Problems(Problem("a", "first", fail), Problem("b", "second", fail))
    assert list(problems) == ["a", "b"]
    assert len(problems) == 2
    assert "a" in problems
    assert "c" not in problems
    assert problems.summaries == {"a": "first", "b": "second"}


def test_an_oracle_is_built_once_when_first_asked_for():
    built = []

    def build():
        built.append(monomial(2))
        return built[-1]

    problems = Problems(Problem("square", "x^2", build))
    assert built == []
    assert problems["square"] is problems["square"]
    assert len(built) == 1


def test_two_problems_of_one_name_are_refused():
    one, other = (Problem("square", text, lambda: monomial(2)) for text in ("x^2", "x squared"))
    with pytest.raises(ValueError, match="two problems are called 'square'"):
        Problems(one, other)


def test_an_unknown_key_is_a_key_error_as_in_any_mapping():
    with pytest.raises(KeyError):
        PROBLEMS["nobody"]


def test_every_summary_is_one_short_line_that_gives_the_dimension():
    assert list(PROBLEMS.summaries) == NAMES
    for name, summary in PROBLEMS.summaries.items():
        assert summary.startswith(f"{PROBLEMS[name].domain.dimension}-D: ")
        assert summary.isprintable()
        assert len(summary) <= 90


def test_a_problem_is_found_by_its_name():
    for name in NAMES:
        assert problem(name) is PROBLEMS[name]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("peek", "peak"),
        ("brannin", "branin"),
        ("Franke", "franke"),
        ("monomial", "monomial"),
        ("noisy", "noisy_line"),
        ("zzzz", "peak"),
        ("", "peak"),
        ("monomial(0)", "monomial"),
        ("monomial(-1)", "monomial"),
        ("monomial(1.5)", "monomial"),
        ("monomial(99999)", "monomial"),
        ("monomial(x)", "monomial"),
        ("monomial(7)\n", "monomial"),
        ("monomial(٣)", "monomial"),
    ],
)
def test_an_unknown_problem_is_refused_with_the_near_names(text, near):
    with pytest.raises(ValueError, match="no problem is called") as caught:
        problem(text)
    assert repr(text) in str(caught.value)
    assert near in str(caught.value)


@pytest.mark.parametrize("p", [0, -3])
def test_a_monomial_has_a_positive_power(p):
    with pytest.raises(ValueError, match=f"at least 1, got {p}"):
        monomial(p)


# The formulas.


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("franke", uqtestfuns.Franke1()),
        ("ishigami", uqtestfuns.Ishigami()),
        ("otl_circuit", uqtestfuns.OTLCircuit()),
        ("piston", uqtestfuns.Piston()),
        ("borehole", uqtestfuns.Borehole()),
        ("wing_weight", uqtestfuns.WingWeight()),
        ("friedman", uqtestfuns.Friedman10D()),
        ("rosenbrock", uqtestfuns.Rosenbrock(input_dimension=2)),
        ("ackley", uqtestfuns.Ackley(input_dimension=2)),
    ],
)
def test_values_are_those_of_uqtestfuns(name, peer):
    oracle = PROBLEMS[name]
    ranges = [(marginal.lower, marginal.upper) for marginal in peer.prob_input.marginals]
    if name != "borehole":  # there radii without bounds, and narrower ranges of Hu and Kw
        assert torch.allclose(oracle.domain.lower, torch.tensor(ranges).T[0].double())
        assert torch.allclose(oracle.domain.upper, torch.tensor(ranges).T[1].double())
    common = Box(
        {
            variable: (max(low, theirs[0]), min(high, theirs[1]))
            for variable, (low, high), theirs in zip(
                oracle.domain.names, oracle.domain.bounds, ranges, strict=True
            )
        }
    )
    x = points(common, 1_000)
    expected = torch.from_numpy(np.asarray(peer(x.numpy()), dtype=np.float64))
    torch.testing.assert_close(oracle(x)[:, 0], expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "point", "value", "tolerance"),
    [
        ("peak", (0.0, 0.0), 1 / 0.6, 1e-15),
        ("peak", (1.0, 1.0), 1 / 1.6, 1e-15),
        ("peak", (0.5**0.25, 0.0), 10.0, 1e-13),
        ("peak", (0.25**0.25, 0.25**0.25), 10.0, 1e-13),
        ("sin", (2.0,), sin(2.0), 1e-15),
        ("exp_sin", (2.0,), exp(sin(2.0)), 1e-15),
        ("runge", (0.2,), 0.5, 1e-15),
        ("cbrt", (0.125,), 0.5, 1e-15),
        ("cbrt", (0.0,), 0.0, 0.0),
        ("linear", (1.0,), 0.72, 1e-15),
        ("quadratic", (0.0,), 1.3, 1e-15),
        ("quadratic", (1.0,), 2.3, 1e-15),
        ("quadratic", (2.0,), 6.38, 1e-14),
        ("cubic", (1.0,), 4.34, 1e-14),
        ("cubic", (-2.0,), -7.78, 1e-14),
        ("noisy_cosine", (3.0,), cos(3.0), 1e-15),
        ("noisy_line", (-1.0,), 2.08, 1e-15),
        ("narrow_peak", (0.3,), 1.3, 1e-14),
        ("narrow_peak", (0.31,), 0.81, 1e-13),
        ("tanh_step", (0.3,), 0.0, 1e-14),
        ("tanh_step", (0.31,), -tanh(0.5), 1e-13),
        ("tanh_step", (-1.0,), 1.0, 1e-15),
        ("monomial(7)", (0.5,), 2.0**-7, 0.0),
        ("monomial(7)", (-1.0,), -1.0, 0.0),
        ("branin", (-pi, 12.275), 10 / (8 * pi), 1e-13),
        ("branin", (pi, 2.275), 10 / (8 * pi), 1e-13),
        ("branin", (3 * pi, 2.475), 10 / (8 * pi), 1e-13),
        ("branin", (pi, 2.275), 0.397887, 4e-7),
        ("branin", (0.0, 0.0), 56 - 10 / (8 * pi), 1e-13),
        ("rosenbrock", (1.0, 1.0), 0.0, 0.0),
        ("rosenbrock", (0.0, 0.0), 1.0, 0.0),
        ("rastrigin", (0.0, 0.0), 0.0, 0.0),
        ("rastrigin", (0.5, -0.5), 40.5, 1e-13),
        ("ackley", (0.0, 0.0), 0.0, 5e-15),
        ("ackley", (0.5, 0.5), 20 + e - 20 * exp(-0.1) - exp(-1), 1e-13),
        ("hartmann6", (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573), -3.32237, 2e-6),
        ("hartmann6", (0.5,) * 6, -0.50531499, 5e-9),
        ("hartmann6", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), -1.40691058, 5e-9),
    ],
)
def test_known_values(name, point, value, tolerance):
    assert abs(at(name, *point) - value) <= tolerance


@pytest.mark.parametrize(
    ("name", "point", "tolerance"),
    [
        ("branin", (-pi, 12.275), 1e-13),
        ("branin", (pi, 2.275), 1e-13),
        ("branin", (3 * pi, 2.475), 1e-12),
        ("rosenbrock", (1.0, 1.0), 0.0),
        ("rastrigin", (0.0, 0.0), 0.0),
        ("hartmann6", (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573), 1e-4),
    ],
)
def test_known_minima_are_stationary(name, point, tolerance):
    gradient = problem(name).gradient(torch.tensor([point], dtype=torch.float64))
    assert gradient.abs().max() <= tolerance


@pytest.mark.parametrize(
    ("name", "x_noise", "y_noise"),
    [("noisy_line", (0.05, 0.02), (-0.05, 0.15)), ("noisy_cosine", (0.0, 0.0), (0.0, 0.1))],
)
def test_noisy_problems_have_the_noise_of_their_source(name, x_noise, y_noise):
    oracle = PROBLEMS[name]
    assert isinstance(oracle, NoisyOracle)
    assert oracle.x_noise == x_noise
    assert oracle.y_noise == y_noise
