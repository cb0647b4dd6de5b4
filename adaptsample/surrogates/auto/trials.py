"""Trials: fits to a part of the data, made afresh, must predict the rest."""

from collections.abc import Sequence
from math import log
from typing import final

from adaptsample.core.randomness import derive_generator
from adaptsample.surrogates.auto.candidate import Candidate
from adaptsample.surrogates.auto.effort import Effort
from adaptsample.surrogates.auto.judging import Judge
from adaptsample.surrogates.auto.thresholds import (
    FAR,
    N_TRIALS,
    RIVAL_FACTOR,
    SOLVED,
    TRIAL_FACTOR,
)
from adaptsample.surrogates.auto.transforms import TransformName


@final
class Trials:
    """Puts candidates on trial; a member is fitted afresh once, however often it is asked for.

    Args:
        judge: has the data and their parts.
        effort: what a fit may cost.
        seed: of the fits.
    """

    def __init__(self, judge: Judge, *, effort: Effort, seed: int) -> None:
        self._judge = judge
        self._effort = effort
        self._seed = seed
        self._errors: dict[tuple[str, TransformName], list[float]] = {}

    def repeats(self, bold: Candidate, than: Candidate) -> bool:
        """Tell whether a bold member repeats its success, found afresh from a part of the data.

        Cross-validation keeps to the crease that all data led to; here also the crease must be
        found without the points that are then predicted. Parts count by the logarithm of what is
        gained: a search may fail once, but does not succeed by chance.
        """
        fold, rival = self._judge.folds, than.residuals.abs()
        gains = [
            log(float(rival[fold == k].mean()) + SOLVED) - log(error + SOLVED)
            for k, error in enumerate(self._afresh(bold))
        ]
        return sum(gains) / N_TRIALS > log(TRIAL_FACTOR)

    def trusted(self, plain: Sequence[Candidate]) -> list[Candidate]:
        """Return candidates without any that only seem as good as a jump, best first.

        A steep slope remembers where the jump was when points beside it are held out. So where one
        was found, and nothing is far better, both are found afresh from a part of the data. Those
        that predict the rest worse are left out; after one that does better, it is the jump.
        """
        jump = next((c for c in plain if c.is_refitted), None)
        if jump is None or plain[0].rank * FAR < jump.rank:
            return list(plain)
        refuted = list[Candidate]()
        near = (c for c in plain if c is not jump and c.rank < RIVAL_FACTOR * jump.rank)
        for rival in near:
            pairs = zip(self._afresh(rival), self._afresh(jump), strict=True)
            if sum(log(a + SOLVED) - log(b + SOLVED) for a, b in pairs) < 0:
                return [c for c in plain if c not in refuted and not c.is_refitted]
            refuted.append(rival)
        return [c for c in plain if c not in refuted]

    def _afresh(self, candidate: Candidate) -> list[float]:
        """Return mean errors on some parts of the data, each from a fresh fit to the others."""
        name, transform = candidate.key
        if (name, transform.name) not in self._errors:
            generator = derive_generator(self._seed, f"trial of {name} {transform.name}")
            member, judge = candidate.member, self._judge
            z, errors = judge.transformed(transform), []
            for k in range(N_TRIALS):
                held = judge.folds == k
                part = z.without(held.nonzero()[:, 0])
                model = self._effort.draft(member).fit(part, generator=generator)
                if member.final is not None:
                    model = member.final.fit(part, generator=generator, start=model)
                prediction = transform.inverse(model.predict(z.x[held]))
                off = judge.relative(judge.data.y[held] - prediction)
                errors.append(float(off.abs().mean()))
            self._errors[name, transform.name] = errors
        return self._errors[name, transform.name]
