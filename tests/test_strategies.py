"""A contract that every registered strategy keeps; a new file in strategies/ is tested unasked."""

from dataclasses import dataclass
from typing import Any, final

import pytest
import torch
from torch import Generator

from adaptsample import Box, Dataset, PoolStrategy, Proposal, State, Strategy, derive_generator
from adaptsample.registry import strategies
from benchmarks._referee import Plane, PlaneModel

BOXES = {d: Box({f"x{i}": (-1.0 - i, 2.0 + 3 * i) for i in range(d)}) for d in (1, 2, 6)}


def _state(
    d: int, *, k: int = 1, n: int = 12, scale: float = 1.0, order: Any = None, fitted: bool = True
) -> State[Any]:
    box = BOXES[d]
    x = box.sobol(n, generator=derive_generator(0, "initial"))
    y = torch.stack([(j + 1.0) * x.sin().sum(dim=1) for j in range(k)], dim=1) * scale
    order = torch.arange(n) if order is None else order
    data = Dataset(x[order], y[order])
    model = Plane().fit(data, generator=Generator())
    previous = PlaneModel(0.9 * model.weights.flip(0))
    return State(
        domain=box,
        data=data,
        model=model,
        previous=previous if fitted else None,
        pending=box.sobol(n + 3, generator=derive_generator(0, "initial"))[n:],
        round=3,
        failed=None,
        seed=0,
    )


def _check(strategy: Strategy[Any], state: State[Any], n: int) -> Proposal:
    """Check what holds for every proposal."""
    proposal = strategy.propose(state, n, generator=derive_generator(5, "propose"))
    x = proposal.add
    assert x.shape == (n, state.domain.dimension)
    assert x.dtype == torch.float64
    assert bool(state.domain.contains(x).all())
    assert len({tuple(p) for p in x.tolist()}) == n
    assert not {tuple(p) for p in x.tolist()} & {tuple(p) for p in state.taken.tolist()}
    assert len(set(proposal.drop.tolist())) == len(proposal.drop)
    assert all(0 <= i < len(state.data) for i in proposal.drop.tolist())
    again = strategy.propose(state, n, generator=derive_generator(5, "propose"))
    assert torch.equal(x, again.add)
    assert torch.equal(proposal.drop, again.drop)
    return proposal


@pytest.fixture(params=sorted(strategies()))
def strategy(request: pytest.FixtureRequest) -> Strategy[Any]:
    return strategies()[request.param]()


@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("d", [1, 2, 6])
def test_proposals_are_new_points_of_the_domain(
    strategy: Strategy[Any], d: int, k: int, n: int
) -> None:
    _check(strategy, _state(d, k=k), n)


def test_proposals_are_made_before_there_is_a_previous_model(strategy: Strategy[Any]) -> None:
    _check(strategy, _state(2, fitted=False), 4)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_of_the_output_do_not_matter(strategy: Strategy[Any], scale: float) -> None:
    plain, scaled = _check(strategy, _state(2), 5), _check(strategy, _state(2, scale=scale), 5)
    assert torch.equal(plain.add, scaled.add)


def test_the_order_of_the_data_does_not_matter(strategy: Strategy[Any]) -> None:
    order = torch.randperm(12, generator=derive_generator(1, "order"))
    plain, shuffled = _check(strategy, _state(2), 5), _check(strategy, _state(2, order=order), 5)
    assert torch.allclose(plain.add, shuffled.add)


def test_a_constant_model_is_survived(strategy: Strategy[Any]) -> None:
    state = _state(2, scale=0.0)
    _check(strategy, state, 5)


def test_more_points_than_candidates_may_be_asked(strategy: Strategy[Any]) -> None:
    if isinstance(strategy, PoolStrategy):
        strategy = type(strategy)(n_candidates=3)
    _check(strategy, _state(2), 20)


@final
@dataclass(frozen=True)
class Broken(Strategy[Any]):
    """Breaks one clause of the contract at a time."""

    how: str = ""

    def propose(self, state: State[Any], n: int, *, generator: Generator) -> Proposal:
        x = state.domain.uniform(n, generator=generator)
        return {
            "outside": Proposal(x + 100),
            "repeats": Proposal(x[:1].expand(n, -1)),
            "too few": Proposal(x[1:]),
            "taken": Proposal(torch.cat([state.data.x[:1], x[1:]])),
            "not a number": Proposal(x * torch.nan),
            "drops twice": Proposal(x, drop=torch.tensor([0, 0])),
        }[self.how]


@pytest.mark.parametrize(
    "how", ["outside", "repeats", "too few", "taken", "not a number", "drops twice"]
)
def test_the_contract_catches_a_broken_strategy(how: str) -> None:
    with pytest.raises(AssertionError):
        _check(Broken(how), _state(2), 4)
