"""A contest between surrogates, judged by cross-validation in the units of the output."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, log, nan
from typing import Protocol, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.optimize import nnls
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.deadline import Deadline
from adaptsample.core.shapes import Points, Values
from adaptsample.surrogates.auto.portfolio import Member
from adaptsample.surrogates.auto.transforms import Transform, TransformName
from adaptsample.surrogates.protocol import (
    Model,
    SupportsCommittee,
    SupportsFeatures,
    SupportsHeldOut,
    SupportsNoise,
    SupportsParameterGradient,
    SupportsStd,
    Surrogate,
    capable,
)

EXACT = 1e-9
"""A cross-validated error below this ends the search."""

GOOD, NOISY = 1e-5, 0.5
"""Bold members are not tried where the others err less than this. Errors are taken for noise where
the noise seen is at least this share of them, and they of the noise."""

BOLD_FACTOR, FREE_FACTOR = 2.0, 1.5
"""How much dearer the errors of bold members are, and of others without a prior whose search has
seen the points that were then held out."""

TRIAL_FACTOR, FAR = 1.5, 10.0
"""How much better a bold member must be in its trial, and how much better than a jump any member
must seem to need none."""

N_FOLDS, N_TRIALS = 5, 2
"""In how many parts data are cut for cross-validation, and how many of them a trial takes."""

GROWTH, SURPRISE = 1.2, 3.0
"""The search is repeated when the data, or the error of what it found, has grown by this factor."""

PROMISE = 5.0
"""A draft this many times better than all before it is fitted for longer at once."""

MAX_CONTINUED = 4
"""Members of the committee before that are refitted."""

COMMITTEE_FACTOR, MAX_COMMITTEE = 1.3, 8
"""Candidates whose error is within this factor of the best form the committee."""

_SLOPE_STEP = 1e-4  # in spreads of the transformed output

WORST = 10.0
"""The error of a single point counts for at most this many spreads."""


@runtime_checkable
class CrossValidates(SupportsHeldOut, Protocol):
    """A model that knows, or can find out, how far its prediction is to be trusted."""

    @property
    def n_parameters(self) -> tuple[int, ...]:
        """Effective number of parameters, for each output."""


@runtime_checkable
class Swings(Model, Protocol):
    """A model that knows how it behaves where there are no data."""

    @property
    def swings(self) -> tuple[float, ...]:
        """How much larger errors are in the data's box than at the points, for each output."""


@runtime_checkable
class Refits(Model, Protocol):
    """A model whose held-out residuals may be those of fits that did not know the points at all."""

    @property
    def is_refitted(self) -> tuple[bool, ...]:
        """Whether they are, for each output."""


@runtime_checkable
class Doubts(Model, Protocol):
    """A model that may have been fitted more than once."""

    @property
    def doubts(self) -> tuple[float, ...]:
        """Mean distance to another fit in the data's box, in spreads; NaN if there is none."""


@final
@dataclass(frozen=True)
class Score:
    """How a candidate did.

    Attributes:
        name: the member.
        transform: the output transform.
        error: cross-validated mean absolute error, in units of the output's spread, with the
            penalty for few points per parameter; at least the distance to another fit.
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
    residuals: Float[Tensor, " n"]  # held-out, in units of the output's spread, as large as feared
    score: Score
    is_found_again: bool  # by another fit, whose distance its error accounts for
    is_refitted: bool  # held-out residuals are of fits that did not know the points at all

    @property
    def key(self) -> tuple[str, Transform]:
        """Member and transform."""
        return self.member.name, self.transform

    @property
    def rank(self) -> float:
        """The error by which candidates compare."""
        return self.score.error * self.handicap

    @property
    def handicap(self) -> float:
        """How much dearer its errors are than they look."""
        if self.member.is_bold:
            return BOLD_FACTOR
        return 1.0 if self.member.has_prior or self.is_refitted else FREE_FACTOR

    @property
    def is_exact(self) -> bool:
        """Whether nothing better need be looked for."""
        return self.score.error < EXACT

    def predict(self, x: Points) -> Float[Tensor, " n"]:
        """Predict in the units of the output."""
        return self.transform.inverse(self.model.predict(x))[:, 0]

    @property
    def noise_std(self) -> Float[Tensor, ""] | None:
        """Standard deviation of the noise in the units of the output, if the model tells."""
        if not isinstance(self.model, SupportsNoise) or self.transform.name != "identity":
            return None
        noise = self.model.noise_std[0]
        return None if noise.isnan() else noise

    def sees(self, best: "Candidate") -> bool:
        """Whether the best candidate's errors are about the noise that this one tells.

        Only one that is about as good itself can know.
        """
        is_near = self.rank <= COMMITTEE_FACTOR * best.rank
        if self.noise_std is None or not is_near or not self.member.has_prior:
            return False
        share = self.noise_std / self.spread / best.residuals.square().mean().sqrt()
        return bool(NOISY < share < 1 / NOISY)

    def hypotheses(self, x: Points) -> Float[Tensor, "m n"]:
        """Predict by all that the model takes for possible: its committee, or itself."""
        if isinstance(self.model, SupportsCommittee):
            return self.transform.inverse(self.model.committee(x))[:, :, 0]
        return self.predict(x)[None]

    def features(self, x: Points) -> Float[Tensor, "n f"]:
        """Return the derivatives of the prediction with respect to the parameters, or terms."""
        if isinstance(self.model, SupportsParameterGradient):
            rows = self.model.parameter_gradient(x)[:, 0]
        else:
            rows = capable(self.model, SupportsFeatures).features(x)
        z, step = self.model.predict(x), _SLOPE_STEP * self.spread
        rise = self.transform.inverse(z + step) - self.transform.inverse(z - step)
        return rows * rise.nan_to_num() / (2 * step)

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
        committee: the best candidate and those near it; where noise decides, those with a prior.
        weights: of the committee's members in the prediction, not negative, with sum 1.
        scores: how every candidate did, in the order in which they were tried.
        n_searched: number of points at the last search of the whole portfolio.
        proven: bold members that stood their trial.
    """

    committee: tuple[Candidate, ...]
    weights: Float[Tensor, " m"]
    scores: tuple[Score, ...]
    n_searched: int
    proven: tuple[str, ...]

    @property
    def winner(self) -> Candidate:
        """The best candidate."""
        return self.committee[0]

    @property
    def noise_std(self) -> Float[Tensor, ""]:
        """Standard deviation of the noise, by the members that tell; NaN if none does."""
        told = [c.noise_std for c in self.committee if c.noise_std is not None]
        return torch.stack(told).square().mean().sqrt() if told else torch.tensor(torch.nan)

    def hypotheses(self, x: Points) -> Float[Tensor, "m n"]:
        """Predict by all that the members take for possible."""
        return torch.cat([candidate.hypotheses(x) for candidate in self.committee])

    def committee_predictions(self, x: Points) -> Float[Tensor, "m n"]:
        """Predict by each member."""
        return torch.stack([candidate.predict(x) for candidate in self.committee])

    def predict(self, x: Points) -> Float[Tensor, " n"]:
        """Predict by the weighted mean of the committee."""
        return self.weights @ self.committee_predictions(x)


@final
class Contest:
    """The choice for one output: candidates so far, and how they came."""

    def __init__(
        self,
        members: Sequence[Member],
        transforms: Sequence[TransformName],
        data: Dataset,
        deadline: Deadline,
        generator: Generator,
    ) -> None:
        dimension = data.x.shape[1]
        self.members = [m for m in members if dimension <= (m.max_dimension or dimension)]
        self.data = data
        self.deadline, self.generator = deadline, generator
        legal = (Transform.legal(name, data.y[:, 0]) for name in transforms)
        self.transforms = [transform for transform in legal if transform is not None]
        self.candidates: list[Candidate] = []
        self.proven: frozenset[str] = frozenset()  # bold members that stood their trial

    def run(self, previous: Outcome | None) -> Outcome:
        """Refit what won before; search where that does not suffice."""
        n_searched = len(self.data)
        if previous is not None:
            self.proven = frozenset(previous.proven)
        for candidate in () if previous is None else previous.committee[:MAX_CONTINUED]:
            self._continue(candidate)
        if previous is None or self._is_due(previous):
            self._search()
        else:
            n_searched = previous.n_searched
        committee, weights = self._committee()
        scores = tuple(candidate.score for candidate in self.candidates)
        return Outcome(committee, weights, scores, n_searched, tuple(sorted(self.proven)))

    def _is_due(self, previous: Outcome) -> bool:
        if not self.candidates or len(self.data) >= GROWTH * previous.n_searched:
            return True
        return self._ranked()[0].rank > SURPRISE * previous.winner.rank

    def _search(self) -> None:
        """Try every member; the bold ones where that may pay."""
        for member in self.members:
            if not member.is_bold:
                self._try(member, n_deepened=2)
        if self._ranked()[0].rank > GOOD and not self._is_noisy():
            for member in self.members:
                if member.is_bold:
                    self._try(member, n_deepened=1)

    def _committee(self) -> tuple[tuple[Candidate, ...], Float[Tensor, " m"]]:
        """Return the best candidate and those near it, a bold one only if it stands its trial.

        A bold member that was found from several starts has stood it: they agree everywhere.
        Errors that are mostly noise tell no candidates apart, and without a prior some fit it.
        """
        ranked = self._ranked()
        trusted = self._trusted(ranked)
        bolder = (c for c in ranked if self._is_bold(c) and c.rank < trusted[0].rank)
        stood = (c for c in bolder if c.is_found_again or self._repeats(c, trusted[0]))
        bold = next(stood, None)
        if bold is not None:
            self.proven |= {bold.member.name}
            trusted = [bold, *trusted]
        near = [c for c in trusted if c.rank <= COMMITTEE_FACTOR * trusted[0].rank]
        if any(c.sees(trusted[0]) for c in near):
            near = [c for c in near if c.member.has_prior and c.transform.name == "identity"]
        committee = tuple(near[:MAX_COMMITTEE])
        return committee, _stacked(committee)

    def _is_bold(self, candidate: Candidate) -> bool:
        return candidate.member.is_bold and candidate.member.name not in self.proven

    def _trusted(self, ranked: Sequence[Candidate]) -> list[Candidate]:
        """Return those that are not bold, without any that only seem as good as a jump.

        A steep slope remembers where the jump was when points beside it are held out. So where one
        was found, and nothing is far better, both are found afresh from a part of the data. Those
        that foretell the rest worse are left out; after one that does better, it is the jump.
        """
        plain = [c for c in ranked if not self._is_bold(c)]
        jump = next((c for c in plain if c.is_refitted), None)
        if jump is None or plain[0].rank * FAR < jump.rank:
            return plain
        fold, refuted = self._folds(), list[Candidate]()
        near = (c for c in plain if c is not jump and c.rank < FREE_FACTOR * jump.rank)
        for rival in near:
            errors = zip(self._foretell(rival, fold), self._foretell(jump, fold), strict=True)
            if sum(log(e + EXACT) - log(of_jump + EXACT) for e, of_jump in errors) < 0:
                return [c for c in plain if c not in refuted and not c.is_refitted]
            refuted.append(rival)
        return [c for c in plain if c not in refuted]

    def _repeats(self, bold: Candidate, than: Candidate) -> bool:
        """Tell whether a bold member repeats its success, found afresh from a part of the data.

        Cross-validation keeps to the crease that all data led to; here also the crease must be
        found without the points that are then foretold. Parts count by the logarithm of what is
        gained: a search may fail once, but does not succeed by chance.
        """
        fold, rival = self._folds(), than.residuals.abs()
        gains = [
            log(float(rival[fold == k].mean()) + EXACT) - log(error + EXACT)
            for k, error in enumerate(self._foretell(bold, fold))
        ]
        return sum(gains) / N_TRIALS > log(TRIAL_FACTOR)

    def _foretell(self, candidate: Candidate, fold: Int64[Tensor, " n"]) -> list[float]:
        """Return mean errors on some parts of the data, each from a fresh fit to the others."""
        member, transform = candidate.member, candidate.transform
        z = Dataset(self.data.x, transform.forward(self.data.y))
        errors = []
        for k in range(N_TRIALS):
            held = fold == k
            part = z.without(held.nonzero()[:, 0])
            model = member.draft.fit(part, generator=self.generator)
            if member.final is not None:
                model = member.final.fit(part, generator=self.generator, start=model)
            prediction = transform.inverse(model.predict(z.x[held]))
            errors.append(float(self._relative(self.data.y[held] - prediction).abs().mean()))
        return errors

    def _folds(self) -> Int64[Tensor, " n"]:
        return torch.randperm(len(self.data), generator=self.generator) % N_FOLDS

    def _relative(self, errors: Values) -> Float[Tensor, " n"]:
        """Return errors in units of the output's spread, none of them beyond the worst."""
        return (errors[:, 0] / spread_of(self.data.y)).nan_to_num(WORST).clamp(-WORST, WORST)

    def _ranked(self) -> list[Candidate]:
        return sorted(self.candidates, key=lambda candidate: candidate.rank)

    def _needs_more(self) -> bool:
        """Whether to go on: there is time left, and no candidate is exact."""
        if not self.candidates:
            return True
        return not self.deadline.is_over and not any(c.is_exact for c in self.candidates)

    def _continue(self, previous: Candidate) -> None:
        """Refit the winner of the model before, from where it was."""
        transform = Transform.legal(previous.transform.name, self.data.y[:, 0])
        if transform is not None:
            recipe = previous.member.final or previous.member.draft
            self._enter(previous.member, recipe, transform, previous.model)

    def _try(self, member: Member, *, n_deepened: int) -> None:
        """Fit a member quickly with the transforms that did best so far, its best drafts longer.

        A draft that leaves all before it far behind is deepened at once: it often ends the search.
        """
        tried = [candidate.transform for candidate in self._ranked()]
        transforms = list(dict.fromkeys([*tried, *self.transforms]))
        if member.n_transforms is None:
            transforms = [t for t in transforms if t.name == "identity"]
        drafts, deepened = [], []
        for transform in transforms[: member.n_transforms]:
            if self._needs_more():
                key = member.after, transform
                start = next((c.model for c in self.candidates if c.key == key), None)
                rival = self._ranked()[0].rank if self.candidates else inf
                drafts.append(self._enter(member, member.draft, transform, start))
                if PROMISE * drafts[-1].rank < rival:
                    deepened.append(drafts[-1])
                    self._deepen(drafts[-1])
        for draft in sorted(drafts, key=lambda draft: draft.rank)[:n_deepened]:
            if draft not in deepened:
                self._deepen(draft)

    def _deepen(self, draft: Candidate) -> None:
        """Fit a draft for longer, if its member has a longer fit."""
        if draft.member.final is not None and self._needs_more():
            self._enter(draft.member, draft.member.final, draft.transform, draft.model)

    def _is_noisy(self) -> bool:
        """Whether all members that tell noise see it in the errors of the best."""
        told = [c for c in self.candidates if c.noise_std is not None]
        return bool(told) and all(c.sees(self._ranked()[0]) for c in told)

    def _enter(
        self, member: Member, recipe: Surrogate, transform: Transform, start: Model | None
    ) -> Candidate:
        """Fit and judge a candidate."""
        y = self.data.y
        z = Dataset(self.data.x, transform.forward(y))
        model = recipe.fit(z, generator=self.generator, start=start)
        in_z, n_parameters = self._judge(recipe, model, z)
        swing = model.swings[0] if isinstance(model, Swings) else 1.0
        residuals = swing * self._relative(y - transform.inverse(z.y - in_z))
        is_refitted = isinstance(model, Refits) and model.is_refitted[0]
        share = 0.0 if member.has_prior or is_refitted else n_parameters / len(y)
        penalty = 1 + 4 * max(0.0, share - 0.5)
        error = penalty * float(residuals.abs().mean())
        doubt = model.doubts[0] if isinstance(model, Doubts) else nan
        if doubt > error:
            residuals, error = residuals * (doubt / max(error, EXACT)), doubt
        score = Score(member.name, transform.name, error, n_parameters)
        candidate = Candidate(
            member,
            transform,
            model,
            spread_of(z.y),
            residuals,
            score,
            not isnan(doubt),
            is_refitted,
        )
        self.candidates.append(candidate)
        return candidate

    def _judge(self, recipe: Surrogate, model: Model, z: Dataset) -> tuple[Values, int]:
        """Return held-out residuals, by refits if the model cannot tell, and its parameters."""
        if isinstance(model, CrossValidates):
            return model.held_out_residuals(generator=self.generator), model.n_parameters[0]
        fold, residuals = self._folds(), z.y.clone()
        for k in range(min(N_FOLDS, len(z)) if len(z) > 1 else 0):
            held = (fold == k).nonzero()[:, 0]
            refit = recipe.fit(z.without(held), generator=self.generator, start=None)
            residuals[held] = z.y[held] - refit.predict(z.x[held])
        return residuals, 0


def _stacked(committee: Sequence[Candidate]) -> Float[Tensor, " m"]:
    """Return the weights with the least held-out error (stacking; Breiman 1996)."""
    residuals = torch.stack([c.residuals * c.handicap for c in committee], dim=1)
    size = float(residuals.abs().max())
    if len(committee) == 1 or size == 0:
        return torch.eye(len(committee), dtype=residuals.dtype)[0]
    # one more equation, heavy enough to be met: the weights sum to one
    heavy = torch.full_like(residuals[:1], 1e4)
    matrix = torch.cat([residuals / size, heavy]).numpy()
    weights, _ = nnls(matrix, np.append(np.zeros(len(residuals)), 1e4))
    return torch.from_numpy(weights / weights.sum())


def spread_of(y: Values) -> float:
    """Return the standard deviation of all values, or 1 where it is zero."""
    largest = max(float(y.abs().max()), torch.finfo(y.dtype).tiny)
    spread = float((y / largest).std(correction=0)) * largest
    return spread if spread > 0 else 1.0
