"""What `Trainer` promises, held against every method of training."""

from typing import Any

import pytest
import torch
from torch import Tensor

from adaptsample import Box
from adaptsample.core import derive_generator
from adaptsample.registry import label
from adaptsample.training import (
    GradientDescent,
    LevenbergMarquardt,
    ScipyLeastSquares,
    SupportsPosterior,
    Trainer,
)
from adaptsample.training.losses import Samples
from adaptsample.training.network import count_parameters, forward, split

X = Box({"x": (-1, 1)}).grid(20)
WIDTHS = [1, 4, 1]
QUICK = LevenbergMarquardt(starts=3, finalists=2, start_iterations=5, iterations=20)
TRAINERS = [
    GradientDescent(steps=300),
    QUICK,
    ScipyLeastSquares(starts=2, max_evaluations=30),
]
each = pytest.mark.parametrize("trainer", TRAINERS, ids=label)


def train(trainer: Trainer, theta: Tensor | None = None, **options: Any) -> tuple[Any, ...]:
    none = torch.empty(0, *X.shape, dtype=X.dtype)
    samples = Samples(X, torch.sin(3 * X), none, none)
    generator = derive_generator(0, "fit")
    return trainer.train(theta, WIDTHS, "tanh", samples, generator=generator, **options)


def loss_of(theta: Tensor) -> float:
    return float((forward(split(theta, WIDTHS), ["tanh"], X) - torch.sin(3 * X)).square().mean())


@each
def test_a_method_is_a_trainer_and_its_finalists_are_trained(trainer: Trainer) -> None:
    assert isinstance(trainer, Trainer)
    finalists = train(trainer)
    assert len(finalists) == (2 if trainer is QUICK else 1)
    for finalist in finalists:
        assert finalist.theta.shape == (count_parameters(WIDTHS),)
        assert loss_of(finalist.theta) < 0.5 * float(torch.sin(3 * X).square().mean())
        assert float(finalist.train_loss[-1]) < float(finalist.train_loss[0])


@each
def test_what_training_starts_from_is_left_as_it_is(trainer: Trainer) -> None:
    theta = train(trainer)[0].theta
    before = theta.clone()
    finalists = train(trainer, theta)
    assert torch.equal(theta, before)
    assert not torch.equal(finalists[0].theta, before)


@each
def test_a_fit_is_continued_from_its_state_without_loss(trainer: Trainer) -> None:
    first = train(trainer)[0]
    second = train(trainer, first.theta, state=first.state)[0]
    assert loss_of(second.theta) < 1.1 * loss_of(first.theta)


@each
def test_a_posterior_has_a_width_for_each_parameter_and_a_leverage_for_each_value(
    trainer: Trainer,
) -> None:
    finalists = train(trainer)
    knows = [isinstance(finalist, SupportsPosterior) for finalist in finalists]
    assert knows == [trainer is QUICK] * len(finalists)
    for finalist in finalists if all(knows) else ():
        n_parameters = count_parameters(WIDTHS)
        assert finalist.prior_std.shape == (n_parameters,)
        assert finalist.leverages.shape == (len(X),)
        determined = float(finalist.leverages.sum())
        assert 0 < determined <= n_parameters
        unit = torch.eye(n_parameters, dtype=torch.float64)
        assert bool((finalist.std(unit) > 0).all())
        # the data make every parameter surer than its prior
        noise = finalist.state.prior.beta[0] ** -0.5
        assert bool((finalist.std(unit) <= noise * finalist.prior_std * (1 + 1e-9)).all())
