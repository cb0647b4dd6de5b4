"""The search for the surrogate of one output, by held-out errors in the units of the output."""

from collections.abc import Sequence
from math import inf, isnan, log, nan
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.deadline import Deadline
from adaptsample.core.scaling import spread_of
from adaptsample.core.shapes import Values
from adaptsample.surrogates.auto.candidate import Candidate, Score
from adaptsample.surrogates.auto.ensemble import Outcome, stacked
from adaptsample.surrogates.auto.portfolio import Member
from adaptsample.surrogates.auto.thresholds import (
    COMMITTEE_FACTOR,
    CROWDED,
    CROWDING,
    FAR,
    GOOD,
    GROWTH,
    MAX_COMMITTEE,
    MAX_CONTINUED,
    N_DEEPENED,
    N_DEEPENED_BOLD,
    N_FOLDS,
    N_TRIALS,
    PROMISE,
    RIVAL_FACTOR,
    SOLVED,
    SURPRISE,
    TRIAL_FACTOR,
    WORST,
)
from adaptsample.surrogates.auto.transforms import Transform, TransformName
from adaptsample.surrogates.protocol import (
    Model,
    SupportsCrossValidation,
    SupportsDoubt,
    SupportsRefits,
    SupportsSwing,
    Surrogate,
)


@final
class Search:
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
                self._try(member, n_deepened=N_DEEPENED)
        if self._ranked()[0].rank > GOOD and not self._is_noisy():
            for member in self.members:
                if member.is_bold:
                    self._try(member, n_deepened=N_DEEPENED_BOLD)

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
        return committee, stacked(committee)

    def _is_bold(self, candidate: Candidate) -> bool:
        return candidate.member.is_bold and candidate.member.name not in self.proven

    def _trusted(self, ranked: Sequence[Candidate]) -> list[Candidate]:
        """Return those that are not bold, without any that only seem as good as a jump.

        A steep slope remembers where the jump was when points beside it are held out. So where one
        was found, and nothing is far better, both are found afresh from a part of the data. Those
        that predict the rest worse are left out; after one that does better, it is the jump.
        """
        plain = [c for c in ranked if not self._is_bold(c)]
        jump = next((c for c in plain if c.is_refitted), None)
        if jump is None or plain[0].rank * FAR < jump.rank:
            return plain
        fold, refuted = self._folds(), list[Candidate]()
        near = (c for c in plain if c is not jump and c.rank < RIVAL_FACTOR * jump.rank)
        for rival in near:
            own, of_jump = (self._predict_afresh(candidate, fold) for candidate in (rival, jump))
            pairs = zip(own, of_jump, strict=True)
            if sum(log(a + SOLVED) - log(b + SOLVED) for a, b in pairs) < 0:
                return [c for c in plain if c not in refuted and not c.is_refitted]
            refuted.append(rival)
        return [c for c in plain if c not in refuted]

    def _repeats(self, bold: Candidate, than: Candidate) -> bool:
        """Tell whether a bold member repeats its success, found afresh from a part of the data.

        Cross-validation keeps to the crease that all data led to; here also the crease must be
        found without the points that are then predicted. Parts count by the logarithm of what is
        gained: a search may fail once, but does not succeed by chance.
        """
        fold, rival = self._folds(), than.residuals.abs()
        gains = [
            log(float(rival[fold == k].mean()) + SOLVED) - log(error + SOLVED)
            for k, error in enumerate(self._predict_afresh(bold, fold))
        ]
        return sum(gains) / N_TRIALS > log(TRIAL_FACTOR)

    def _predict_afresh(self, candidate: Candidate, fold: Int64[Tensor, " n"]) -> list[float]:
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
        return (errors / spread_of(self.data.y))[:, 0].nan_to_num(WORST).clamp(-WORST, WORST)

    def _ranked(self) -> list[Candidate]:
        return sorted(self.candidates, key=lambda candidate: candidate.rank)

    def _needs_more(self) -> bool:
        """Whether to go on: there is time left, and no candidate is solved."""
        if not self.candidates:
            return True
        return not self.deadline.is_over and not any(c.is_solved for c in self.candidates)

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
        swing = model.swings[0] if isinstance(model, SupportsSwing) else 1.0
        residuals = swing * self._relative(y - transform.inverse(z.y - in_z))
        is_refitted = isinstance(model, SupportsRefits) and model.is_refitted[0]
        share = 0.0 if member.has_prior or is_refitted else n_parameters / len(y)
        penalty = 1 + CROWDING * max(0.0, share - CROWDED)
        error = penalty * float(residuals.abs().mean())
        doubt = model.doubts[0] if isinstance(model, SupportsDoubt) else nan
        if doubt > error:
            residuals, error = residuals * (doubt / max(error, SOLVED)), doubt
        score = Score(member.name, transform.name, error, n_parameters)
        candidate = Candidate(
            member,
            transform,
            model,
            float(spread_of(z.y)),
            residuals,
            score,
            not isnan(doubt),
            is_refitted,
        )
        self.candidates.append(candidate)
        return candidate

    def _judge(self, recipe: Surrogate, model: Model, z: Dataset) -> tuple[Values, int]:
        """Return held-out residuals, by refits if the model cannot tell, and its parameters."""
        if isinstance(model, SupportsCrossValidation):
            return model.held_out_residuals(generator=self.generator), model.n_parameters[0]
        fold, residuals = self._folds(), z.y.clone()
        for k in range(min(N_FOLDS, len(z)) if len(z) > 1 else 0):
            held = (fold == k).nonzero()[:, 0]
            refit = recipe.fit(z.without(held), generator=self.generator, start=None)
            residuals[held] = z.y[held] - refit.predict(z.x[held])
        return residuals, 0
