"""Run strategies beside one another on the same oracles, seeds and first points, and compare them.

Random and Sobol points are always among them. Statistics are of run files only, so that runs which
were made elsewhere can be put beside one's own with --from.
"""

import argparse
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final, get_args

from adaptsample.cli.command import Command
from adaptsample.cli.oracle_options import add_bound, make_formula
from adaptsample.cli.settings import OF_RUN, add_settings, given_settings
from adaptsample.comparison.measures import Measure
from adaptsample.comparison.plots.formats import Format, check_format
from adaptsample.evaluation.executors import Kind
from adaptsample.loop.specification import Specification

if TYPE_CHECKING:
    from adaptsample.acquisition import Strategy
    from adaptsample.experiments.experiment import Experiment
    from adaptsample.oracles import Oracle

ALWAYS = ("random", "sobol")
RECORD_EVERY = 2
"""Between two measurements strategies that need no model are not fitted."""

_SETTINGS = tuple(name for name in OF_RUN if name != "seed")
_OF_RUNS = (
    *("oracle", "expr", "bound", "strategy", "surrogate", "seeds"),
    *("budget", *_SETTINGS, "scheduler", "quick"),
)

EXAMPLES = """\
examples:
  %(prog)s --oracle peak --oracle franke --strategy topk --seeds 10 --budget 200
      three strategies (random and sobol take part unasked), two problems, ten seeds each
  %(prog)s --strategy integrated_variance --strategy lcmd --surrogate mlp --surrogate auto
      on the peak function, with two surrogates
  %(prog)s --strategy topk --expr "exp(x)*Abs(sin(3*x)-y)" --bound x=0:1 --bound y=0:1
      on a formula of your own
  %(prog)s --strategy topk --executor dask --scheduler tcp://host:8786
      on a cluster: each run is a task of its own
  %(prog)s --from results --from colleague/results --out both
      runs that are there already, anyone's; nothing is run. The same run in both counts once,
      runs of one name that are not of one thing are numbered and told
  %(prog)s --quick
      a small comparison, to see what comes out

Each run is recorded in OUT/<oracle>/<surrogate>-<strategy>/seed-000.jsonl, as by `adaptsample run`.
A finished run is not paid again, an interrupted one goes on: repeat the command. Tables (Markdown,
CSV, LaTeX) and pictures are written to OUT/comparison/.
"""


@final
@dataclass(frozen=True)
class Plan:
    """What is to be run and compared, from the options."""

    experiments: tuple["Experiment", ...]
    sources: tuple[Path, ...]
    baseline: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a comparison."""
    what = parser.add_argument_group("what is compared")
    what.add_argument(
        "--oracle", action="append", default=[], help="a named problem; repeatable (default: peak)"
    )
    what.add_argument("--expr", help="a formula in the variables that --bound declares")
    add_bound(what, of=" of --expr")
    what.add_argument(
        "--strategy", action="append", default=[], help="who proposes; repeatable (default: topk)"
    )
    what.add_argument(
        "--surrogate", action="append", default=[], help="what is fitted; repeatable (default: mlp)"
    )
    what.add_argument("--seeds", type=int, help="runs of each, with seeds 0, 1, ... (default: 10)")
    what.add_argument(
        "--from",
        dest="sources",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="compare the runs below this folder; repeatable. Nothing is run",
    )
    how = parser.add_argument_group("how each is run")
    how.add_argument("--budget", type=float, help="evaluations, all charged (default: 200)")
    add_settings(
        how,
        *_SETTINGS,
        defaults={"batch_size": "a sixth of the budget", "record_every": f"{RECORD_EVERY}"},
    )
    how.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at a time")
    how.add_argument(
        "--executor", choices=get_args(Kind), default="processes", help="what the workers are"
    )
    how.add_argument("--scheduler", metavar="ADDRESS", help="of a running Dask cluster")
    result = parser.add_argument_group("results")
    result.add_argument("--out", type=Path, default=Path("results"), help="folder of all results")
    result.add_argument(
        "--baseline", default="random", help="strategy that others are measured against"
    )
    result.add_argument(
        "--error", choices=get_args(Measure), default="mae", help="which grid error (default: mae)"
    )
    result.add_argument(
        "--at",
        type=float,
        metavar="EVALUATIONS",
        help="compare errors at so many (default: the most that more than half of the runs reach)",
    )
    result.add_argument("--target", type=float, help="an error to count evaluations to")
    result.add_argument(
        "--animate",
        nargs="?",
        const="gif",
        choices=get_args(Format),
        help="draw each rival's first run as a moving picture (default: gif; mp4 needs ffmpeg)",
    )
    result.add_argument(
        "--quick", action="store_true", help="2 seeds, 30 evaluations, the surrogate polynomial"
    )


def work(options: argparse.Namespace) -> int:
    """Run what is due, and compare."""
    plan = _plan(options)
    n_failed = _run(plan, options)
    _report(plan, options)
    return 1 if n_failed else 0


def _check(options: argparse.Namespace) -> None:
    """Refuse options that mean nothing, or nothing together."""
    for name in ("budget", "target", "at"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"--{name} must be a positive number, got {value:g}")
    if options.animate:
        check_format(options.animate)
    if options.sources:
        for folder in options.sources:
            if not folder.is_dir():
                raise ValueError(f"--from {folder} is no folder")
        for name in _OF_RUNS:
            if getattr(options, name):
                option = name.replace("_", "-")
                raise ValueError(f"--{option} is for runs, and with --from nothing is run")


def _plan(options: argparse.Namespace) -> Plan:
    from adaptsample.experiments.experiment import Experiment
    from adaptsample.registry import make_strategy, make_surrogate

    _check(options)
    if options.sources:
        return Plan((), tuple(options.sources), options.baseline)
    seeds = options.seeds if options.seeds is not None else 2 if options.quick else 10
    budget = options.budget if options.budget is not None else 30.0 if options.quick else 200.0
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}")
    settings = {
        "batch_size": max(1, int(budget / 6)),
        "record_every": RECORD_EVERY,
        **given_settings(options),
    }
    named = options.surrogate or (["polynomial"] if options.quick else ["mlp"])
    surrogates = {text: make_surrogate(text) for text in named}
    strategies: dict[str, Strategy[Any]] = {}
    for text in [*ALWAYS, *(options.strategy or ["topk"])]:
        strategy = make_strategy(text)
        if strategy not in strategies.values():  # "topk" and "topk()" are one
            strategies[text] = strategy
    wanted = make_strategy(options.baseline)
    same = [text for text, s in strategies.items() if text == options.baseline or s == wanted]
    if not same:
        raise ValueError(
            f"no run will use the strategy {options.baseline!r}, the baseline; "
            f"give --strategy {options.baseline} too"
        )
    experiments = tuple(
        Experiment(
            Specification(
                oracle,
                surrogate=surrogates[surrogate],
                strategy=strategies[strategy],
                seed=seed,
                **settings,
            ),
            labels=(label, surrogate, strategy),
            budget=budget,
        )
        for seed in range(seeds)
        for label, oracle in _oracles(options)
        for surrogate in surrogates
        for strategy in strategies
    )
    return Plan(experiments, (), same[0])


def _oracles(options: argparse.Namespace) -> list[tuple[str, "Oracle"]]:
    from adaptsample.oracles.problems import problem

    if options.bound and not options.expr:
        raise ValueError("--bound goes with --expr, and there is none")
    named: list[tuple[str, Oracle]] = [
        (name, problem(name)) for name in dict.fromkeys(options.oracle)
    ]
    if options.expr:
        oracle, label = make_formula(options)
        named.append((label, oracle))
    return named or [("peak", problem("peak"))]


def _run(plan: Plan, options: argparse.Namespace) -> int:
    """Run what is due, and return how many runs failed."""
    from adaptsample.cli.progress import Board
    from adaptsample.evaluation.executors import open_executor
    from adaptsample.experiments.campaign import run_all

    n_failed = 0
    places = open_executor(options.executor, options.workers, scheduler=options.scheduler)
    if not plan.experiments:
        return 0
    with places as executor, Board(plan.experiments, measure=options.error) as board:
        for outcome in run_all(plan.experiments, options.out, executor=executor):
            board.add(outcome)
            if outcome.failure:
                n_failed += 1
                path = outcome.experiment.run_file(options.out)
                print(f"{path} failed: {outcome.failure}", file=sys.stderr)
    return n_failed


def _report(plan: Plan, options: argparse.Namespace) -> None:
    """Print the tables, and write them and the pictures."""
    from rich.console import Console

    from adaptsample.comparison.curves import read_curves
    from adaptsample.comparison.merging import comparable
    from adaptsample.comparison.page import write_comparison
    from adaptsample.comparison.repeat import strategy_names
    from adaptsample.comparison.statistics import Comparison

    files = [e.run_file(options.out) for e in plan.experiments]
    found, left_out = read_curves(
        plan.sources or [file for file in files if file.exists()], measure=options.error
    )
    curves, notes = comparable(found)
    written = write_comparison(
        Comparison(tuple(curves), at=options.at),
        options.out / "comparison",
        command=options.command_line,
        baseline=strategy_names(plan.baseline),
        measure=options.error,
        target=options.target,
        notes=[*notes, *(f"left out: {text}" for text in left_out)],
        animated=options.animate,
    )
    console = Console() if sys.stdout.isatty() else Console(width=240)
    for table in written.tables:
        console.print(table.rich(), "")
    for note in written.notes:
        print(f"note: {note}", file=sys.stderr)
    n_pictures = len(written.pictures)
    print(f"written to {written.folder}/: README.md, tables (.csv, .tex) and {n_pictures} pictures")


COMMAND = Command(
    about=__doc__,
    add_options=add_options,
    work=work,
    examples=EXAMPLES,
    interrupted="interrupted; repeat the command to continue",
)
