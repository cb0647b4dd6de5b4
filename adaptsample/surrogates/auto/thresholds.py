"""What the search of the automatic surrogate goes by, in one place; nobody sets it.

Errors are cross-validated mean absolute errors in units of the output's spread.
"""

from typing import Final

# When to stop, and when to begin again

SOLVED: Final = 1e-9
"""An error below this ends the search: hardly anybody needs less. Ratios of errors take no notice
of smaller ones."""

GROWTH: Final = 2.0
"""The search is repeated when there are so many times the points, which may tell more apart."""

SURPRISE: Final = 3.0
"""It is repeated, too, when the error of what it found has grown so much: that was luck."""

GROWN: Final = 1.1
"""It is enough that it has grown so much where new points were a surprise."""

FORETOLD: Final = 1.5
"""They were where what was foretold of them errs so many times more than was expected."""

MAX_CONTINUED: Final = 4
"""Members of the committee before that are refitted; those behind them seldom become the best."""

SIGN: Final = 2.0
"""A dear member is not tried where its signs are so many times worse than the best; between two
searches neither are members that were at the last nor, in many variables, transforms."""

SCOUTED: Final = 1.0
"""A member is drafted where the error that its scout finds is at most so many times the best."""

HOPED: Final = 1.5
"""Where an error that is known to be too small is so many times the best, nobody asks for the true
one: it could not be near the best."""

FEW_VARIABLES: Final = 3
"""With more variables jumps and bold members take a thorough effort, because so many parameters
seldom find enough points, and between two searches less is tried."""

MANY_POINTS: Final = 50
"""From so many points a variable on, whole searches leave nothing out because it seems far behind:
several creases are found that no sign foretold, and a fit costs little beside so many points."""

# What is fitted for longer

PROMISE: Final = 5.0
"""A draft so many times better than all before it is fitted for longer at once: it may solve."""

SAME_NETWORK: Final = 3.0
"""A network that was trained on takes the place of its draft, if it does not seem so many times
worse."""

N_DEEPENED: Final = 2
"""Drafts of a member that are fitted for longer: the best transform may be the second."""

N_DEEPENED_BOLD: Final = 1
"""Drafts of a bold member that are, for it is slow."""

# What an error is worth

N_FOLDS: Final = 5
"""Parts in which the data are cut for cross-validation."""

WORST: Final = 10.0
"""The error of a single point counts for at most so many spreads: one pole is no reason to drop a
member that is right everywhere else."""

CROWDED: Final = 0.5
"""Parameters per point from which on held-out errors look too small: they chose the basis."""

CROWDING: Final = 4.0
"""How steeply errors become dearer from there on: threefold where nothing is left over."""

BOLD_FACTOR: Final = 2.0
"""How much dearer errors of bold members are: of many creases some fit by chance."""

FREE_FACTOR: Final = 1.5
"""How much dearer errors of others without a prior are, where the points that were then held out
took part in the search."""

# Noise

NOISY: Final = 0.5
"""Errors are taken for noise where noise is at least this share of them, and they of the noise."""

# Trials: fits to a part of the data, made afresh, must predict the rest

N_TRIALS: Final = 2
"""Of the parts, how many a trial predicts."""

TRIAL_FACTOR: Final = 1.5
"""How much better than the others a bold member must be in its trial; else it was luck."""

RIVAL_FACTOR: Final = 1.5
"""Members whose error is within this factor of a jump's are tried against it: a steep slope looks
as good as a jump where points beside it are held out."""

FAR: Final = 10.0
"""How much better than a jump a member must seem to need no trial: none is so good by chance."""

# Who predicts

COMMITTEE_FACTOR: Final = 1.3
"""Candidates whose error is within this factor of the best are not told apart by cross-validation:
all of them form the committee."""

MAX_COMMITTEE: Final = 8
"""How many of them at most: prediction costs as much as all of them."""
