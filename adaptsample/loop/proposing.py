"""What a strategy proposes in a round, checked, and where there is a pool, moved to its rows."""

from dataclasses import replace
from typing import Any

from adaptsample.acquisition import Proposal, State
from adaptsample.core.pool import nearest_rows
from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points
from adaptsample.loop.observations import Observations
from adaptsample.loop.specification import Specification
from adaptsample.oracles import Differentiable
from adaptsample.surrogates import Model


def propose(
    spec: Specification,
    observations: Observations,
    models: tuple[Model | None, Model | None],
    n: int,
    *,
    number: int,
) -> Proposal:
    """Ask the strategy for at most n points.

    Args:
        spec: of the run.
        observations: what the run knows.
        models: the model, and the one before it.
        n: points wanted.
        number: of the round.

    Raises:
        ValueError: the proposal is broken; see `check_proposal`.
    """
    state: State[Any] = State(
        domain=spec.domain,
        data=observations.data,
        model=models[0],
        previous=models[1],
        pending=observations.pending,
        round=number,
        failed=observations.failed,
        seed=spec.seed,
        pool=observations.pool,
        gradient_cost=spec.gradient_cost,
        retired=observations.retired,
    )
    generator = derive_generator(spec.seed, "propose", number)
    proposal = spec.strategy.plan(state, n, generator=generator)
    check_proposal(proposal, spec, n)
    return proposal


def check_proposal(proposal: Proposal, spec: Specification, n: int) -> None:
    """Refuse a broken strategy's proposal before it is paid for.

    Raises:
        ValueError: more than n points, points that are outside of the domain or not finite, or
            gradients that the oracle does not have.
    """
    x, d = proposal.add, spec.domain.dimension
    name = type(spec.strategy).__name__
    if x.ndim != 2 or x.shape[1] != d or len(x) > n:
        raise ValueError(f"{name} proposed shape {tuple(x.shape)}, expected at most ({n}, {d})")
    inside = spec.domain.contains(x)
    if not bool(inside.all()):
        raise ValueError(
            f"{name} proposed {x[~inside][0].tolist()}, outside the domain {spec.domain}"
        )
    if proposal.gradient is None:
        return
    if proposal.gradient.shape != (len(x),):
        raise ValueError(f"{name} proposed gradients of shape {tuple(proposal.gradient.shape)}")
    if spec.oracle is not None and not isinstance(spec.oracle, Differentiable):
        raise ValueError(
            f"{name} asks for gradients, and {spec.oracle!r} has none; "
            "give the oracle a gradient or choose another strategy"
        )


def moved_to_pool(proposal: Proposal, pool: Points | None, spec: Specification) -> Proposal:
    """Move proposed points to the nearest rows of a finite pool, each of them asked once.

    Args:
        proposal: a strategy's.
        pool: rows that are left to ask (m, d); None where any point may be asked.
        spec: of the run.
    """
    if pool is None:
        return proposal
    x = nearest_rows(proposal.add, pool, spec.domain)
    gradient = None if proposal.gradient is None else proposal.gradient[: len(x)]
    return replace(proposal, add=x, gradient=gradient)
