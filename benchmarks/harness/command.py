"""The command line that benchmarks share: which jobs, how many at a time, where the page goes."""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from benchmarks.harness.jobs import Cell, Job, run_jobs


@final
@dataclass(frozen=True)
class Benchmark:
    """What is measured, and how it is told.

    Args:
        module: that is run; the last part of its name is that of the page and the cells.
        about: what --help says.
        jobs: all of them, from the number of seeds and whether to be quick.
        measure: measures a job; and one of the quick ones.
        page: Markdown of all cells, from the command and whether it is quick; at least one is good.
        seeds: how many by default; and of the quick ones.
        alone: see `run_jobs`.
    """

    module: str
    about: str | None
    jobs: Callable[[int, bool], list[Job]]
    measure: tuple[Callable[[Job], Cell], Callable[[Job], Cell]]
    page: Callable[[list[Cell], str, bool], str]
    seeds: tuple[int, int]
    alone: bool = False

    def main(self, arguments: Iterable[str] | None = None) -> None:
        """Parse, measure, write."""
        name = self.module.rpartition(".")[2]
        command = f"python -m {self.module}"
        parser = argparse.ArgumentParser(
            prog=command,
            description=self.about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add = parser.add_argument
        add("--seeds", type=int, help=f"how many (default: {self.seeds[0]})")
        add("--workers", type=int, default=1, help="processes side by side")
        add("--only", action="append", default=[], help="text that jobs must contain")
        add("--resume", action="store_true", help="keep the cells that are there")
        add("--quick", action="store_true", help="small sizes, to see that it works")
        add("--out", type=Path, help="folder of the page (default: results)")
        options = parser.parse_args(None if arguments is None else list(arguments))
        quick: bool = options.quick
        out = options.out or Path(tempfile.mkdtemp() if quick else "results")
        seeds = options.seeds or self.seeds[quick]
        wanted = self.jobs(seeds, quick)
        due = [job for job in wanted if all(text in str(job) for text in options.only)]
        # of the whole page, however many calls it took to make it
        command += f" --seeds {seeds}" * (seeds != self.seeds[quick]) + " --quick" * quick
        text, known = "", set(wanted)
        for cells in run_jobs(
            due,
            self.measure[quick],
            out / f"{name}.json",
            workers=options.workers,
            resume=options.resume,
            alone=self.alone and not quick,
        ):
            shown = [cell for cell in cells if Job.of(cell) in known]
            if any("failure" not in cell for cell in shown):
                text = self.page(shown, command, quick)
                if len(shown) < len(wanted):
                    text += f"\nUnfinished: {len(shown)} of {len(wanted)} runs. --resume goes on.\n"
                (out / f"{name}.md").write_text(text)
        print(text)
