"""Where evaluations failed, fewer candidates are drawn."""

import torch

from adaptsample import Box, Dataset, State
from adaptsample.acquisition.feasibility import feasibility, thinned
from adaptsample.core import derive_generator
from adaptsample.registry import make_strategy


def _column(*x: float) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64)[:, None]


def test_the_chance_is_the_share_of_successes_nearby_with_one_more() -> None:
    succeeded, failed = _column(0.0, 0.1, 0.2, 0.3, 0.4), _column(0.9, 0.91, 0.92, 0.93, 0.94)
    chance = feasibility(_column(0.1, 0.95), succeeded, failed)
    assert chance.tolist() == [1.0, 1 / 6]
    assert feasibility(_column(0.5), succeeded, failed[:0]).tolist() == [1.0]


def test_thinning_keeps_the_order_and_at_least_n() -> None:
    draw = lambda chance, n: thinned(chance, n, generator=derive_generator(0, "x"))  # noqa: E731
    assert draw(torch.ones(4), 2).tolist() == [0, 1, 2, 3]
    nearly_never = torch.full((50,), 1e-9, dtype=torch.float64)
    assert len(draw(nearly_never, 7)) == 7
    half = draw(torch.full((10_000,), 0.5, dtype=torch.float64), 1)
    assert 4800 < len(half) < 5200
    assert half.tolist() == sorted(half.tolist())


def test_a_pool_strategy_asks_less_where_evaluations_failed() -> None:
    box = Box({"x": (0, 1)})
    x = box.grid(21)
    bad = x[:, 0] < 0.5
    data = Dataset(x[~bad], x[~bad])
    strategy = make_strategy("softmax(n_candidates=2000)")

    class Zero:
        def predict(self, x: torch.Tensor) -> torch.Tensor:
            return x * 0

    state = State(box, data, Zero(), None, x[:0], round=1, failed=x[bad])
    added = strategy.propose(state, 200, generator=derive_generator(0, "propose")).add
    assert 0 < float((added < 0.45).double().mean()) < 0.25
