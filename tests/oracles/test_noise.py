"""Noise has the mean and the spread asked for, follows from a seed, and stays on the domain."""

import math
import pickle
import random

import numpy as np
import pytest
import torch

from adaptsample.core.domain import Box
from adaptsample.oracles.function import FunctionOracle
from adaptsample.oracles.noise import NoisyOracle
from adaptsample.oracles.protocol import Differentiable, Oracle, Stochastic, SupportsExact

INTERVAL = Box({"x": (-1, 1)})
SQUARE = Box({"x": (0, 1), "y": (0, 1)})
N = 100_000


def coordinate(x):
    return x[:, 0]


def zero(x):
    return np.zeros(len(x))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def assert_gaussian(sample, mean, std):
    """Five standard errors on mean and standard deviation, and on skewness and kurtosis."""
    n = sample.numel()
    z = (sample - mean) / std
    assert abs(z.mean()) < 5 / math.sqrt(n)
    assert abs(z.std() - 1) < 5 / math.sqrt(2 * n)
    assert abs((z**3).mean()) < 5 * math.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 5 * math.sqrt(96 / n)


def test_noise_on_y_has_the_mean_and_the_spread_asked_for():
    oracle = NoisyOracle(FunctionOracle(zero, INTERVAL), y_noise=(-0.05, 0.15))
    y = oracle.sample(torch.zeros(N, 1, dtype=torch.float64), generator=generator())
    assert_gaussian(y, mean=-0.05, std=0.15)


def test_a_measured_point_is_the_true_one_plus_noise():
    oracle = NoisyOracle(FunctionOracle(coordinate, INTERVAL), x_noise=(0.05, 0.02))
    x = torch.full((N, 1), 0.3, dtype=torch.float64)
    true = oracle.sample(x, generator=generator())
    assert_gaussian(x - true, mean=0.05, std=0.02)


def test_noise_of_a_plain_call_is_gaussian_over_points():
    oracle = NoisyOracle(FunctionOracle(zero, INTERVAL), y_noise=(1.0, 2.0))
    x = INTERVAL.uniform(5_000, generator=generator())
    assert_gaussian(oracle(x), mean=1.0, std=2.0)


def test_errors_of_coordinates_and_outputs_are_independent():
    oracle = NoisyOracle(
        FunctionOracle(lambda x: x, SQUARE, n_outputs=2), x_noise=(0, 0.01), y_noise=(0, 0.01)
    )
    y = oracle.sample(torch.full((N, 2), 0.5, dtype=torch.float64), generator=generator())
    error = y - 0.5
    assert_gaussian(error, mean=0.0, std=0.01 * math.sqrt(2))
    correlation = torch.corrcoef(error.T)[0, 1]
    assert abs(correlation) < 5 / math.sqrt(N)


def test_without_noise_it_is_the_oracle_itself():
    inner = FunctionOracle(coordinate, INTERVAL)
    x = INTERVAL.grid(11)
    assert torch.equal(NoisyOracle(inner)(x), inner(x))
    assert torch.equal(NoisyOracle(inner).sample(x, generator=generator()), inner(x))


def test_a_bias_alone_shifts_point_and_value():
    inner = FunctionOracle(lambda x: 2 * x[:, 0], INTERVAL)
    oracle = NoisyOracle(inner, x_noise=(0.1, 0.0), y_noise=(1.0, 0.0))
    x = torch.tensor([[0.0], [0.5]], dtype=torch.float64)
    torch.testing.assert_close(oracle(x), 2 * (x - 0.1) + 1.0, rtol=0, atol=1e-15)


def test_the_oracle_is_never_asked_outside_the_domain():
    asked = []

    def record(x):
        asked.append(x)
        return np.sqrt(1 - np.abs(x[:, 0]))

    oracle = NoisyOracle(FunctionOracle(record, INTERVAL), x_noise=(0.0, 5.0))
    y = oracle.sample(INTERVAL.grid(1_001), generator=generator())
    assert torch.isfinite(y).all()
    assert torch.isfinite(oracle(INTERVAL.grid(101))).all()
    for x in asked:
        assert INTERVAL.contains(torch.from_numpy(x)).all()


def test_the_same_point_gets_the_same_answer_in_any_order_and_batch():
    oracle = NoisyOracle(FunctionOracle(coordinate, SQUARE), x_noise=(0, 0.1), y_noise=(0, 1.0))
    x = SQUARE.uniform(20, generator=generator())
    together = oracle(x)
    assert torch.equal(oracle(x), together)
    assert torch.equal(oracle(x.flip(0)), together.flip(0))
    assert torch.equal(torch.cat([oracle(point[None]) for point in x]), together)
    assert oracle(x[:0]).shape == (0, 1)


def test_different_points_get_different_noise():
    oracle = NoisyOracle(FunctionOracle(zero, SQUARE), y_noise=(0, 1.0))
    x = SQUARE.grid(10)
    assert len(oracle(x).unique()) == len(x)


def test_minus_zero_is_zero():
    oracle = NoisyOracle(FunctionOracle(zero, INTERVAL), y_noise=(0, 1.0))
    zeros = torch.tensor([[0.0], [-0.0]], dtype=torch.float64)
    first, second = oracle(zeros)
    assert torch.equal(first, second)


def test_the_seed_decides_a_plain_call_and_the_generator_a_sample():
    inner = FunctionOracle(zero, INTERVAL)
    x = INTERVAL.grid(5)
    first, second = (NoisyOracle(inner, y_noise=(0, 1.0), seed=seed) for seed in (1, 2))
    assert not (first(x) == second(x)).any()
    assert torch.equal(first(x), NoisyOracle(inner, y_noise=(0, 1.0), seed=1)(x))
    one = first.sample(x, generator=generator(7))
    assert torch.equal(one, second.sample(x, generator=generator(7)))
    assert not (one == first.sample(x, generator=generator(8))).any()


def test_sampling_twice_from_one_generator_draws_afresh():
    oracle = NoisyOracle(FunctionOracle(zero, INTERVAL), y_noise=(0, 1.0))
    x, source = INTERVAL.grid(5), generator()
    assert not (oracle.sample(x, generator=source) == oracle.sample(x, generator=source)).any()


def global_random_state():
    numpy_state = repr(np.random.get_state())  # noqa: NPY002  # the global state is what is meant
    return torch.get_rng_state().tolist(), numpy_state, random.getstate()


def test_global_random_state_is_untouched():
    before = global_random_state()
    oracle = NoisyOracle(FunctionOracle(zero, INTERVAL), x_noise=(0, 1.0), y_noise=(0, 1.0))
    oracle(INTERVAL.grid(5))
    oracle.sample(INTERVAL.grid(5), generator=generator())
    assert global_random_state() == before


def test_it_is_a_stochastic_oracle_without_a_gradient():
    inner = FunctionOracle(coordinate, SQUARE, gradient=np.ones_like)
    oracle = NoisyOracle(inner, y_noise=(0, 1.0))
    assert isinstance(oracle, Oracle)
    assert isinstance(oracle, Stochastic)
    assert isinstance(oracle, SupportsExact)
    assert not isinstance(oracle, Differentiable)
    assert oracle.domain == SQUARE
    assert oracle.n_outputs == 1


class Bare:
    """An oracle that knows nothing about exact values."""

    domain = INTERVAL
    n_outputs = 1

    def __call__(self, x):
        return x


def test_exact_is_what_the_oracle_behind_the_noise_calls_exact():
    inner = FunctionOracle(coordinate, INTERVAL, exact=zero)
    assert NoisyOracle(inner, y_noise=(0, 1.0)).exact is inner.exact
    assert NoisyOracle(FunctionOracle(coordinate, INTERVAL)).exact is None
    assert NoisyOracle(Bare()).exact is None


def test_pickle_keeps_the_noise():
    oracle = NoisyOracle(FunctionOracle(coordinate, INTERVAL), y_noise=(0, 1.0), seed=5)
    x = INTERVAL.grid(5)
    copy = pickle.loads(pickle.dumps(oracle))  # noqa: S301  # bytes of our own
    assert torch.equal(copy(x), oracle(x))


@pytest.mark.parametrize("argument", ["x_noise", "y_noise"])
@pytest.mark.parametrize(
    "noise", [(0.0, -1.0), (math.nan, 1.0), (0.0, math.nan), (math.inf, 1.0), (0.0, math.inf)]
)
def test_impossible_noise_is_refused_by_name(argument, noise):
    with pytest.raises(ValueError, match=f"{argument} is .*at least 0"):
        NoisyOracle(FunctionOracle(zero, INTERVAL), **{argument: noise})
