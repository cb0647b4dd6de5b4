"""Networks that stop early: what they are worth where data are few, and what they say of it."""

import pytest
import torch
from torch import Tensor

from adaptsample import Box, Dataset
from adaptsample.core.randomness import derive_generator
from adaptsample.surrogates import EarlyStopped
from adaptsample.surrogates.mlp import MLP, EarlyStoppedModel

BOX = Box({"x": (0, 1), "y": (0, 1)})


def bump(x: Tensor) -> Tensor:
    return torch.exp(-20 * (x - 0.5).square().sum(dim=1, keepdim=True))


def fit(n: int = 20, seed: int = 0, **settings: int) -> EarlyStoppedModel:
    x = BOX.sobol(n, generator=derive_generator(seed, "points"))
    data = Dataset(x, bump(x))
    return EarlyStopped(**settings).fit(data, generator=derive_generator(seed, "fit"))


def error(predicted: Tensor) -> float:
    return float((predicted - bump(BOX.grid(25))).abs().mean())


def test_where_data_are_few_it_errs_less_than_a_network_that_is_trained_to_the_end() -> None:
    early, long = 0.0, 0.0
    for seed in range(3):
        model = fit(seed=seed)
        early += error(model.predict(BOX.grid(25)))
        trained = MLP((10, 10, 10)).fit(model.data, generator=derive_generator(seed, "fit"))
        long += error(trained.predict(BOX.grid(25)))
    assert early < 0.8 * long


def test_the_prediction_is_the_mean_of_as_many_networks_as_asked_for() -> None:
    model = fit(n_members=3)
    members = model.committee(BOX.grid(5))
    assert members.shape == (3, 25, 1)
    torch.testing.assert_close(model.predict(BOX.grid(5)), members.mean(dim=0))
    assert float(members.std(dim=0).min()) > 0


def test_it_stops_early_whatever_it_is_told_to_start_from() -> None:
    model = fit(n_steps=7)
    assert all(len(member.training.train_loss) == 7 for member in model.members)
    generator = derive_generator(0, "fit")
    again = EarlyStopped(n_steps=7).fit(model.data, generator=generator, start=model)
    assert torch.equal(again.predict(BOX.grid(5)), model.predict(BOX.grid(5)))


def test_leave_one_out_errors_tell_of_what_size_errors_are() -> None:
    """At 20 points they are for the worse; never are they far below the truth."""
    for n in (20, 60):
        for seed in range(3):
            model = fit(n, seed)
            told = float(model.loo_residuals.abs().mean())
            assert 0.5 < told / error(model.predict(BOX.grid(25))) < 10


def test_about_two_thirds_of_leave_one_out_errors_are_within_the_deviation_there() -> None:
    model = fit(60)
    residuals = torch.stack([member.loo_residuals for member in model.members])
    apart = (
        residuals.std(dim=0)
        * float(model.std(BOX.grid(5))[0])
        / float(model.committee(BOX.grid(5)).std(dim=0)[0])
    )
    share = float((residuals.mean(dim=0).abs() <= apart).double().mean())
    assert share == pytest.approx(0.68, abs=0.03)


def test_derivatives_by_the_parameters_are_those_of_the_mean() -> None:
    """A step of each network's first parameter, against the derivative that is told."""
    model, x = fit(n_members=2), BOX.grid(4)
    slopes = model.parameter_gradient(x)[:, 0]
    n_parameters = slopes.shape[1] // 2
    for k, member in enumerate(model.members):
        step = torch.zeros(n_parameters, dtype=torch.float64)
        step[0] = 1e-4
        step *= member.training.prior_std
        high, low = (member.network.with_theta(member.network.theta + s) for s in (step, -step))
        rise = (high.predict(x) - low.predict(x))[:, 0] / member.network.outputs.unit / 2
        told = 2e-4 * slopes[:, k * n_parameters]
        torch.testing.assert_close(told, rise, rtol=1e-3, atol=1e-12)


def test_one_network_is_refused() -> None:
    with pytest.raises(ValueError, match="n_members must be at least 2, got 1"):
        EarlyStopped(n_members=1)
