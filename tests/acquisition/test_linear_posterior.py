"""Bayesian linear regression point by point, against regressions from scratch."""

import pytest
import torch
from torch import Tensor

from adaptsample.acquisition import LinearPosterior
from adaptsample.core import derive_generator


def _rows(n: int, f: int, role: str) -> Tensor:
    return torch.randn(n, f, dtype=torch.float64, generator=derive_generator(0, role))


def variances(x: Tensor, known: Tensor, noise: float) -> Tensor:
    """Return the variance at points, after a regression from scratch on what is known."""
    root = torch.linalg.qr(torch.cat([torch.eye(x.shape[1], dtype=x.dtype), known / noise]))[1]
    return torch.linalg.solve_triangular(root.T, x.T, upper=False).square().sum(dim=0)


@pytest.mark.parametrize("noise", [1e-3, 0.1, 2.0])
@pytest.mark.parametrize("n_known", [0, 3, 30])
def test_variances_and_reductions_are_those_of_a_regression_from_scratch(
    n_known: int, noise: float
) -> None:
    new, known, target = _rows(9, 5, "new"), _rows(n_known, 5, "known"), _rows(20, 5, "target")
    posterior = LinearPosterior(new, known, noise=noise, target=target.T @ target)
    for i in (4, 0, 4, 7):
        assert torch.allclose(posterior.variance, variances(new, known, noise), rtol=1e-8)
        before = variances(target, known, noise).sum()
        after = [variances(target, torch.cat([known, row[None]]), noise).sum() for row in new]
        reduction = before - torch.stack(after)
        lost = 1e-12 * float(before)  # of the difference, not of the formula
        assert torch.allclose(posterior.reduction, reduction, rtol=1e-8, atol=lost)
        posterior.observe(i)
        known = torch.cat([known, new[i : i + 1]])


def test_greedy_takes_each_candidate_once_and_the_best_at_its_turn() -> None:
    new, known = _rows(8, 3, "new"), _rows(2, 3, "known")
    order = LinearPosterior(new, known, noise=0.1).greedy(8, by="variance").tolist()
    assert sorted(order) == list(range(8))
    for i, chosen in enumerate(order):
        score = variances(new, torch.cat([known, new[order[:i]]]), 0.1)
        left = [j for j in range(8) if j not in order[:i]]
        assert chosen == max(left, key=lambda j: float(score[j]))


def test_zero_rows_teach_nothing() -> None:
    zeros = torch.zeros(4, 3, dtype=torch.float64)
    posterior = LinearPosterior(zeros, zeros, noise=1e-3, target=zeros.T @ zeros)
    assert posterior.variance.tolist() == posterior.reduction.tolist() == [0.0] * 4
    assert sorted(posterior.greedy(4, by="reduction").tolist()) == [0, 1, 2, 3]
