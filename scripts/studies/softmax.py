"""The peak function from ten points at a time, which are all that the network then sees."""

from dataclasses import replace
from statistics import median

from adaptsample.experiments.presets import PRESETS
from scripts.studies.common.peak import (
    AIM,
    BEST,
    SETTINGS,
    follow,
    mean_error,
    picture,
    progress,
    summary,
    training_loss,
)
from scripts.studies.common.study import Effort, Finding, Study, number, spread

ROUNDS = 100
WITH_GRADIENT = "the same, gradient in the loss"
OURS = "`mlp`, `softmax`"


def run(effort: Effort) -> Finding:
    """Make 100 rounds of the published run, without and with gradients, and ours."""
    values, slopes = PRESETS["source"]["softmax"], PRESETS["source"]["gradient"]
    presets = {
        SETTINGS: replace(values, budget=values.n_initial + ROUNDS * values.batch_size),
        # a gradient is charged as an evaluation
        WITH_GRADIENT: replace(slopes, budget=slopes.n_initial + 2 * ROUNDS * slopes.batch_size),
    }
    found = follow(effort, presets, strategy="softmax", n_watched=1000)
    theirs, best = found[SETTINGS], found[BEST]
    starts, ends = [t.mae[0] for t in theirs], [t.mae[-1] for t in theirs]
    losses, with_gradient = [t.loss[-1] for t in theirs], [t.mae[-1] for t in found[WITH_GRADIENT]]
    diverged = spread([t.n_diverged for t in found[WITH_GRADIENT]])
    end = theirs[0].spent[-1]
    return Finding(
        "yes" if median(ends) < median(starts) else "no",
        f"Trained on ten points at a time, it forgets the rest: the training loss ends at "
        f"{spread(losses)}, but the mean error on the grid goes from {spread(starts)} after the "
        f"first round to {spread(ends)} after {number(end)} evaluations, with gradients to "
        f"{spread(with_gradient)}, where training diverged in {diverged} rounds. {BEST} has "
        f"{spread([t.mae[-1] for t in best])} after {number(best[0].spent[-1])}.",
        [
            summary(found, ("10,500", "above 1e-06", "-", "-", "-")),
            progress(
                theirs,
                [theirs[0].spent[0], 600, 750, 1000, end],
                {"mean error on the grid": mean_error, "training loss": training_loss},
            ),
        ],
        picture(
            found,
            {
                "source: mean error on the grid": (SETTINGS, mean_error),
                "source: training loss": (SETTINGS, training_loss),
                "source with gradients: mean error": (WITH_GRADIENT, mean_error),
            },
            ("aim of the source", AIM),
        ),
        f"{ROUNDS} of the published 1,000 rounds were made. The source shows the training loss, "
        "which is that of the ten points of the round. A gradient is charged as one evaluation; "
        "the 500 points of the start have none, since no strategy asks them. With gradients, "
        f"training diverged in {diverged} of {ROUNDS} rounds: the slopes of this function reach "
        "some hundreds, and their squared errors make steps of 0.01 too long. The library then "
        "keeps the parameters from before, which have run away already and leave the figure at its "
        "top; a plain loop would go on with NaN.\n\n"
        f"{OURS} is the same strategy by default, which lets no point go, with batches of 20.",
    )


STUDY = Study(
    title="The peak function, ten points at a time",
    claim="A network that is trained a thousand steps on ten new points each round, drawn where "
    "the last round changed it most, comes nearer to the peak function.",
    run=run,
)
