"""One member's turn in a search: drafts, and longer fits of the best of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import final

from torch import Generator

from adaptsample.surrogates.auto.candidate import Candidate, LeftOut
from adaptsample.surrogates.auto.effort import Effort
from adaptsample.surrogates.auto.judging import Judge
from adaptsample.surrogates.auto.portfolio import Member
from adaptsample.surrogates.auto.thresholds import (
    COMMITTEE_FACTOR,
    HOPED,
    N_DEEPENED,
    N_DEEPENED_BOLD,
    PROMISE,
    SAME_NETWORK,
    SCOUTED,
)
from adaptsample.surrogates.auto.transforms import Transform
from adaptsample.surrogates.protocol import Aiming, Bounded, Model, Surrogate


@final
@dataclass(frozen=True)
class Turn:
    """What came of a member's turn.

    Attributes:
        candidates: fitted, in the order in which they were.
        left_out: what was not, and why.
    """

    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]


@final
class Attempt:
    """Tries a member with the transforms that did best so far.

    Args:
        member: what is tried.
        before: all candidates so far.
        transforms: those that the output allows.
        judge: fits and judges.
        effort: what it may cost.
        is_between: whether it is between two searches, when all is to cost little.
        generator: the source of everything random in it.
    """

    def __init__(
        self,
        member: Member,
        before: Sequence[Candidate],
        transforms: Sequence[Transform],
        *,
        judge: Judge,
        effort: Effort,
        is_between: bool,
        generator: Generator,
    ) -> None:
        self.member, self.before, self.transforms = member, before, transforms
        self.judge, self.effort, self.generator = judge, effort, generator
        self.is_between = is_between and not effort.is_thorough
        self.own: list[Candidate] = []
        self.left_out: list[LeftOut] = []

    def run(self) -> Turn:
        """Draft the member, and fit its best drafts for longer.

        A draft that leaves all before it far behind is deepened at once: it often ends the search.
        What costs much is deepened in this case alone.
        """
        drafts, deepened = list[Candidate](), list[Candidate]()
        for transform in self._scouted(self._promising()):
            rival = self._best_rank()
            draft = self._draft(transform)
            if draft is not None:
                drafts.append(draft)
                if self._is_hopeless(draft):
                    break
                if PROMISE * draft.rank < rival:
                    deepened.append(draft)
                    self._deepen(draft)
        n_deepened = N_DEEPENED_BOLD if self.member.is_bold else N_DEEPENED
        for draft in sorted(drafts, key=lambda draft: draft.rank)[:n_deepened]:
            if draft not in deepened and not self.member.is_dear:
                self._deepen(draft)
        return Turn(tuple(self.own), tuple(self.left_out))

    def _promising(self) -> list[Transform]:
        """Return the transforms that did best so far, as many as are worth it."""
        # by what all transforms were tried with, not by what an earlier search ended with
        cheap = [candidate for candidate in self.before if candidate.member.is_cheap]
        ranked = sorted(cheap or self.before, key=lambda candidate: candidate.rank)
        tried = [candidate.transform for candidate in ranked]
        ordered = list(dict.fromkeys([*tried, *self.transforms]))
        identity = [transform for transform in self.transforms if transform.name == "identity"]
        if self.member.n_transforms is None:
            return identity
        chosen = ordered[: self.member.n_transforms]
        is_unknown = any(transform not in tried for transform in self.transforms)
        if is_unknown or self.effort.is_thorough:
            return chosen
        best = {c.transform: c.rank for c in reversed(ranked)}
        if self.member.is_cheap and self.member.final is not None:
            limit = self.effort.margin * ranked[0].rank
            return [transform for transform in chosen if best[transform] <= limit]
        chosen = chosen[: self.effort.n_transforms if self.member.scout is None else 1]
        if not self.member.is_cheap:
            limit = COMMITTEE_FACTOR * ranked[0].rank
            chosen = [transform for transform in chosen if best[transform] <= limit]
        # noise is told from the output as it is alone
        return list(dict.fromkeys([*chosen, *(identity if self.member.has_prior else [])]))

    def _draft(self, transform: Transform) -> Candidate | None:
        """Return the draft with a transform; None if there is nothing left to improve."""
        if self._is_solved():
            return None
        recipe = self.effort.draft(self.member, is_between=self.is_between)
        key = self.member.after, transform
        start = next((c.model for c in self.before if c.key == key), None)
        return self._enter(recipe, transform, start)

    def _scouted(self, transforms: list[Transform]) -> list[Transform]:
        """Return the transform with which a scout errs least, unless it is not worth a draft."""
        scout = self.member.scout
        if scout is None or self.effort.is_thorough or self._is_solved():
            return transforms
        found = [self._judged(scout, transform, None, bar=0.0) for transform in transforms]
        best = min(found, key=lambda candidate: candidate.rank)
        times = best.rank / self._best_rank()
        if times <= SCOUTED or self.effort.is_patient:
            return [best.transform]
        reason = f"after a short fit its error is {times:.1f} times the best"
        self.left_out.append(LeftOut(self.member.name, best.transform.name, reason))
        return []

    def _deepen(self, draft: Candidate) -> None:
        """Fit a draft for longer, if its member has a longer fit and it is not hopeless."""
        if self.member.final is None or self._is_solved():
            return
        if self._is_far_behind(draft):
            times = draft.rank / self._rival_rank()
            reason = f"no longer fit: its error is {times:.1f} times the best that costs no more"
            self.left_out.append(LeftOut(self.member.name, draft.transform.name, reason))
            return
        recipe = self.member.final
        if isinstance(recipe, Aiming) and not self.effort.is_patient:
            recipe = recipe.towards(min(COMMITTEE_FACTOR * self._rival_rank() / draft.rank, 1.0))
        if self.member.is_bold and self.effort.draft(self.member) is not self.member.draft:
            # several creases are seldom found from few starts, and the longer fit adds none
            at_length = self._enter(self.member.draft, draft.transform, draft.model)
            if at_length.is_solved:
                return
            draft = min(draft, at_length, key=lambda candidate: candidate.rank)
        final = self._enter(recipe, draft.transform, draft.model)
        # of one network trained on and on, errors estimated from few points do not tell the stages
        if self.member.is_dear and final.rank <= SAME_NETWORK * draft.rank:
            self.own.remove(draft)

    def _enter(self, recipe: Surrogate, transform: Transform, start: Model | None) -> Candidate:
        # what a linearised network says of itself is an estimate, and no bound
        is_bound = self.member.scout is None and not self.effort.is_thorough
        bar = HOPED * self._best_rank() if is_bound else inf
        if isinstance(recipe, Bounded) and transform.name == "identity":
            recipe = recipe.bounded(bar)
        candidate = self._judged(recipe, transform, start, bar=bar)
        self.own.append(candidate)
        return candidate

    def _judged(
        self, recipe: Surrogate, transform: Transform, start: Model | None, *, bar: float
    ) -> Candidate:
        return self.judge.candidate(
            self.member, recipe, transform, generator=self.generator, start=start, bar=bar
        )

    def _best_rank(self) -> float:
        return min((c.rank for c in (*self.before, *self.own)), default=inf)

    def _rival_rank(self) -> float:
        """Return the best that costs no more: a network may be ahead of a crease to be found."""
        rivals = [c for c in self.before if self.member.is_dear or not c.member.is_dear]
        return min((c.rank for c in (*rivals, *self.own)), default=inf)

    def _is_solved(self) -> bool:
        return any(c.is_solved for c in (*self.before, *self.own))

    def _is_hopeless(self, draft: Candidate) -> bool:
        """Whether a dear member need not be drafted with other transforms."""
        factor = inf if self.effort.is_thorough else COMMITTEE_FACTOR
        return self.member.is_dear and draft.rank > factor * self._best_rank()

    def _is_far_behind(self, candidate: Candidate) -> bool:
        if self.is_between:
            return candidate.rank > COMMITTEE_FACTOR * self._best_rank()
        return candidate.rank > self.effort.margin * self._rival_rank()
