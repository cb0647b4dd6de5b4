"""The search for the surrogate of one output, by held-out errors in the units of the output."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import final

from jaxtyping import Float
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.randomness import derive_generator
from adaptsample.core.threads import in_parallel
from adaptsample.surrogates.auto.attempt import Attempt, Turn
from adaptsample.surrogates.auto.candidate import Candidate, LeftOut, Score
from adaptsample.surrogates.auto.effort import Effort
from adaptsample.surrogates.auto.ensemble import Outcome, stacked
from adaptsample.surrogates.auto.judging import Judge
from adaptsample.surrogates.auto.portfolio import Member
from adaptsample.surrogates.auto.thresholds import (
    COMMITTEE_FACTOR,
    FEW_VARIABLES,
    FORETOLD,
    GROWN,
    GROWTH,
    MAX_COMMITTEE,
    MAX_CONTINUED,
    SIGN,
    SURPRISE,
)
from adaptsample.surrogates.auto.transforms import Transform, TransformName
from adaptsample.surrogates.auto.trials import Trials


@final
class Search:
    """The choice for one output: candidates so far, and how they came.

    Args:
        members: the portfolio.
        transforms: names of the output transforms to try, where they are legal.
        data: points and the one output.
        effort: what it may cost.
        seed: of everything random in it.
    """

    def __init__(
        self,
        members: Sequence[Member],
        transforms: Sequence[TransformName],
        data: Dataset,
        *,
        effort: Effort,
        seed: int,
    ) -> None:
        dimension = data.x.shape[1]
        self.members = [m for m in members if dimension <= (m.max_dimension or dimension)]
        self.data = data
        self.effort, self.seed = effort, seed
        legal = (Transform.legal(name, data.y[:, 0]) for name in transforms)
        self.transforms = [transform for transform in legal if transform is not None]
        self.judge = Judge(data, seed)
        self.trials = Trials(self.judge, effort=effort, seed=seed)
        self.candidates: list[Candidate] = []
        self.left_out: list[LeftOut] = []
        self.proven: frozenset[str] = frozenset()  # bold members that stood their trial
        self.standing: tuple[Score, ...] = ()  # in the search before
        self.is_grown = True  # by so much that the search begins anew

    def run(self, previous: Outcome | None, foretold: Float[Tensor, " n"] | None = None) -> Outcome:
        """Refit what won before, and what costs little; search where that does not suffice.

        Args:
            previous: the choice for fewer points.
            foretold: what it predicted at points that it did not know; NaN at the others.
        """
        if previous is not None:
            self._begin_after(previous)
        if self.is_grown:
            self.effort = self.effort.on(*self.data.x.shape)
        for stage in _stages([m for m in self.members if self._is_cheap(m)]):
            self._try(stage)
        is_whole = False
        if previous is None or self._is_due(previous, foretold):
            self._search()
            is_whole = self.is_grown
        else:
            self.left_out = list(previous.left_out)
        committee, weights = self._committee()
        scores = tuple(candidate.score for candidate in self.candidates)
        if previous is None or is_whole:
            n_searched, standing = len(self.data), scores
        else:
            n_searched, standing = previous.n_searched, previous.standing
        proven, left_out = tuple(sorted(self.proven)), tuple(self.left_out)
        return Outcome(committee, weights, scores, n_searched, standing, proven, left_out)

    def _begin_after(self, previous: Outcome) -> None:
        """Take over what was found, refit the best of it, and leave what was far behind."""
        self.proven = frozenset(previous.proven)
        self.is_grown = len(self.data) >= GROWTH * previous.n_searched
        if not self.is_grown:
            self.standing = previous.standing
            if self._has_many_variables:  # in few all cost little, and a crease may turn up in any
                near = [t for t in self.transforms if not self._was_far_behind(t.name)]
                self.transforms = near or self.transforms  # the near ones may be legal no more
        found = dict[tuple[str, Transform], Candidate]()
        for candidate in previous.committee:
            found.setdefault(candidate.key, candidate)
        for candidate in list(found.values())[:MAX_CONTINUED]:
            if candidate.member.refit is not None or not candidate.member.is_cheap:
                self._continue(candidate)

    def _is_due(self, previous: Outcome, foretold: Float[Tensor, " n"] | None) -> bool:
        """Whether the portfolio is to be searched again.

        It is where there are many more points, where the error has grown much, and where it has
        grown at all after points came that were foretold badly.
        """
        if any(c.is_solved for c in self.candidates):
            return False
        if self.is_grown or not self.candidates:
            return True
        best = self._ranked()[0]
        if best.rank > SURPRISE * previous.winner.rank:
            return True
        return best.rank > GROWN * previous.winner.rank and self._is_surprised(previous, foretold)

    def _is_surprised(self, previous: Outcome, foretold: Float[Tensor, " n"] | None) -> bool:
        if foretold is None:
            return False
        off = self.judge.relative(self.data.y - foretold[:, None])[~foretold.isnan()].abs()
        return len(off) > 0 and float(off.mean()) > FORETOLD * previous.winner.score.error

    def _search(self) -> None:
        """Try every other member, what costs much last; the bold ones where that may pay."""
        rest = [member for member in self.members if not member.is_cheap]
        for is_bold, is_dear in product((False, True), repeat=2):
            group = [m for m in rest if (m.is_dear, m.is_bold) == (is_dear, is_bold)]
            for stage in _stages(group):
                best = next(iter(self._ranked()), None)
                is_good = best is not None and best.rank <= self.effort.good
                if best is None or not is_bold or not (is_good or self._is_noisy()):
                    self._try(stage)
                elif not best.is_solved:
                    why = "the others are good enough" if is_good else "noise"
                    self.left_out += [LeftOut(member.name, "", why) for member in stage]

    def _try(self, stage: Sequence[Member]) -> None:
        """Try members side by side; those that know of one another only what was before."""
        if any(c.is_solved for c in self.candidates):
            return
        tried = [member for member in stage if self._is_worth_trying(member)]
        attempts = [
            Attempt(
                member,
                tuple(self.candidates),
                self.transforms,
                judge=self.judge,
                effort=self.effort,
                is_between=not self.is_grown,
                generator=derive_generator(self.seed, f"attempt of {member.name}"),
            )
            for member in tried
        ]
        turns: list[Turn] = in_parallel([attempt.run for attempt in attempts])
        for turn in turns:
            self.candidates += turn.candidates
            self.left_out += turn.left_out

    def _is_cheap(self, member: Member) -> bool:
        """Whether a member is tried in any case: in many variables no glance finds a crease."""
        is_lost = not self.is_grown and member.glance is not None and self._has_many_variables
        return member.is_cheap and (self.effort.is_thorough or not is_lost)

    @property
    def _has_many_variables(self) -> bool:
        return self.data.x.shape[1] > FEW_VARIABLES

    def _is_worth_trying(self, member: Member) -> bool:
        """Whether a member may win, at what it costs; if not, it is noted why."""
        ranked = self._ranked()
        reason = ""
        if member.level > self.effort.level:
            reason = "it takes more effort"
        elif member.is_dear and ranked and ranked[0].rank <= self.effort.good:
            reason = "the others are good enough"
        elif self.effort.is_thorough:
            return True
        elif not member.is_cheap and self._was_far_behind(member.name):
            reason = "it was far behind at the last search"
        elif member.wants_many_points and self._has_many_variables:
            reason = f"it takes a thorough effort with more than {FEW_VARIABLES} variables"
        else:
            signs = [c for c in ranked if c.member.name in member.signs]
            # a network that is ahead of a crease does not tell that there is none
            rivals = [c.rank for c in ranked if c in signs or not c.member.is_dear]
            strict = member.is_dear and not self.effort.is_patient
            factor = SIGN if strict else self.effort.margin
            if signs and signs[0].rank > factor * rivals[0]:
                reason = f"{' and '.join(member.signs)} are far behind"
        if reason:
            self.left_out.append(LeftOut(member.name, "", reason))
        return not reason

    def _was_far_behind(self, name: str) -> bool:
        """Whether a member or a transform was so far behind at the last search that it still is."""
        errors = [score.error for score in self.standing if name in (score.name, score.transform)]
        best = min((score.error for score in self.standing), default=0.0)
        return not self.effort.is_thorough and bool(errors) and min(errors) > SIGN * best

    def _committee(self) -> tuple[tuple[Candidate, ...], Float[Tensor, " m"]]:
        """Return the best candidate and those near it, a bold one only if it stands its trial.

        A bold member that was found from several starts has stood it: they agree everywhere.
        Errors that are mostly noise tell no candidates apart, and without a prior some fit it.
        """
        ranked = self._ranked()
        trusted = self.trials.trusted([c for c in ranked if not self._is_bold(c)])
        bolder = (c for c in ranked if self._is_bold(c) and c.rank < trusted[0].rank)
        stood = (c for c in bolder if c.is_found_again or self.trials.repeats(c, trusted[0]))
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

    def _ranked(self) -> list[Candidate]:
        return sorted(self.candidates, key=lambda candidate: candidate.rank)

    def _continue(self, previous: Candidate) -> None:
        """Refit a candidate of the model before, from where it was."""
        transform = Transform.legal(previous.transform.name, self.data.y[:, 0])
        if transform is not None and not any(c.is_solved for c in self.candidates):
            member, name = previous.member, f"refit of {previous.member.name} {transform.name}"
            self.candidates.append(
                self.judge.candidate(
                    member,
                    member.continuation,
                    transform,
                    generator=derive_generator(self.seed, name),
                    start=previous.model,
                )
            )

    def _is_noisy(self) -> bool:
        """Whether all members that tell noise see it in the errors of the best."""
        told = [c for c in self.candidates if c.noise_std is not None]
        return bool(told) and all(c.sees(self._ranked()[0]) for c in told)


def _stages(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Yield the members that are tried side by side, one stage after the other."""
    stage: list[Member] = []
    for member in members:
        if stage and not member.is_beside:
            yield stage
            stage = []
        stage.append(member)
    if stage:
        yield stage
