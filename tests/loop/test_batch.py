import pytest
import torch

from adaptsample import Box
from adaptsample.acquisition import Proposal
from adaptsample.loop.batch import Batch
from adaptsample.loop.proposing import check_proposal, moved_to_pool
from adaptsample.loop.specification import Specification

BOX = Box({"x": (0, 1), "y": (0, 1)})
SPEC = Specification(BOX, surrogate="polynomial", strategy="sobol")
X = torch.tensor([[0.1, 0.1], [0.2, 0.9], [0.7, 0.3]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("budget", "cost", "n", "n_gradients"),
    [
        (9, 1.0, 3, 2),
        (4, 1.0, 2, 2),  # 2 + 2, and nothing for the third
        (3.5, 1.0, 1, 1),
        (1.5, 1.0, 1, 0),  # too little for a gradient
        (2, 1.0, 1, 1),
        (4, 0.5, 3, 2),
        (0.5, 1.0, 1, 0),  # one point at least
    ],
)
def test_only_what_the_budget_pays_is_asked(
    budget: float, cost: float, n: int, n_gradients: int
) -> None:
    wanted = torch.tensor([True, True, False])
    batch = Batch.of(Proposal(X, gradient=wanted), None, budget=budget, gradient_cost=cost)
    assert batch.x.tolist() == X[:n].tolist()
    assert int(batch.gradient.sum()) == n_gradients


def test_it_survives_the_run_file_to_the_bit() -> None:
    drop = torch.tensor([2, 0])
    batch = Batch(X / 3, torch.tensor([True, False, True]), drop, X[:, :1] / 7)
    again = Batch.from_record(batch.to_record(4), 2)
    assert torch.equal(again.x, batch.x)
    assert torch.equal(again.gradient, batch.gradient)
    assert torch.equal(again.drop, drop)
    assert again.predicted is not None
    assert torch.equal(again.predicted, X[:, :1] / 7)


def test_a_batch_of_no_points_survives_too() -> None:
    empty = Batch.of(Proposal(X[:0]), None, budget=5, gradient_cost=1)
    again = Batch.from_record(empty.to_record(1), 2)
    assert again.x.shape == (0, 2)
    assert again.predicted is None


def test_proposals_move_to_rows_of_the_pool_each_once() -> None:
    pool = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    proposal = Proposal(X, gradient=torch.tensor([True, False, True]))
    moved = moved_to_pool(proposal, pool, SPEC)
    assert moved.add.tolist() == [[0, 0], [1, 1]]
    assert moved.gradient is not None
    assert moved.gradient.tolist() == [True, False]
    assert moved_to_pool(proposal, None, SPEC) is proposal


@pytest.mark.parametrize(
    ("proposal", "n", "message"),
    [
        (Proposal(X), 2, r"Sobol proposed shape \(3, 2\), expected at most \(2, 2\)"),
        (Proposal(X[:, :1]), 3, r"Sobol proposed shape \(3, 1\)"),
        (Proposal(X + 0.4), 3, r"Sobol proposed \[0.6.*, 1.3\], outside the domain"),
        (Proposal(X * torch.nan), 3, "outside the domain"),
        (Proposal(X, gradient=torch.tensor([True])), 3, r"gradients of shape \(1,\)"),
    ],
)
def test_a_broken_proposal_is_refused(proposal: Proposal, n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_proposal(proposal, SPEC, n)
