"""What a candidate is worth: its held-out errors, in the units of the output."""

from functools import cached_property
from math import inf, isnan, nan
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator
from adaptsample.core.scaling import spread_of
from adaptsample.core.shapes import Values
from adaptsample.surrogates.auto.candidate import Candidate, Score
from adaptsample.surrogates.auto.portfolio import Member
from adaptsample.surrogates.auto.thresholds import CROWDED, CROWDING, N_FOLDS, SOLVED, WORST
from adaptsample.surrogates.auto.transforms import Transform
from adaptsample.surrogates.protocol import (
    Model,
    SupportsCrossValidation,
    SupportsDoubt,
    SupportsLeaveOneOut,
    SupportsRefits,
    SupportsSwing,
    Surrogate,
)


@final
class Judge:
    """Fits candidates to one output and says what they are worth.

    Args:
        data: points and the one output.
        seed: of the folds, which all share that are judged by refits.
    """

    def __init__(self, data: Dataset, seed: int) -> None:
        self.data = data
        self._seed = seed

    def candidate(
        self,
        member: Member,
        recipe: Surrogate,
        transform: Transform,
        *,
        generator: Generator,
        start: Model | None = None,
        bar: float = inf,
    ) -> Candidate:
        """Fit and judge a candidate.

        Args:
            member: the family.
            recipe: the fit of it that is made.
            transform: of the output.
            generator: the source of everything random.
            start: what to continue from.
            bar: the rank from which on a candidate is of no use. Where leave-one-out residuals of
                the fit as it stands, which are too small, are beyond it, they are all that is
                found out.
        """
        z = self.transformed(transform)
        model = recipe.fit(z, generator=generator, start=start)
        if isinstance(model, SupportsLeaveOneOut) and bar < inf:
            hoped = self._worth(member, transform, model, z, model.loo_residuals)
            if hoped.rank > bar:
                return hoped
        held_out = self._held_out(recipe, model, z, generator)
        return self._worth(member, transform, model, z, held_out)

    def transformed(self, transform: Transform) -> Dataset:
        """Return the data with the output transformed."""
        return Dataset(self.data.x, transform.forward(self.data.y))

    def relative(self, errors: Values) -> Float[Tensor, " n"]:
        """Return errors in units of the output's spread, none of them beyond the worst."""
        return (errors / self._spread)[:, 0].nan_to_num(WORST).clamp(-WORST, WORST)

    @cached_property
    def folds(self) -> Int64[Tensor, " n"]:
        """The part of the data to which each point belongs."""
        generator = derive_generator(self._seed, "folds")
        return torch.randperm(len(self.data), generator=generator) % N_FOLDS

    @cached_property
    def _spread(self) -> Float[Tensor, " 1"]:
        return spread_of(self.data.y)

    def _held_out(
        self, recipe: Surrogate, model: Model, z: Dataset, generator: Generator
    ) -> Values:
        """Return held-out residuals, by refits if the model cannot tell."""
        if isinstance(model, SupportsCrossValidation):
            return model.held_out_residuals(generator=generator)
        residuals = z.y.clone()
        for k in range(min(N_FOLDS, len(z)) if len(z) > 1 else 0):
            held = (self.folds == k).nonzero()[:, 0]
            refit = recipe.fit(z.without(held), generator=generator, start=None)
            residuals[held] = z.y[held] - refit.predict(z.x[held])
        return residuals

    def _worth(
        self, member: Member, transform: Transform, model: Model, z: Dataset, in_z: Values
    ) -> Candidate:
        """Return the candidate with its error, from held-out residuals of the transformed output.

        An error counts for more where the model swings between the points, where few points are
        left for each parameter, and where another fit of it is farther away.
        """
        y = self.data.y
        n_parameters = 0
        if isinstance(model, SupportsCrossValidation):
            n_parameters = model.n_parameters[0]
        swing = model.swings[0] if isinstance(model, SupportsSwing) else 1.0
        residuals = swing * self.relative(y - transform.inverse(z.y - in_z))
        is_refitted = isinstance(model, SupportsRefits) and model.is_refitted[0]
        share = 0.0 if member.has_prior or is_refitted else n_parameters / len(y)
        penalty = 1 + CROWDING * max(0.0, share - CROWDED)
        error = penalty * float(residuals.abs().mean())
        doubt = model.doubts[0] if isinstance(model, SupportsDoubt) else nan
        if doubt > error:
            residuals, error = residuals * (doubt / max(error, SOLVED)), doubt
        return Candidate(
            member,
            transform,
            model,
            float(spread_of(z.y)),
            residuals,
            Score(member.name, transform.name, error, n_parameters),
            not isnan(doubt),
            is_refitted,
        )
