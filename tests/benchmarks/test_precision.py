"""Fits beside other packages: points, noise, what is measured, and sections of known problems."""

import pytest
import torch

from adaptsample import Box
from adaptsample.oracles import ExpressionOracle
from benchmarks.harness.jobs import Job
from benchmarks.peers.fits import measure_fit, oracle, points
from benchmarks.peers.precision import SECTIONS


def test_points_of_a_job_depend_on_its_seed_alone_and_chebyshev_points_reach_the_ends() -> None:
    box = Box({"x": (-2, 2)})
    few, many, other = (points(box, Job("sin", "auto", n, s)) for n, s in ((4, 0), (8, 0), (4, 1)))
    assert torch.equal(few, many[:4])
    assert not torch.equal(few, other)
    nodes = points(box, Job("sin", "auto", 5, 0, "chebyshev"))[:, 0]
    assert nodes.tolist() == pytest.approx([-2, -(2**0.5), 0, 2**0.5, 2])


def test_noise_is_a_twentieth_of_the_spread() -> None:
    exact, noisy = oracle("franke"), oracle("noisy franke")
    x = exact.domain.grid(40)
    error = noisy(x) - exact(x)
    assert float(error.std() / exact(x).std()) == pytest.approx(0.05, rel=0.1)


def test_every_section_has_jobs_of_known_problems() -> None:
    for section in SECTIONS.values():
        for quick in (False, True):
            jobs = list(section.jobs(2, quick))
            assert len(set(jobs)) == len(jobs) > 0
            assert {job.seed for job in jobs} == {0, 1}
            assert all(oracle(job.problem).domain.dimension >= 1 for job in jobs[:3])


def test_a_fit_of_ours_and_of_scipy_are_measured_alike() -> None:
    assert isinstance(oracle("sin"), ExpressionOracle)
    for method in ("polynomial", "chebyshev", "scipy-aaa"):
        cell = measure_fit(Job("runge", method, 40, 0, "chebyshev"))
        assert {"mae", "rmse", "max", "nrmse", "cpu", "wall"} <= cell.keys()
        assert cell["mae"] <= cell["rmse"] <= cell["max"] < 0.05
