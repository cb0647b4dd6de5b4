"""A comparison as a folder: a Markdown page, its tables as CSV and LaTeX, pictures."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from adaptsample.comparison.caveats import doubts
from adaptsample.comparison.measures import ERROR_NAMES, Measure
from adaptsample.comparison.plots.animation import animate_run
from adaptsample.comparison.plots.formats import Format
from adaptsample.comparison.plots.rivals import plot_curves, plot_points, plot_profiles, plot_ranks
from adaptsample.comparison.statistics import Comparison
from adaptsample.comparison.summaries import (
    by_oracle,
    by_oracle_table,
    numbers,
    overall,
    overall_table,
)
from adaptsample.comparison.tables import Table
from adaptsample.core.provenance import commit, versions
from adaptsample.core.text import file_name
from adaptsample.record.run_file import Recorded, read

_EXPLAINED = """\
Errors are {measure} against exact values on the reference set, at equal evaluations; those below
1e-13 of the values are rounding, and count as that. Means are geometric, over seeds and then over
oracles; pairs have the same seed, and began with the same points. Intervals hold 95 % (bootstrap,
with fewer than ten seeds Student's; Wilson's for shares; by ranks for evaluations, where runs that
never arrive are censored). Wins and losses are Wilcoxon's signed-rank tests, at {alpha:g} % for all
oracles of a rival together (Holm): with fewer than {least_seeds} seeds there can be none, and among
many rivals that are all alike one in twenty has some.
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
    baseline: Collection[str],
    measure: Measure = "mae",
    target: float | None = None,
    notes: Sequence[str] = (),
    animated: Format | None = None,
) -> Written:
    """Write a comparison of runs that were read from run files.

    Args:
        comparison: of all runs.
        folder: is made if it is not there.
        command: what makes it, for the page.
        baseline: what the strategy may be called that others are measured against, with the same
            surrogate; the first is how people call it.
        measure: which error the curves have.
        target: an error to count evaluations to; by default the baseline's at the end.
        notes: what is to be known of the runs beside what `doubts` finds.
        animated: draw each rival's first run as a moving picture, too.

    Raises:
        ValueError: nobody uses the baseline.
    """
    called = next(iter(baseline))
    overview = overall(comparison, baseline=baseline)
    standings = by_oracle(comparison, baseline=baseline, target=target)
    tables = {
        "overview": overall_table(overview, baseline=called),
        "by-oracle": by_oracle_table(standings, baseline=called, target=target),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "overview.csv").write_text(numbers(overview).csv())
    (folder / "by-oracle.csv").write_text(numbers(standings).csv())
    for name, table in tables.items():
        (folder / f"{name}.tex").write_text(table.latex())
    notes = (*doubts(comparison), *notes)
    made_by = f"{', '.join(f'{k} {v}' for k, v in versions().items())}; commit {commit()}"
    pictures = _pictures(comparison, folder, measure=measure, animated=animated)
    explained = _EXPLAINED.format(
        measure=measure.upper(), alpha=100 * comparison.alpha, least_seeds=comparison.least_seeds
    )
    parts = [f"# Comparison\n\n```sh\n{command}\n```\n", explained]
    parts += [table.markdown() for table in tables.values()]
    parts += ["".join(f"- {note}\n" for note in (*notes, made_by))]
    parts += [f"![{path.stem}]({path.name})\n" for path in pictures]
    (folder / "README.md").write_text("\n".join(parts))
    return Written(folder, tuple(tables.values()), tuple(pictures), notes)


def _pictures(
    comparison: Comparison, folder: Path, *, measure: Measure, animated: Format | None
) -> list[Path]:
    """Draw all pictures and return their paths."""
    made = [folder / "curves.png"]
    plot_curves(comparison, made[0], error=ERROR_NAMES[measure])
    if comparison.tried:
        made.append(folder / "profiles.png")
        plot_profiles(comparison, made[-1])
    if len(comparison.rivals) > 2 and len(comparison.shared) > 2:
        made.append(folder / "ranks.png")
        plot_ranks(comparison, made[-1])
    for oracle in comparison.oracles:
        records = _records(comparison, oracle)
        if not records:
            continue
        made.append(folder / f"points-{file_name(oracle)}.png")
        plot_points(records, made[-1], title=oracle)
        for called, recorded in records.items() if animated else ():
            made.append(folder / f"run-{file_name(oracle)}-{file_name(called)}.{animated}")
            animate_run(recorded, made[-1], title=f"{oracle}, {called}", measure=measure)
    return made


def _records(comparison: Comparison, oracle: str) -> dict[str, Recorded]:
    """Return each rival's first run on an oracle; names tell seeds that are not the first."""
    records: dict[str, Recorded] = {}
    first = min(comparison.seeds(oracle))
    for rival in comparison.rivals:
        curve = next(iter(comparison.of(oracle, rival)), None)
        if curve is not None and curve.path is not None:
            told = "" if curve.seed == first else f", seed {curve.seed}"
            records[f"{curve.rival}{told}"] = read(curve.path)
    return records
