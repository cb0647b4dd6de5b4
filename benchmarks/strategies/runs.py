"""Whole runs of a sampler, for comparisons of strategies: what is run, and its curve.

The first fit of a run knows nothing of its strategy yet. It is made once for all strategies with
the same problem, surrogate and seed, which all begin with the same points.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

from torch import Generator

from adaptsample import Box, Dataset, Sampler
from adaptsample.core import derive_generator
from adaptsample.metrics.errors import reference_set
from adaptsample.oracles import ExpressionOracle, Oracle, TableOracle
from adaptsample.oracles.problems import PROBLEMS
from adaptsample.oracles.protocol import SupportsExact
from adaptsample.registry import make_surrogate
from adaptsample.surrogates.auto import Auto, Member
from adaptsample.surrogates.gaussian_process import GaussianProcess
from adaptsample.surrogates.jump import Jump
from adaptsample.surrogates.mlp import MLP
from adaptsample.surrogates.polynomial import Polynomial
from adaptsample.surrogates.protocol import Surrogate
from adaptsample.training import LevenbergMarquardt
from benchmarks.harness.jobs import Cell, Job
from benchmarks.harness.variants import VARIANTS

SMALL_MLP: Final = MLP(
    hidden=(10, 10),
    training=LevenbergMarquardt(
        starts=2, finalists=2, start_iterations=30, iterations=60, continued_iterations=15
    ),
)
"""A network that is fitted in a quarter of a second."""

SMALL_AUTO: Final = Auto(
    members=(
        Member("polynomial", Polynomial()),
        Member(
            "gaussian_process",
            GaussianProcess(kernels=("matern52",)),
            n_transforms=1,
            has_prior=True,
        ),
    ),
    transforms=("identity",),
)
"""The automatic choice between polynomials and a Gaussian process, in half a second.

The whole portfolio takes up to half a minute for each fit, which a comparison cannot afford."""

SURROGATES: Final[Mapping[str, Surrogate]] = {
    "mlp": SMALL_MLP,
    "auto": SMALL_AUTO,
    "jump": Jump(),
}

JUMPING: Final = {
    "small_jump": "sin(3*x) + y**2 + Piecewise((0.3, x + 0.5*y > 0.8), (0, True))",
}
"""One more function that jumps, on the unit square."""

N_POOL: Final = 1000


def oracle(name: str) -> Oracle:
    """Return a check function, a problem, or "f_pool": N_POOL Sobol points of the problem f."""
    if name in VARIANTS:
        return VARIANTS[name]
    if name in JUMPING:
        return ExpressionOracle(JUMPING[name], {"x": (0, 1), "y": (0, 1)})
    if not name.endswith("_pool"):
        return PROBLEMS[name]
    return _pool(name.removesuffix("_pool"))


@lru_cache
def _pool(name: str) -> TableOracle:
    problem = PROBLEMS[name]
    x = problem.domain.sobol(N_POOL, generator=derive_generator(0, "pool"))
    names = problem.domain.names
    columns = dict(zip(names, x.T.tolist(), strict=True))
    columns["value"] = problem(x)[:, 0].tolist()
    return TableOracle(columns, inputs=names, outputs=["value"])


@final
@dataclass(frozen=True)
class Schedule:
    """How a budget is spent.

    Args:
        n_initial: points of the initial design.
        batch_size: points of a round.
        budget: all evaluations.
    """

    n_initial: int
    batch_size: int
    budget: int


def schedule(domain: Box) -> Schedule:
    """Return the schedule of a comparison: two large batches, or four small ones in 1-D."""
    return Schedule(8, 4, 24) if domain.dimension == 1 else Schedule(20, 20, 60)


@final
@dataclass(frozen=True)
class SharedStart:
    """A surrogate whose first fit is that of all runs of the same job but for the strategy."""

    surrogate: Surrogate
    key: tuple[str, str, int]

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> Any:
        """Fit, or remember."""
        if start is not None:
            return self.surrogate.fit(data, generator=generator, start=start)
        return _first_fit(self.key, _Identical(self.surrogate, data, generator))


@final
class _Identical:
    """Arguments that go with a key, hence are not compared."""

    def __init__(self, surrogate: Surrogate, data: Dataset, generator: Generator) -> None:
        self.surrogate, self.data, self.generator = surrogate, data, generator

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identical) and other.data.x.equal(self.data.x)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=8)
def _first_fit(key: tuple[str, str, int], given: _Identical) -> Any:
    del key
    return given.surrogate.fit(given.data, generator=given.generator)


def measure_run(
    job: Job, *, plan: Schedule | None = None, share_start: bool = True, gradient_cost: float = 1.0
) -> Cell:
    """Run "surrogate strategy" and return the curve of errors, in units of the exact spread."""
    name, strategy = job.method.split(" ", 1)
    surrogate = SURROGATES[name] if name in SURROGATES else make_surrogate(name)
    problem = oracle(job.problem)
    assert isinstance(problem, SupportsExact), f"{job.problem} has no exact values"
    assert problem.exact is not None, f"{job.problem} has no exact values"
    spread = float(reference_set(problem.exact).y.std())
    plan = plan or schedule(problem.domain)
    start = time.process_time()
    run = Sampler(
        problem,
        surrogate=SharedStart(surrogate, (job.problem, name, job.seed))
        if share_start
        else surrogate,
        strategy=strategy,
        seed=job.seed,
        n_initial=plan.n_initial,
        batch_size=plan.batch_size,
        gradient_cost=gradient_cost,
    ).run(job.n or plan.budget)
    return {
        "curve": [[r.n_evaluations, r.errors["rmse"] / spread] for r in run.rounds],
        "maes": [r.errors["mae"] / spread for r in run.rounds],
        "seconds": run.seconds,
        "n_points": len(run.evaluations),
        "n_gradients": sum(e.gradient is not None for e in run.evaluations),
        "cpu": time.process_time() - start,
    }
