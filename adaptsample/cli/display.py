"""How results of a run, and names, are shown on a terminal."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from adaptsample.record.run_file import Recorded

THOROUGH_PAYS = 10.0
"""Where evaluations took so many times as long as fits, a thorough search costs little."""


def print_summary(summary: dict[str, Any], recorded: "Recorded", picture: Path) -> None:
    """Print what a run came to, a line each."""
    errors, table = summary["errors"], recorded.path.parent.parent / "table.md"
    lines = {name: summary[name] for name in ("oracle", "surrogate", "strategy", "seed")}
    lines["evaluations"] = f"{summary['n_evaluations']:g}"
    if recorded.end is not None and recorded.end["status"] != "done":
        lines["evaluations"] += f" ({recorded.end['status']})"
    for key, name in (("mae", "grid MAE"), ("rmse", "grid RMSE"), ("max", "grid max error")):
        lines[name] = f"{errors[key]:.3e}" if errors else "unknown (no exact values)"
    lines["seconds"] = "  ".join(f"{k} {v:.1f}" for k, v in summary["seconds"].items())
    if advice := _advice(summary["seconds"], recorded):
        lines["left out"] = advice
    lines |= {"run file": summary["run_file"], "picture": picture, "table": table}
    for name, value in lines.items():
        print(f"{name:<16}{value}")


def _advice(seconds: dict[str, float], recorded: "Recorded") -> str:
    """Say what the last search left out, where it would have cost little; else nothing."""
    chosen = [record["choice"] for record in recorded.rounds if record.get("choice")]
    n = sum(map(len, chosen[-1].get("left_out", ()))) if chosen else 0
    times = seconds["evaluate"] / max(seconds["fit"], 1e-9)
    if n == 0 or times < THOROUGH_PAYS:
        return ""
    return (
        f"{n} fits (-v shows them); evaluations took {times:.0f} times as long as fits, so try "
        "--surrogate \"auto(effort='thorough')\""
    )


def print_choice(recorded: "Recorded") -> None:
    """Show on stderr what an automatic surrogate tried in its last search, best first."""
    chosen = [record for record in recorded.rounds if record.get("choice")]
    if not chosen:
        print("nothing was chosen: the surrogate is not an automatic one", file=sys.stderr)
        return
    last = ([record for record in chosen if _is_search(record)] or chosen)[-1]
    choice, title = last["choice"], f"last search, after {last['n_evaluations']:g} evaluations"
    table = Table("output", "member", "transform", "error", "parameters", box=None, title=title)
    for output, scores in enumerate(choice["tried"]):
        for score in sorted(scores, key=lambda score: float(score["error"])):
            error, size = f"{score['error']:.1e}", str(score["n_parameters"] or "-")
            table.add_row(str(output), score["name"], score["transform"], error, size)
    console = Console(stderr=True, soft_wrap=True)
    console.print(table)
    left = [(k, one) for k, all_ in enumerate(choice.get("left_out", ())) for one in all_]
    if left:
        table = Table("output", "member", "transform", "why", box=None, title="left out")
        for output, one in left:
            table.add_row(str(output), one["name"], one["transform"] or "-", one["reason"])
        console.print(table)


def _is_search(record: Mapping[str, Any]) -> bool:
    """Whether the whole portfolio was searched in a round, for any output."""
    choice = record["choice"]
    if "n_searched" in choice:
        return record["training_set"] in choice["n_searched"]
    return any(len(scores) > 1 for scores in choice["tried"])  # of an earlier version


def print_names(names: Iterable[tuple[str, str, str]]) -> None:
    """Print names, each with its kind and a line about it."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("kind")
    table.add_column("name")
    table.add_column("what it is", overflow="fold")
    for kind, name, summary in names:
        table.add_row(kind, name, summary)
    Console(soft_wrap=True).print(table)
