"""The peak function from the points where the last round changed the network most."""

from statistics import median

from adaptsample.experiments.presets import PRESETS
from scripts.studies.common.peak import (
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

REPORTED = 0.0013
OURS = "`mlp`, `topk`"


def run(effort: Effort) -> Finding:
    """Make the published run and ours, and put the change of the model beside the error."""
    presets = {SETTINGS: PRESETS["source"]["topk"]}
    found = follow(effort, presets, strategy="topk", n_watched=12_000)
    theirs, ours, best = found[SETTINGS], found[OURS], found[BEST]
    errors, changes = [t.mae[-1] for t in theirs], [t.change[-1] for t in theirs]
    end = theirs[0].spent[-1]
    return Finding(
        "yes" if median(errors) <= REPORTED else "no",
        f"{REPORTED} is not an error. It is the mean change of the model in a round, at the "
        f"candidates, which ends at {spread(changes)} here, while the mean error on the grid ends "
        f"at {spread(errors)} after {number(end)} evaluations, "
        f"{number(median(errors) / REPORTED)} times the figure. {BEST} has "
        f"{spread([t.mae[-1] for t in best])} after {number(best[0].spent[-1])}.",
        [
            summary(found, ("3,000", f"{REPORTED}", "-", f"{REPORTED} (the same figure)", "-")),
            progress(
                theirs,
                [750, 1000, 1500, end],
                ERROR_AND_CHANGE,
            ),
        ],
        picture(
            found,
            of_source(ERROR_AND_CHANGE),
            ("reported as mean error", REPORTED),
        ),
        "The model-change is the mean of |model before the round - model after it| at 12,000 fresh "
        "candidates. It says how far 50 steps of Adam moved the network, and it would be small for "
        "a network that had stopped learning anything. It costs no evaluations, which makes it "
        "good for choosing points; how large the error is it does not tell.\n\n"
        f"{OURS} is the same strategy by default, which lets no point go and has fewer candidates, "
        f"with batches of 20: {spread([t.mae[-1] for t in ours])} after "
        f"{number(ours[0].spent[-1])} evaluations. `auto` tries the reciprocal, which here is a "
        "constant plus the absolute value of a polynomial, and finds the function itself.",
    )


STUDY = Study(
    title="The peak function, by the largest model-change",
    claim="A network of two layers of 30 units, which asks the five points where the last round "
    "changed it most, learns the peak function to a mean error of 0.0013.",
    run=run,
)
