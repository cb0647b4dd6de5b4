"""What a run is specified by, checked once: everything that decides what it does.

Two runs of one specification on one machine are the same run. It is the first line of a run file,
from which it can be read back where oracle, surrogate and strategy can be written down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Literal, Self, TypeAlias, final, get_args

import torch

from adaptsample.acquisition.state import Proposal
from adaptsample.acquisition.strategy import Strategy
from adaptsample.core.domain import Box
from adaptsample.core.provenance import commit, versions
from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points
from adaptsample.oracles import Differentiable, Oracle
from adaptsample.registry import describe, rebuild
from adaptsample.surrogates.protocol import Surrogate, check_capable, check_fit

Design: TypeAlias = Literal["sobol", "uniform", "latin_hypercube", "chebyshev", "mapped_chebyshev"]


@final
@dataclass(frozen=True, eq=False)
class Specification:
    """Everything that decides what a run does.

    Args:
        oracle: None if somebody else evaluates.
        domain: of the oracle.
        surrogate: what is fitted.
        strategy: what proposes.
        seed: of everything random.
        n_initial: points of the initial design.
        batch_size: points proposed at a time; if asynchronous, evaluations under way at a time.
        design: of the initial points.
        gradient_cost: price of a gradient, in evaluations.
        retries: how often a failed evaluation is tried again.
        record_every: rounds between two measurements of the error.
        asynchronous: propose one point as each result arrives.
        timeout: seconds that an evaluation may take, or None.

    Raises:
        ValueError: an argument that cannot be used; the message names it and the remedy.
    """

    oracle: Oracle | None
    domain: Box
    surrogate: Surrogate
    strategy: Strategy[Any]
    seed: int
    n_initial: int
    batch_size: int
    design: Design
    gradient_cost: float
    retries: int
    record_every: int
    asynchronous: bool
    timeout: float | None

    def __post_init__(self) -> None:
        if not isinstance(self.surrogate, Surrogate):
            raise ValueError(f"{self.surrogate!r} is no surrogate: it has no fit(data, generator)")
        check_fit(self.surrogate)
        if not isinstance(self.strategy, Strategy):
            raise ValueError(f"{self.strategy!r} is no strategy; derive it from Strategy")
        if self.strategy.uses_model:
            check_capable(self.surrogate, self.strategy.requires)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ValueError(f"seed must be a whole number, got {self.seed!r}")
        least = {"n_initial": 1, "batch_size": 1, "retries": 0, "record_every": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"{name} must be a whole number of at least {low}, got {value!r}")
        if self.design not in get_args(Design):
            raise ValueError(f"design must be one of {get_args(Design)}, got {self.design!r}")
        if not 0 <= self.gradient_cost < inf:
            raise ValueError(f"gradient_cost must be at least 0, got {self.gradient_cost}")
        if self.timeout is not None and not 0 < self.timeout < inf:
            raise ValueError(f"timeout must be None or positive seconds, got {self.timeout}")

    def to_record(self, budget: float) -> dict[str, Any]:
        """Return everything needed to repeat a run of that budget, as plain JSON values."""
        return {
            "oracle": None if self.oracle is None else describe(self.oracle),
            "domain": dict(zip(self.domain.names, map(list, self.domain.bounds), strict=True)),
            "surrogate": describe(self.surrogate),
            "strategy": describe(self.strategy),
            "seed": self.seed,
            "n_initial": self.n_initial,
            "batch_size": self.batch_size,
            "design": self.design,
            "gradient_cost": self.gradient_cost,
            "retries": self.retries,
            "record_every": self.record_every,
            "asynchronous": self.asynchronous or None,  # None as in the files of earlier versions
            "timeout": self.timeout,
            "budget": budget if isfinite(budget) else None,
            "versions": versions(),
            "commit": commit(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], **given: Any) -> Self:
        """Read a run file's first line back.

        Args:
            record: the line.
            given: oracle, surrogate or strategy, where the line cannot say what they were.

        Raises:
            ValueError: one that was not given and cannot be made again.
        """
        made = {name: part for name, part in given.items() if part is not None}
        for name in {"oracle", "surrogate", "strategy"} - {*made}:
            try:
                made[name] = rebuild(record[name])
            except ValueError as error:
                raise ValueError(
                    f"the run file only describes its {name} ({error}); give it: "
                    f"resume(path, {name}=...)"
                ) from error
        names = ("seed", "n_initial", "batch_size", "design", "gradient_cost", "retries")
        return cls(
            domain=Box(record["domain"]),
            **made,
            **{name: record[name] for name in (*names, "record_every")},
            asynchronous=bool(record.get("asynchronous")),
            timeout=record.get("timeout"),
        )

    def initial_points(self, first: int, n: int | None) -> Points:
        """Return n points of the initial design, from the given one on.

        By default all that are left, or a batch. Who asks for more than there are gets more points
        that fill the space.
        """
        rest = self.n_initial - first
        last = first + (n or (rest if rest > 0 else self.batch_size))
        draw = {
            "sobol": self.domain.sobol,
            "uniform": self.domain.uniform,
            "latin_hypercube": self.domain.latin_hypercube,
            "chebyshev": self.domain.chebyshev,
            "mapped_chebyshev": self.domain.mapped_chebyshev,
        }[self.design]
        points = draw(self.n_initial, generator=derive_generator(self.seed, "initial"))
        if last > self.n_initial:
            more = derive_generator(self.seed, "more")
            points = torch.cat([points, self.domain.sobol(last - self.n_initial, generator=more)])
        return points[first:last]

    def check_proposal(self, proposal: Proposal, n: int) -> None:
        """Refuse a broken strategy's proposal before it is paid for.

        Raises:
            ValueError: more than n points, points that are outside of the domain or not finite, or
                gradients that the oracle does not have.
        """
        x, d = proposal.add, self.domain.dimension
        name = type(self.strategy).__name__
        if x.ndim != 2 or x.shape[1] != d or len(x) > n:
            raise ValueError(f"{name} proposed shape {tuple(x.shape)}, expected at most ({n}, {d})")
        if not bool(self.domain.contains(x).all()):
            bad = x[~self.domain.contains(x)][0].tolist()
            raise ValueError(f"{name} proposed {bad}, outside the domain {self.domain}")
        if proposal.gradient is None:
            return
        if proposal.gradient.shape != (len(x),):
            raise ValueError(f"{name} proposed gradients of shape {tuple(proposal.gradient.shape)}")
        if self.oracle is not None and not isinstance(self.oracle, Differentiable):
            raise ValueError(
                f"{name} asks for gradients, and {self.oracle!r} has none; "
                "give the oracle a gradient or choose another strategy"
            )
