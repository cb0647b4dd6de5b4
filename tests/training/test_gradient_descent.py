import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from adaptsample.core import derive_generator
from adaptsample.errors import DivergenceWarning
from adaptsample.training.gradient_descent import GradientDescent, OptimizerState, Training
from adaptsample.training.gradient_descent.program import dropout_masks
from adaptsample.training.losses import Samples
from adaptsample.training.network import forward, initial_parameters, split

WIDTHS = [2, 8, 6, 1]
CONSTANT = GradientDescent(steps=40, continued_steps=40, decay=1.0)
TINY = 1e-300
"""A learning rate that leaves the parameters as they are."""


def samples_of(x: Tensor, y: Tensor) -> Samples:
    none = torch.empty(0, *x.shape, dtype=x.dtype)
    return Samples(x, y, none, none)


def waves(n: int = 30, noise: float = 0.0) -> Samples:
    generator = derive_generator(0, "waves")
    x = 2 * torch.rand(n, 2, dtype=torch.float64, generator=generator) - 1
    y = torch.sin(3 * x).prod(dim=1, keepdim=True)
    return samples_of(x, y + noise * torch.randn(n, 1, dtype=x.dtype, generator=generator))


def sloped_waves(n: int = 30) -> Samples:
    """As `waves`, with the slopes of every other point."""
    x, y, _, _ = waves(n)
    sines, cosines = torch.sin(3 * x), 3 * torch.cos(3 * x)
    slopes = (cosines * sines.flip(1))[None]
    observed = torch.zeros_like(slopes)
    observed[:, ::2] = 1
    return Samples(x, y, slopes * observed, observed)


def theta_0() -> Tensor:
    return initial_parameters(WIDTHS, generator=derive_generator(0, "theta"))


def train(recipe: GradientDescent, samples: Samples, seed: int = 0, **options: object) -> Training:
    return recipe.train(
        theta_0(), WIDTHS, "tanh", samples, generator=derive_generator(seed, "fit"), **options
    )[0]


def torchs_loop(
    samples: Samples, make: object, steps: int, decay: float = 1.0
) -> tuple[Tensor, list[float]]:
    """The same training with torch's optimiser and automatic differentiation."""
    theta = theta_0().requires_grad_()
    optimizer = make([theta])  # type: ignore[operator]
    schedule = torch.optim.lr_scheduler.LinearLR(
        optimizer, start_factor=1.0, end_factor=decay, total_iters=steps
    )
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        residual = split(theta, WIDTHS)
        a = samples.x
        for i, (weight, bias) in enumerate(zip(*residual, strict=True)):
            a = a @ weight + bias
            a = torch.tanh(a) if i < 2 else a
        loss = (a - samples.y).square().mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return theta.detach(), losses


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("decay", [1.0, 0.01])
def test_adam_is_torchs_adam(weight_decay: float, decay: float) -> None:
    recipe = GradientDescent(
        learning_rate=0.02, decay=decay, steps=60, weight_decay=weight_decay, compiled=True
    )
    expected, losses = torchs_loop(
        waves(),
        lambda p: torch.optim.Adam(p, lr=0.02, weight_decay=weight_decay),
        60,
        decay,
    )
    result = train(recipe, waves())
    torch.testing.assert_close(result.theta, expected, rtol=0, atol=1e-11)
    assert result.train_loss.tolist() == pytest.approx(losses, abs=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_torchs_sgd(weight_decay: float, momentum: float) -> None:
    recipe = GradientDescent(
        "sgd",
        learning_rate=0.05,
        decay=1.0,
        momentum=momentum,
        steps=60,
        weight_decay=weight_decay,
    )
    expected, losses = torchs_loop(
        waves(),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=momentum, weight_decay=weight_decay),
        60,
    )
    result = train(recipe, waves())
    torch.testing.assert_close(result.theta, expected, rtol=0, atol=1e-12)
    assert result.train_loss.tolist() == pytest.approx(losses, abs=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.5, "batch_size": 7},
        {"batch_size": 7, "dropout": 0.2, "weight_decay": 1e-3},
        {"validation_fraction": 0.2, "patience": 5, "shuffle": False, "batch_size": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize("samples", [waves(), sloped_waves()], ids=["values", "slopes"])
def test_compiled_and_uncompiled_training_agree(
    options: dict[str, object], samples: Samples
) -> None:
    recipe = replace(CONSTANT, decay=0.1, **options)  # type: ignore[arg-type]
    compiled = train(recipe, samples)
    plain = train(replace(recipe, compiled=False), samples)
    # not bit by bit: matrix products round differently where memory is aligned differently
    for name in ("theta", "train_loss", "validation_loss"):
        found, expected = getattr(compiled, name), getattr(plain, name)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_two_fits_with_the_state_carried_over_are_one_long_fit(optimizer: str) -> None:
    recipe = replace(CONSTANT, optimizer=optimizer)
    first = train(recipe, waves())
    second = recipe.train(
        first.theta,
        WIDTHS,
        "tanh",
        waves(),
        generator=derive_generator(0, "fit"),
        state=first.state,
    )[0]
    whole = train(replace(recipe, steps=80), waves())
    assert torch.equal(second.theta, whole.theta)
    assert torch.equal(second.state.moments, whole.state.moments)
    assert second.state.steps == whole.state.steps == 80
    assert torch.equal(torch.cat([first.train_loss, second.train_loss]), whole.train_loss)


def test_training_leaves_its_arguments_as_they_are() -> None:
    theta, samples = theta_0(), waves()
    CONSTANT.train(theta, WIDTHS, "tanh", samples, generator=derive_generator(0, "fit"))
    assert torch.equal(theta, theta_0())
    assert torch.equal(samples.x, waves().x)


def test_the_generator_decides_everything() -> None:
    recipe = replace(CONSTANT, batch_size=8, dropout=0.1, validation_fraction=0.2)
    first, again, other = (train(recipe, waves(), seed) for seed in (0, 0, 1))
    assert torch.equal(first.theta, again.theta)
    assert not torch.equal(first.theta, other.theta)


def squared_errors(samples: Samples) -> Tensor:
    predicted = forward(split(theta_0(), WIDTHS), ["tanh", "tanh"], samples.x)
    return (predicted - samples.y).square().squeeze(1)


def test_shuffled_mini_batches_show_each_point_once_an_epoch() -> None:
    recipe = GradientDescent("sgd", TINY, decay=1.0, batch_size=1, steps=90)
    epochs = train(recipe, waves(30)).train_loss.view(3, 30)
    expected = squared_errors(waves(30))
    for epoch in epochs:
        torch.testing.assert_close(epoch.sort().values, expected.sort().values)
    assert not torch.equal(epochs[0], epochs[1])


def test_mini_batches_in_order_follow_the_data_and_the_last_may_be_smaller() -> None:
    recipe = GradientDescent("sgd", TINY, decay=1.0, batch_size=4, shuffle=False, steps=6)
    losses = train(recipe, waves(10)).train_loss
    each = squared_errors(waves(10))
    expected = torch.stack([each[:4].mean(), each[4:8].mean(), each[8:].mean()]).repeat(2)
    torch.testing.assert_close(losses, expected)


def test_the_number_of_steps_is_exact_in_the_middle_of_an_epoch() -> None:
    result = train(replace(CONSTANT, steps=13, batch_size=7, validation_fraction=0.1), waves(30))
    assert len(result.train_loss) == result.state.steps == 13
    assert len(result.validation_loss) == 4


def test_a_batch_larger_than_the_data_is_the_data() -> None:
    full = train(CONSTANT, waves())
    assert torch.equal(train(replace(CONSTANT, batch_size=100), waves()).theta, full.theta)


def test_early_stopping_returns_the_parameters_with_the_lowest_validation_loss() -> None:
    recipe = GradientDescent(learning_rate=0.1, decay=1.0, steps=500, validation_fraction=0.3)
    stopped = train(replace(recipe, patience=10), waves(20, noise=1.0))
    best = int(stopped.validation_loss.argmin())
    assert 0 < best < 400
    assert len(stopped.validation_loss) == best + 1 + 10
    until_best = train(replace(recipe, steps=best + 1), waves(20, noise=1.0))
    assert torch.equal(stopped.theta, until_best.theta)
    assert until_best.validation_loss[-1] == stopped.validation_loss.min()


def test_without_patience_validation_only_watches() -> None:
    recipe = GradientDescent(learning_rate=0.1, decay=1.0, steps=50, validation_fraction=0.3)
    watched = train(recipe, waves(20, noise=1.0))
    assert len(watched.validation_loss) == 50
    assert watched.validation_loss[-1] > watched.validation_loss.min()


def test_held_out_points_are_not_trained_on() -> None:
    samples = waves(20)
    recipe = replace(CONSTANT, validation_fraction=0.25)
    order = torch.randperm(20, generator=derive_generator(0, "fit"))
    kept = order[5:].sort().values
    expected = train(CONSTANT, samples_of(samples.x[kept], samples.y[kept]))
    assert torch.equal(train(recipe, samples).theta, expected.theta)


def test_one_point_is_always_left_to_train_on() -> None:
    result = train(replace(CONSTANT, validation_fraction=0.9), waves(1))
    assert len(result.train_loss) == 40
    assert len(result.validation_loss) == 0


def test_dropout_is_in_training_alone() -> None:
    recipe = GradientDescent(
        "sgd", TINY, decay=1.0, steps=5, dropout=0.3, validation_fraction=0.2, batch_size=100
    )
    result = train(recipe, waves())
    assert len(result.train_loss.unique()) == 5
    assert len(result.validation_loss.unique()) == 1


def test_dropout_masks_have_mean_one() -> None:
    x = torch.empty(2000, 2)
    masks = dropout_masks(x, WIDTHS, 0.25, derive_generator(0, "masks"))
    assert [mask.shape[1] for mask in masks] == WIDTHS[1:-1]
    for mask in masks:
        assert mask.dtype == x.dtype
        assert mask.unique().tolist() == pytest.approx([0, 4 / 3])
        assert mask.mean().item() == pytest.approx(1, abs=0.03)


def test_the_gradient_weight_is_the_weight_of_the_observed_slopes_mean() -> None:
    samples = sloped_waves()

    def first_loss(recipe: GradientDescent, of: Samples = samples) -> float:
        return train(recipe, of).train_loss[0].item()

    values = first_loss(CONSTANT, waves())
    assert first_loss(replace(CONSTANT, gradient_weight=0.0)) == values
    whole = first_loss(CONSTANT) - values
    assert first_loss(replace(CONSTANT, gradient_weight=0.5)) == pytest.approx(values + whole / 2)
    observed = samples.weights[0, :, 0] == 1
    on_observed = Samples(
        samples.x[observed],
        samples.y[observed],
        samples.slopes[:, observed],
        samples.weights[:, observed],
    )
    values_there = first_loss(CONSTANT, samples_of(on_observed.x, on_observed.y))
    assert first_loss(CONSTANT, on_observed) - values_there == pytest.approx(whole)


def test_slopes_of_which_none_was_observed_are_no_slopes() -> None:
    samples = sloped_waves()
    unseen = Samples(samples.x, samples.y, samples.slopes, torch.zeros_like(samples.weights))
    assert torch.equal(train(CONSTANT, unseen).theta, train(CONSTANT, waves()).theta)


@pytest.mark.parametrize("steps", [1, 2, 200])
def test_divergence_keeps_the_last_finite_parameters_and_says_so(steps: int) -> None:
    recipe = GradientDescent("sgd", 1e200, decay=1.0, steps=steps)
    with pytest.warns(DivergenceWarning, match="lower learning_rate, which is 1e\\+200"):
        result = train(recipe, waves())
    assert torch.isfinite(result.theta).all()
    assert torch.isfinite(result.train_loss).all()
    assert torch.isfinite(result.state.moments).all()


def test_values_whose_squares_overflow_leave_the_initial_parameters() -> None:
    samples = waves()
    huge = samples_of(samples.x, 1e300 * samples.y)
    with pytest.warns(DivergenceWarning, match="after 0 of 40 steps"):
        result = train(CONSTANT, huge)
    assert torch.equal(result.theta, theta_0())
    assert len(result.train_loss) == 0


def test_no_steps_change_nothing() -> None:
    result = train(replace(CONSTANT, steps=0), waves())
    assert torch.equal(result.theta, theta_0())


def test_the_learning_rate_falls_linearly_to_its_share() -> None:
    """On the loss (b - y)^2 of a single bias b, the share of the way that is gone is 2 * rate."""
    samples = samples_of(torch.zeros(1, 1).double(), torch.ones(1, 1).double())
    recipe = GradientDescent("sgd", 1e-5, decay=0.1, steps=100)
    generator = derive_generator(0, "fit")
    theta = torch.zeros(2, dtype=torch.float64)
    losses = recipe.train(theta, [1, 1], "tanh", samples, generator=generator)[0].train_loss
    to_go = losses.sqrt()
    rates = (1 - to_go[1:] / to_go[:-1]) / 2
    torch.testing.assert_close(
        rates, 1e-5 * (1 - 0.9 * torch.arange(99) / 100), rtol=1e-6, atol=0, check_dtype=False
    )


@pytest.mark.parametrize(("decay", "rate"), [(1.0, 1.0), (0.1, 0.28)])
def test_a_continued_fit_starts_with_the_last_fifth_of_the_schedule(
    decay: float, rate: float
) -> None:
    samples = samples_of(torch.zeros(1, 1).double(), torch.ones(1, 1).double())
    recipe = GradientDescent("sgd", 1e-3, decay=decay, steps=10, continued_steps=2)

    def run(theta: Tensor, state: OptimizerState | None) -> Training:
        generator = derive_generator(0, "fit")
        return recipe.train(theta, [1, 1], "tanh", samples, generator=generator, state=state)[0]

    first = run(torch.zeros(2, dtype=torch.float64), None)
    to_go = run(first.theta, first.state).train_loss.sqrt()
    assert (1 - to_go[1] / to_go[0]).item() / 2 == pytest.approx(1e-3 * rate)


def test_float32_training_stays_float32() -> None:
    samples = Samples(*(part.float() for part in waves()))
    result = CONSTANT.train(
        theta_0().float(), WIDTHS, "tanh", samples, generator=derive_generator(0, "fit")
    )[0]
    assert result.theta.dtype == result.state.moments.dtype == torch.float32
    exact = train(CONSTANT, waves())
    torch.testing.assert_close(result.theta.double(), exact.theta, rtol=1e-2, atol=1e-3)


def test_a_state_of_another_optimizer_is_refused() -> None:
    state = train(CONSTANT, waves()).state
    with pytest.raises(ValueError, match="'sgd' cannot continue from 'adam'"):
        train(replace(CONSTANT, optimizer="sgd"), waves(), state=state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adagrad"}, "optimizer must be 'adam' or 'sgd', got 'adagrad'"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number, got nan"),
        ({"decay": 0.0}, "decay must be"),
        ({"decay": 1.5}, "decay must be"),
        ({"optimizer": "sgd", "momentum": 1.0}, "momentum must be"),
        ({"momentum": 0.9}, "momentum is for 'sgd'"),
        ({"steps": -1}, "steps must be"),
        ({"steps": 10.0}, "steps must be a whole number of at least 0, got 10.0"),
        ({"continued_steps": -1}, "continued_steps must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"weight_decay": -1e-3}, "weight_decay must be"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"gradient_weight": -1.0}, "gradient_weight must be"),
        ({"validation_fraction": 1.0}, "validation_fraction must be"),
        ({"validation_fraction": 0.1, "patience": 0}, "patience must be"),
        ({"patience": 5}, "give a validation_fraction"),
    ],
)
def test_a_hyper_parameter_out_of_range_is_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        GradientDescent(**options)  # type: ignore[arg-type]


def test_compilation_warns_about_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(replace(CONSTANT, steps=1), waves())
