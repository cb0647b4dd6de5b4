"""The peak function from a training set in which one point is exchanged each round."""

from adaptsample.experiments.presets import PRESETS
from scripts.studies.common.peak import (
    AIM,
    BEST,
    ERROR_AND_CHANGE,
    SETTINGS,
    follow,
    of_source,
    picture,
    progress,
    summary,
)
from scripts.studies.common.study import Effort, Finding, Study, number, spread

OURS = "`mlp`, `swap`"


def run(effort: Effort) -> Finding:
    """Make the published run and ours."""
    presets = {SETTINGS: PRESETS["source"]["swap"]}
    found = follow(effort, presets, strategy="swap", n_watched=500)
    theirs, best = found[SETTINGS], found[BEST]
    starts, ends = [t.mae[0] for t in theirs], [t.mae[-1] for t in theirs]
    is_better = all(end < start for start, end in zip(starts, ends, strict=True))
    holds = is_better and min(ends) > AIM
    end = theirs[0].spent[-1]
    changes = spread([t.change[-1] for t in theirs])
    return Finding(
        "yes" if holds else "no",
        f"The mean error on the grid falls from {spread(starts)} after the start to {spread(ends)} "
        f"after {number(end)} evaluations; the aim was {number(AIM)}. {BEST} "
        f"has {spread([t.mae[-1] for t in best])} after {number(best[0].spent[-1])}.",
        [
            summary(found, ("1,500", "above 1e-06", "-", "-", "-")),
            progress(
                theirs,
                [600, 750, 1000, end],
                ERROR_AND_CHANGE,
            ),
        ],
        picture(
            found,
            of_source(ERROR_AND_CHANGE),
            ("aim of the source", AIM),
        ),
        "A round pays for one point and trains 50 steps: 50,000 after the 30,000 of the start, so "
        "a part of the gain is training, not points. The softmax has no temperature, and a signal "
        f"of {changes} (the mean in the last round) makes all candidates almost equally likely: "
        "the points are almost uniform.\n\n"
        f"{OURS} is the same strategy by default, which lets no point go and takes the softmax of "
        "the signal in units of its spread, with batches of 20.",
    )


STUDY = Study(
    title="The peak function, by exchanging points",
    claim="A network of two layers of 30 units goes on improving while one point a round enters "
    "its training set and another leaves, but it stays above a mean error of 1e-6.",
    run=run,
)
