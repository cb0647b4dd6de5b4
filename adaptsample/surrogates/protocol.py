"""What a surrogate and a model are, and what a strategy may require of a model."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from inspect import signature
from typing import Any, Protocol, TypeVar, get_args, get_type_hints, runtime_checkable

from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.shapes import Points, Values
from adaptsample.errors import UnsupportedModelError

M = TypeVar("M")


@runtime_checkable
class Model(Protocol):
    """What fitting a surrogate returns. Immutable: keep an old one by keeping a reference."""

    def predict(self, x: Points) -> Values:
        """Predict at n points, in the units of the data; finite for finite x."""


@runtime_checkable
class Surrogate(Protocol):
    """A recipe for a stand-in of the oracle: a frozen dataclass of hyper-parameters, no state."""

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> Model:
        """Fit a model to ``data``.

        Args:
            data: the training set, at least one point.
            generator: the only source of randomness.
            start: a model of this surrogate to continue from, or None to start afresh.
        """


@runtime_checkable
class Bounded(Surrogate, Protocol):
    """A surrogate that may give up early."""

    def bounded(self, bound: float) -> Surrogate:
        """Return the recipe that gives up where its error, in spreads, cannot be below a bound."""


@runtime_checkable
class Aiming(Surrogate, Protocol):
    """A surrogate that continues a fit only as far as it promises something."""

    def towards(self, goal: float) -> Surrogate:
        """Return the recipe that gives up where it does not promise this share of the error."""


@runtime_checkable
class SupportsStd(Model, Protocol):
    """A model that knows how uncertain it is."""

    def std(self, x: Points) -> Values:
        """Return the predictive standard deviation at n points, in the units of the data."""


@runtime_checkable
class SupportsNoise(Model, Protocol):
    """A model that tells noise from what it fits."""

    @property
    def noise_std(self) -> Float[Tensor, " k"]:
        """Standard deviation of each output's noise, in the units of the data."""


@runtime_checkable
class SupportsCommittee(Model, Protocol):
    """A model made of several."""

    def committee(self, x: Points) -> Float[Tensor, "m n k"]:
        """Return the members' predictions."""


@runtime_checkable
class SupportsFeatures(Model, Protocol):
    """A model with a feature map in which its prediction is (nearly) linear."""

    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the features of n points."""


@runtime_checkable
class SupportsParameterGradient(Model, Protocol):
    """A model with parameters in which it is not linear."""

    def parameter_gradient(self, x: Points) -> Float[Tensor, "n k p"]:
        """Return the derivatives of the outputs at n points with respect to the parameters."""


@runtime_checkable
class SupportsHeldOut(Model, Protocol):
    """A model that knows, or can find out, how well it would have predicted its own data."""

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Return value minus the prediction of a fit without the point, at the training points."""


@runtime_checkable
class SupportsLeaveOneOut(Model, Protocol):
    """A model that knows leave-one-out residuals of the fit as it stands."""

    @property
    def loo_residuals(self) -> Values:
        """Value minus prediction without the point, at what all points decided: too small."""


@runtime_checkable
class SupportsCrossValidation(SupportsHeldOut, Protocol):
    """A model that knows, or can find out, how far its prediction is to be trusted."""

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Effective number of parameters, for each output."""


@runtime_checkable
class SupportsRefits(Model, Protocol):
    """A model whose held-out residuals may be those of fits that did not know the points at all."""

    @property
    def is_refitted(self) -> tuple[bool, ...]:
        """Whether they are, for each output."""


@runtime_checkable
class SupportsSwing(Model, Protocol):
    """A model that knows how it behaves where there are no data."""

    @property
    def swings(self) -> tuple[float, ...]:
        """How much larger errors are in the data's box than at the points, for each output."""


@runtime_checkable
class SupportsDoubt(Model, Protocol):
    """A model that may have been fitted more than once."""

    @property
    def doubts(self) -> tuple[float, ...]:
        """Mean distance to another fit in the data's box, in spreads; NaN if there is none."""


@runtime_checkable
class LearnsGradients(Model, Protocol):
    """A model that was fitted to gradients as well, where the data have them."""

    @property
    def learns_gradients(self) -> bool:
        """True."""


@runtime_checkable
class SupportsGradient(Model, Protocol):
    """A model that knows its gradient with respect to the point."""

    def gradient(self, x: Points) -> Float[Tensor, "n k d"]:
        """Return d y_k / d x_d at n points."""


@runtime_checkable
class SupportsChoice(Model, Protocol):
    """A model that was chosen among several."""

    @property
    def choice(self) -> Mapping[str, Any]:
        """What was chosen, and how all that was tried did: plain JSON values, for the record."""


def capable(model: object, kind: type[M]) -> M:
    """Return the model if it is of a kind.

    Raises:
        UnsupportedModelError: it is not.
    """
    if isinstance(model, kind):
        return model
    raise UnsupportedModelError(_unsupported(type(model).__name__, kind))


def check_capable(surrogate: Surrogate, kind: type) -> None:
    """Refuse a surrogate whose models are known not to be of a kind, before anything is paid.

    Its models are those that ``fit`` is annotated to return.

    Raises:
        UnsupportedModelError: none of them is of that kind.
    """
    hint = get_type_hints(type(surrogate).fit).get("return")
    models = [m for m in (get_args(hint) or (hint,)) if is_dataclass(m)]
    if models and not any(all(hasattr(m, name) for name in _methods(kind)) for m in models):
        raise UnsupportedModelError(_unsupported(type(surrogate).__name__, kind))


def check_fit(surrogate: Surrogate) -> None:
    """Refuse a surrogate whose ``fit`` cannot be called as all are, before anything is paid.

    Raises:
        ValueError: it takes other arguments.
    """
    try:
        signature(surrogate.fit).bind("data", generator="generator", start="start")
    except TypeError as error:
        raise ValueError(
            f"{type(surrogate).__name__}.fit is called as fit(data, generator=..., start=...), and "
            f"does not take that ({error}); define fit(self, data, *, generator, start=None)"
        ) from None


def _methods(kind: type) -> list[str]:
    return sorted(name for name in vars(kind) if not name.startswith("_"))


def _unsupported(name: str, kind: type) -> str:
    methods = ", ".join(f"{method}()" for method in _methods(kind))
    return (
        f"a model with {methods} is needed, and {name} has none; try 'auto', 'mlp' or 'committee'"
    )
