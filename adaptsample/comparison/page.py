"""A comparison as a folder: a Markdown page, its tables as CSV and LaTeX, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from adaptsample.comparison.animation import animate_run
from adaptsample.comparison.curves import Measure
from adaptsample.comparison.rival_plots import plot_curves, plot_points, plot_profiles, plot_ranks
from adaptsample.comparison.statistics import Comparison
from adaptsample.comparison.summaries import by_oracle, overview
from adaptsample.comparison.tables import Table
from adaptsample.ledger import Recorded, read
from adaptsample.provenance import commit, versions

_EXPLAINED = """\
Errors are {measure} against exact values on the reference set; means are geometric, over seeds and
then over oracles; pairs have the same seed, and began with the same points. Intervals hold 95 %
(bootstrap; Wilson's for shares; by ranks for evaluations, where runs that never arrive are
censored). Wins and losses are Wilcoxon's signed-rank tests at 5 % after Holm's correction over
the oracles: with fewer than six seeds there can be none.
"""


@final
@dataclass(frozen=True)
class Written:
    """What is in a folder.

    Args:
        folder: which.
        tables: over all oracles, and by oracle.
        pictures: their paths.
        notes: what was left out, or is not fair.
    """

    folder: Path
    tables: tuple[Table, ...]
    pictures: tuple[Path, ...]
    notes: tuple[str, ...]


def write_comparison(
    comparison: Comparison,
    folder: Path,
    *,
    command: str,
    baseline: str,
    measure: Measure = "mae",
    target: float | None = None,
    left_out: Sequence[str] = (),
    animated: bool = False,
) -> Written:
    """Write a comparison of runs that were read from run files.

    Args:
        comparison: of all runs.
        folder: is made if it is not there.
        command: what makes it, for the page.
        baseline: the strategy that others are measured against, with the same surrogate.
        measure: which error the curves have.
        target: an error to count evaluations to; by default the baseline's at the end.
        left_out: runs that are not in it, and why.
        animated: draw a GIF of each rival's first run, too.

    Raises:
        ValueError: nobody uses the baseline.
    """
    tables = {
        "overview": overview(comparison, baseline=baseline),
        "by-oracle": by_oracle(comparison, baseline=baseline, target=target),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        (folder / f"{name}.csv").write_text(table.csv())
        (folder / f"{name}.tex").write_text(table.latex())
    notes = (*comparison.unfair, *(f"left out: {text}" for text in left_out))
    made_by = f"{', '.join(f'{k} {v}' for k, v in versions().items())}; commit {commit()}"
    pictures = _pictures(comparison, folder, measure=measure, animated=animated)
    parts = [f"# Comparison\n\n```sh\n{command}\n```\n", _EXPLAINED.format(measure=measure)]
    parts += [table.markdown() for table in tables.values()]
    parts += ["".join(f"- {note}\n" for note in (*notes, made_by))]
    parts += [f"![{path.stem}]({path.name})\n" for path in pictures]
    (folder / "README.md").write_text("\n".join(parts))
    return Written(folder, tuple(tables.values()), tuple(pictures), notes)


def _pictures(
    comparison: Comparison, folder: Path, *, measure: Measure, animated: bool
) -> list[Path]:
    """Draw all pictures and return their paths."""
    made = [folder / "curves.png", folder / "profiles.png"]
    plot_curves(
        comparison,
        made[0],
        error="grid max error" if measure == "max" else f"grid {measure.upper()}",
    )
    plot_profiles(comparison, made[1])
    if len(comparison.rivals) > 2 and comparison.shared:
        made.append(folder / "ranks.png")
        plot_ranks(comparison, made[-1])
    for oracle in comparison.oracles:
        seed = min(comparison.seeds(oracle))
        records = _records(comparison, oracle, seed)
        if not records:
            continue
        made.append(folder / f"points-{oracle}.png")
        plot_points(records, made[-1], title=f"{oracle}, seed {seed}")
        for rival, recorded in records.items() if animated else ():
            made.append(folder / f"run-{oracle}-{rival}.gif")
            animate_run(recorded, made[-1], title=f"{oracle}, {rival}")
    return made


def _records(comparison: Comparison, oracle: str, seed: int) -> dict[str, Recorded]:
    """Return each rival's run on an oracle with a seed."""
    curves = [c for r in comparison.rivals for c in comparison.of(oracle, r) if c.seed == seed]
    return {c.rival: read(c.path) for c in curves if c.path is not None}
