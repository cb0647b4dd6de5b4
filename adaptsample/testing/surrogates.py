"""The contract that every surrogate keeps, and its models."""

import inspect
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, ClassVar, get_args, get_type_hints

import numpy as np
import torch

from adaptsample.core.dataset import Dataset
from adaptsample.core.domain import Box
from adaptsample.core.randomness import derive_generator
from adaptsample.core.shapes import Points
from adaptsample.errors import DegenerateDataWarning
from adaptsample.registry import make_surrogate, surrogates
from adaptsample.surrogates.protocol import (
    Model,
    SupportsChoice,
    SupportsCommittee,
    SupportsFeatures,
    SupportsGradient,
    SupportsHeldOut,
    SupportsNoise,
    SupportsParameterGradient,
    SupportsStd,
    Surrogate,
)
from adaptsample.testing.contract import (
    Contract,
    check_gradient,
    check_made_again,
    check_numbers,
    check_recipe,
    does_not_apply,
    global_randomness_untouched,
)

SILENT = "tiny values"
"""The one kind of degenerate data that is no reason for a warning: any unit will do."""


class SurrogateContract(Contract):
    """What a surrogate promises; derive a test class of yours and name the recipe.

    Every fit, in any test, must also leave its data alone and draw from its generator only.

    Attributes:
        recipe: the surrogate.
        shapes: numbers of variables and outputs of the data that it is held to. Most tests are of
            the first, and many of one output only.
    """

    recipe: Surrogate
    shapes: ClassVar[tuple[tuple[int, int], ...]] = ((2, 2), (1, 1), (6, 1))

    def cases(self) -> Mapping[str, Iterable[object]]:
        """Return the shapes and the kinds of degenerate data."""
        return {"shape": self.shapes, "kind": degenerate_data(*self._widths)}

    def test_a_recipe_is_a_frozen_dataclass_of_plain_values(self) -> None:
        """A recipe can be compared, written down and kept: it has no state."""
        check_recipe(self.recipe)

    def test_a_recipe_is_made_again_from_its_text_and_from_its_description(self) -> None:
        """Command lines and run files hold recipes as text and as JSON."""
        check_made_again(self.recipe, make_surrogate, surrogates())

    def test_fit_takes_data_and_by_name_a_generator_and_a_model_to_start_from(self) -> None:
        """``fit(data, *, generator, start=None)`` is how every part of the library calls it."""
        signature = inspect.signature(self.recipe.fit)
        expected = f"fit must be fit(self, data, *, generator, start=None), and is fit{signature}"
        try:
            signature.bind(object(), generator=object(), start=None)
        except TypeError as error:
            raise AssertionError(f"{expected}: {error}") from error
        generator = signature.parameters["generator"]
        assert generator.kind is inspect.Parameter.KEYWORD_ONLY, expected
        assert generator.default is inspect.Parameter.empty, expected
        assert signature.parameters["start"].default is None, expected

    def test_a_model_predicts_finite_values_in_the_kind_it_was_asked(
        self, shape: tuple[int, int]
    ) -> None:
        """Tensors for tensors, arrays for arrays; and so is all else that the model offers."""
        (d, k), x = shape, sample_data(shape[0], n=40).x
        data = sample_data(d, k)
        model = self.fit(data)
        asked = x.clone()
        y = model.predict(x)
        assert torch.equal(x, asked), "predict(x) must leave x as it is"
        check_numbers(y, (40, k), "predict(x)")
        again = model.predict(x)
        assert torch.equal(y, again), "predict(x) must be the same when it is asked again"
        self._check_kinds(model, data, x)
        self._check_parts(model, data, x)

    def test_fit_is_annotated_with_the_model_that_it_returns(self) -> None:
        """By the annotation strategies refuse a surrogate, before anything is paid."""
        hint = get_type_hints(type(self.recipe).fit).get("return")
        assert hint is not None, "fit must be annotated with the model that it returns"
        declared: Any = tuple(m for m in get_args(hint) or (hint,) if is_dataclass(m)) or Model
        model = self.fit(sample_data(self._d, n=3))
        assert isinstance(model, declared), f"fit says that it returns {hint}, and returns {model}"

    def test_a_fit_is_a_function_of_data_and_generator(self) -> None:
        """So a run can be repeated; ``start=None`` is the same as no start."""
        data, x = sample_data(self._d), sample_data(self._d, n=40).x
        first = self.fit(data).predict(x)
        again = self.fit(data, start=None).predict(x)
        assert torch.equal(first, again), (
            "two fits to the same data with equal generators must predict the same"
        )

    def test_a_fit_leaves_the_model_it_starts_from_alone(self) -> None:
        """A model is immutable: keeping an old one is keeping a reference."""
        x = sample_data(self._d, n=40).x
        start = self.fit(sample_data(self._d))
        before = start.predict(x)
        after = self.fit(sample_data(self._d, n=20), role="continue", start=start)
        check_numbers(after.predict(x), (40, 1), "predict(x) of a fit that was continued")
        assert torch.equal(before, start.predict(x)), (
            "a fit must leave the model that it starts from as it was"
        )

    def test_the_gradient_of_a_model_is_the_slope_of_its_prediction(self) -> None:
        """Where the model offers one."""
        d, k = self.shapes[0]
        model = self.fit(sample_data(d, k))
        if not isinstance(model, SupportsGradient):
            does_not_apply(f"{type(model).__name__} has no gradient")
        box = _box(d)
        u = box.to_unit(sample_data(d, n=20).x).clamp(0.01, 0.99)
        check_gradient(model.predict, model.gradient, box, u, rtol=1e-5, atol=1e-5)

    def test_gradients_of_some_points_are_taken_or_left(self) -> None:
        """Data may have gradients, NaN where none was observed; not every model learns them."""
        data = sample_data(self._d)
        gradient = data.x.cos()[:, None]
        gradient[::2] = torch.nan
        y = self.fit(Dataset(data.x, data.y, gradient)).predict(data.x)
        check_numbers(y, tuple(data.y.shape), "predict(x) from data with gradients")

    def test_degenerate_data_give_finite_predictions_and_one_warning(self, kind: str) -> None:
        """Data that say little are fitted all the same, and the user is told, once."""
        data = degenerate_data(*self._widths)[kind]
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model = self.fit(data)
            for x in (data.x, data.x + 0.1):
                check_numbers(model.predict(x), tuple(data.y.shape), f"predict(x) from {kind}")
                if isinstance(model, SupportsStd):
                    check_numbers(model.std(x), tuple(data.y.shape), f"std(x) from {kind}")
        said = [w for w in told if w.category is DegenerateDataWarning]
        expected = int(kind != SILENT)
        assert len(said) == expected, (
            f"a fit to {kind} must give {expected} DegenerateDataWarning, not one for every fit "
            f"within, and gave {len(said)}; warns_of_degenerate_data around fit does it"
        )
        others = [str(w.message) for w in told if w not in said]
        assert not others, f"a fit to {kind} must give no other warning, and gave {others}"
        assert all(w.filename == __file__ for w in said), (
            "a DegenerateDataWarning must point to who called fit"
        )

    def fit(self, data: Dataset, *, role: str = "fit", **options: Any) -> Any:
        """Fit, and check that data and global randomness are as they were."""
        x, y = data.x.clone(), data.y.clone()
        with global_randomness_untouched():
            model = self.recipe.fit(data, generator=derive_generator(0, role), **options)
        assert torch.equal(data.x, x), "a fit must leave the points as they are"
        assert torch.equal(data.y, y), "a fit must leave the values as they are"
        return model

    @property
    def _d(self) -> int:
        """Number of variables where one shape will do."""
        return self.shapes[0][0]

    @property
    def _widths(self) -> tuple[int, int]:
        """Numbers of variables: of most degenerate data, and of those that lie in a line."""
        return self._d, max(d for d, _ in self.shapes)

    def _check_kinds(self, model: Any, data: Dataset, x: Points) -> None:
        """Check what takes points: shape, type and finiteness, and arrays for arrays."""
        n, k, d = len(x), data.y.shape[1], data.x.shape[1]
        offers: dict[str, tuple[type, tuple[int | None, ...]]] = {
            "predict": (Model, (n, k)),
            "std": (SupportsStd, (n, k)),
            "committee": (SupportsCommittee, (None, n, k)),
            "features": (SupportsFeatures, (n, None)),
            "parameter_gradient": (SupportsParameterGradient, (n, k, None)),
            "gradient": (SupportsGradient, (n, k, d)),
        }
        for name, (kind, shape) in offers.items():
            if not isinstance(model, kind):
                continue
            method = getattr(model, name)
            answer = method(x)
            check_numbers(answer, shape, f"{name}(x)")
            as_array = method(x.numpy())
            assert isinstance(as_array, np.ndarray), (
                f"{name}(x) must be an array where an array was asked, and is a "
                f"{type(as_array).__name__}; accepts_arrays around it does it"
            )
            assert np.array_equal(as_array, answer.numpy()), (
                f"{name}(x) must be the same for an array as for a tensor"
            )

    def _check_parts(self, model: Any, data: Dataset, x: Points) -> None:
        """Check what else a model may offer."""
        k = data.y.shape[1]
        if isinstance(model, SupportsStd):
            assert bool((model.std(x) >= 0).all()), "std(x) must be at least 0"
        if isinstance(model, SupportsNoise):
            noise = model.noise_std
            assert tuple(noise.shape) == (k,), f"noise_std must have the shape ({k},)"
            assert not bool((noise < 0).any()), "noise_std must be at least 0"
        if isinstance(model, SupportsHeldOut):
            with global_randomness_untouched():
                residuals = model.held_out_residuals(generator=derive_generator(0, "held out"))
            check_numbers(residuals, tuple(data.y.shape), "held_out_residuals()")
        if isinstance(model, SupportsChoice):
            json.dumps(dict(model.choice), allow_nan=False)


def _box(d: int) -> Box:
    return Box({f"x{i}": (-1.0, 2.0) for i in range(d)})


def sample_data(d: int, k: int = 1, n: int = 15) -> Dataset:
    """Return n points of d variables, and k smooth outputs."""
    x = _box(d).sobol(n, generator=derive_generator(0, "data"))
    return Dataset(x, torch.stack([(x + j).sin().sum(dim=1) for j in range(k)], dim=1))


def degenerate_data(d: int, width: int) -> dict[str, Dataset]:
    """Return data that say little, of one output, by what is wrong with them.

    Args:
        d: variables.
        width: variables of the points that lie in a line; 1: there are none.
    """
    x = sample_data(d).x
    y = x[:, :1]
    found = {
        "one point": Dataset(x[:1], y[:1]),
        "constant": Dataset(x, torch.ones_like(y)),
        "zero": Dataset(x, torch.zeros_like(y)),
        "same point twice": Dataset(x[[0, 0, 1, 2]], y[[0, 0, 1, 2]]),
        "same point, other values": Dataset(x[[0, 0, 1, 2]], y[[0, 3, 1, 2]]),
        "one point only, again and again": Dataset(x[[0, 0, 0]], y[[0, 1, 2]]),
        "huge values": Dataset(x, 1e300 * y),
        SILENT: Dataset(x, 1e-300 * y),
        "points 1e-15 apart": Dataset(torch.cat([x, x[:1] + 1e-15]), torch.cat([y, y[:1]])),
    }
    if width > 1:
        found["collinear"] = Dataset(y.expand(-1, width).contiguous(), y)
    return found
