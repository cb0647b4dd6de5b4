"""A contest between surrogates, judged by cross-validation in the units of the output."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import thread_time
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from adaptsample._types import Points, Values
from adaptsample.data import Dataset
from adaptsample.surrogates._transforms import Transform, TransformName
from adaptsample.surrogates.protocol import Model, SupportsStd, Surrogate

EXACT = 1e-9
"""A cross-validated error below this ends the search."""

GOOD = 1e-6
"""Bold members are not tried where the others err less than this."""

BOLD_FACTOR = 20.0
"""How much better a bold member must be."""

COMMITTEE_FACTOR, MAX_COMMITTEE = 3.0, 8
"""Candidates whose error is within this factor of the best form the committee."""

WORST = 10.0
"""The error of a single point counts for at most this many spreads."""


@runtime_checkable
class CrossValidates(Model, Protocol):
    """A model that knows, or can find out, how well it would have predicted its own data."""

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Effective number of parameters, for each output."""

    def held_out_residuals(self, *, generator: Generator) -> Values:
        """Value minus the prediction of a fit without the point."""


@final
@dataclass(frozen=True)
class Member:
    """A family in the portfolio.

    Attributes:
        name: what scores call it.
        draft: a quick fit.
        final: a longer fit that continues from a draft among the best.
        after: the member whose draft this one's draft starts from.
        is_smooth: whether it has no creases: where smooth members are clearly best, bold ones are
            not tried.
        is_bold: whether it is flexible enough to win by chance. Tried last, with the transforms
            that did best.
    """

    name: str
    draft: Surrogate
    final: Surrogate | None = None
    after: str = ""
    is_smooth: bool = False
    is_bold: bool = False


@final
@dataclass(frozen=True)
class Score:
    """How a candidate did.

    Attributes:
        name: the member.
        transform: the output transform.
        error: cross-validated mean absolute error, in units of the output's spread, with the
            penalty for few points per parameter.
        n_parameters: effective number of parameters; 0 if the model does not say.
    """

    name: str
    transform: TransformName
    error: float
    n_parameters: int


@final
@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted member of one output."""

    member: Member
    transform: Transform
    model: Model
    spread: float  # of the transformed output, the unit of the model's standard deviation
    score: Score

    @property
    def key(self) -> tuple[str, Transform]:
        """Member and transform."""
        return self.member.name, self.transform

    @property
    def rank(self) -> float:
        """The error by which candidates compare."""
        return self.score.error * (BOLD_FACTOR if self.member.is_bold else 1.0)

    @property
    def is_exact(self) -> bool:
        """Whether nothing better need be looked for."""
        return self.score.error < EXACT

    def predict(self, x: Points) -> Float[Tensor, " n"]:
        """Predict in the units of the output."""
        return self.transform.inverse(self.model.predict(x))[:, 0]

    def std(self, x: Points) -> Float[Tensor, " n"]:
        """Return the model's standard deviation in the units of the output; 0 if it has none."""
        if not isinstance(self.model, SupportsStd):
            return torch.zeros(len(x), dtype=x.dtype)
        z, half = self.model.predict(x), self.model.std(x) * self.spread
        high, low = self.transform.inverse(z + half), self.transform.inverse(z - half)
        return torch.nan_to_num((high / 2 - low / 2).abs()[:, 0])


@final
@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of a contest.

    Attributes:
        committee: the winner and the candidates near it.
        scores: how every candidate did, in the order in which they were tried.
    """

    committee: tuple[Candidate, ...]
    scores: tuple[Score, ...]

    @property
    def winner(self) -> Candidate:
        """The candidate that predicts."""
        return self.committee[0]


@final
class Contest:
    """The choice for one output: candidates so far, and how they came."""

    def __init__(
        self,
        members: Sequence[Member],
        transforms: Sequence[TransformName],
        data: Dataset,
        deadline: float,
        generator: Generator,
    ) -> None:
        self.members, self.data = members, data
        self.deadline, self.generator = deadline, generator
        legal = (Transform.legal(name, data.y[:, 0]) for name in transforms)
        self.transforms = [transform for transform in legal if transform is not None]
        self.candidates: list[Candidate] = []

    def run(self, previous: Candidate | None) -> Outcome:
        """Draft, then deepen; ``previous`` is the winner of the model before."""
        if previous is not None:
            self._continue(previous)
        self._draft(self.transforms, is_bold=False)
        self._deepen(2, is_bold=False)
        if self._ranked()[0].rank > GOOD and not self._smooth_is_clearly_best():
            best = list(dict.fromkeys(candidate.transform for candidate in self._ranked()))
            self._draft(best[:2], is_bold=True)
            self._deepen(1, is_bold=True)
        winner, *others = self._ranked()
        near = [c for c in others if c.rank <= COMMITTEE_FACTOR * winner.rank]
        committee = (winner, *near[: MAX_COMMITTEE - 1])
        return Outcome(committee, tuple(candidate.score for candidate in self.candidates))

    def _ranked(self) -> list[Candidate]:
        return sorted(self.candidates, key=lambda candidate: candidate.rank)

    def _is_over(self) -> bool:
        if not self.candidates:
            return False
        return thread_time() > self.deadline or any(c.is_exact for c in self.candidates)

    def _continue(self, previous: Candidate) -> None:
        """Refit the winner of the model before, from where it was."""
        transform = Transform.legal(previous.transform.name, self.data.y[:, 0])
        if transform is not None:
            recipe = previous.member.final or previous.member.draft
            self._enter(previous.member, recipe, transform, previous.model)

    def _draft(self, transforms: list[Transform], *, is_bold: bool) -> None:
        """Fit each member with each transform, quickly."""
        for member in self.members:
            for transform in transforms:
                if member.is_bold == is_bold and not self._is_over():
                    key = member.after, transform
                    start = next((c.model for c in self.candidates if c.key == key), None)
                    self._enter(member, member.draft, transform, start)

    def _deepen(self, n_drafts: int, *, is_bold: bool) -> None:
        """Fit the best drafts of each member for longer."""
        for member in self.members:
            if member.is_bold != is_bold or member.final is None:
                continue
            for draft in [c for c in self._ranked() if c.member is member][:n_drafts]:
                if not self._is_over():
                    self._enter(member, member.final, draft.transform, draft.model)

    def _smooth_is_clearly_best(self) -> bool:
        smooth = [c.score.error for c in self.candidates if c.member.is_smooth]
        creased = [c.score.error for c in self.candidates if not c.member.is_smooth]
        return bool(smooth) and min(smooth) < min(0.03, 0.25 * min(creased, default=torch.inf))

    def _enter(
        self, member: Member, recipe: Surrogate, transform: Transform, start: Model | None
    ) -> None:
        """Fit and judge a candidate."""
        y = self.data.y
        z = Dataset(self.data.x, transform.forward(y))
        model = recipe.fit(z, generator=self.generator, start=start)
        residuals, n_parameters = _judge(recipe, model, z, self.generator)
        errors = (transform.inverse(z.y - residuals) - y).abs() / spread_of(y)
        penalty = 1 + 4 * max(0.0, n_parameters / len(y) - 0.5)
        error = penalty * float(errors.nan_to_num(WORST).clamp(max=WORST).mean())
        score = Score(member.name, transform.name, error, n_parameters)
        self.candidates.append(Candidate(member, transform, model, spread_of(z.y), score))


def _judge(
    recipe: Surrogate, model: Model, data: Dataset, generator: Generator, n_folds: int = 5
) -> tuple[Values, int]:
    """Return held-out residuals and the number of parameters; refit if the model cannot tell."""
    if isinstance(model, CrossValidates):
        return model.held_out_residuals(generator=generator), model.n_parameters[0]
    fold = torch.randperm(len(data), generator=generator) % n_folds
    residuals = data.y.clone()
    for k in range(min(n_folds, len(data)) if len(data) > 1 else 0):
        held = (fold == k).nonzero()[:, 0]
        refit = recipe.fit(data.without(held), generator=generator, start=None)
        residuals[held] = data.y[held] - refit.predict(data.x[held])
    return residuals, 0


def spread_of(y: Values) -> float:
    """Return the standard deviation of all values, or 1 where it is zero."""
    largest = max(float(y.abs().max()), torch.finfo(y.dtype).tiny)
    spread = float((y / largest).std(correction=0)) * largest
    return spread if spread > 0 else 1.0
