"""One method, ours or another's, fitted to given points, and measured."""

import time
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from adaptsample import Box, Dataset
from adaptsample.core import Points, Values, derive_generator
from adaptsample.metrics.calibration import calibration_scores
from adaptsample.metrics.errors import errors, reference_set
from adaptsample.oracles import NoisyOracle
from adaptsample.oracles.problems import PROBLEMS
from adaptsample.oracles.protocol import Oracle, Stochastic, SupportsExact
from adaptsample.registry import make_surrogate
from adaptsample.surrogates import SupportsStd
from adaptsample.surrogates.auto import NETWORKS, Auto, Member
from adaptsample.surrogates.committee import Committee
from adaptsample.surrogates.mlp import MLP
from adaptsample.training import LevenbergMarquardt
from benchmarks.harness.jobs import Cell, Job
from benchmarks.harness.variants import VARIANTS
from benchmarks.peers.approximations import PEERS, Array, Fitted, adaptive


def oracle(name: str) -> Oracle:
    """Return a check function, a problem f, or "noisy f": with noise of 5 % of its spread."""
    if name in VARIANTS:
        return VARIANTS[name]
    if not name.startswith("noisy "):
        return PROBLEMS[name]
    exact = PROBLEMS[name.removeprefix("noisy ")]
    spread = float(reference_set(exact).y.std())
    return NoisyOracle(exact, y_noise=(0.0, 0.05 * spread))


def measure_fit(job: Job) -> Cell:
    """Fit a method to its points; return errors, scores of its uncertainty, and times.

    The method is "adaptive", a name in PEERS, "networks", or a surrogate's text.
    """
    problem = oracle(job.problem)
    assert isinstance(problem, SupportsExact), f"{job.problem} has no exact values"
    assert problem.exact is not None, f"{job.problem} has no exact values"
    reference = reference_set(problem.exact)
    wall, cpu = time.perf_counter(), time.process_time()
    fitted = _fit(problem, job)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    x = reference.x.numpy()
    predicted = torch.from_numpy(fitted.predict(x).copy())[:, None]
    found = errors(predicted, reference.y)
    spread = float(reference.y.std())
    cell: Cell = {**found, "nrmse": found["rmse"] / spread, "cpu": cpu, "wall": wall}
    if isinstance(problem, Stochastic):
        observed = problem.sample(reference.x, generator=derive_generator(0, "noise"))
        cell["noise"] = float((observed - reference.y).std())  # what x_noise adds is in it
    if fitted.noise_std is not None:
        cell["noise_std"] = fitted.noise_std
    if fitted.std is not None:
        # nobody is certain beyond rounding, and the scores need a std above 0
        std = torch.from_numpy(fitted.std(x).copy())[:, None].clamp_min(1e-12 * spread)
        cell |= calibration_scores(reference.y, predicted, std)
    return cell


def points(domain: Box, job: Job) -> Points:
    """Return the points of a job; those of a Sampler with its seed, if they are Sobol points."""
    draw = {
        "sobol": domain.sobol,
        "chebyshev": domain.chebyshev,
        "mapped_chebyshev": domain.mapped_chebyshev,
    }
    return draw[job.design](job.n, generator=derive_generator(job.seed, "initial"))


def _fit(problem: Oracle, job: Job) -> Fitted:
    bounds = np.array(problem.domain.bounds)
    if job.method == "adaptive":

        def value(point: Array) -> float:
            return float(problem(torch.from_numpy(point)[None]))

        return adaptive(value, bounds, job.n)
    x = points(problem.domain, job)
    y = _values(problem, x, job.seed)
    if job.method in PEERS:
        return PEERS[job.method](x.numpy(), y[:, 0].numpy(), bounds)
    return _fit_ours(Dataset(x, y), job)


def _values(problem: Oracle, x: Points, seed: int) -> Values:
    if isinstance(problem, Stochastic):
        return problem.sample(x, generator=derive_generator(seed, "noise"))
    return problem(x)


def _patient(member: Member) -> Member:
    """Return the member with one crease as a committee, with the time that it gets here."""
    if member.name != "network_abs":
        return member
    assert isinstance(member.draft, MLP)
    training = LevenbergMarquardt(starts=8, iterations=1500, operations=1e11)
    return replace(member, draft=Committee(replace(member.draft, training=training), 3))


NETWORK_MEMBERS: Final = Auto(
    members=tuple(_patient(member) for member in NETWORKS[:-1]),  # for a fit to end within 30 s
    transforms=("identity",),
    effort="thorough",
)
"""Networks alone, chosen by held-out error: no polynomial anywhere."""


def _fit_ours(data: Dataset, job: Job) -> Fitted:
    surrogate = NETWORK_MEMBERS if job.method == "networks" else make_surrogate(job.method)
    model = surrogate.fit(data, generator=derive_generator(job.seed, "fit"))

    def predict(x: Array) -> Array:
        return np.asarray(model.predict(torch.from_numpy(x)))[:, 0]

    def std(x: Array) -> Array:
        assert isinstance(model, SupportsStd)
        return np.asarray(model.std(torch.from_numpy(x)))[:, 0]

    noise = getattr(model, "noise_std", None)
    return Fitted(
        predict,
        std if isinstance(model, SupportsStd) else None,
        None if noise is None else float(np.ravel(np.asarray(noise))[0]),
    )
