"""Run strategies beside one another on the same oracles, seeds and first points, and compare them.

Random and Sobol points are always among them. Statistics are of run files only, so that runs which
were made elsewhere can be put beside one's own with --from.
"""

import argparse
import math
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final, get_args

from rich.console import Console

from adaptsample.acquisition.strategy import Strategy
from adaptsample.cli.board import Board
from adaptsample.comparison.curves import Measure, read_curves
from adaptsample.comparison.merging import comparable
from adaptsample.comparison.page import write_comparison
from adaptsample.comparison.plots.animation import Format, check_format
from adaptsample.comparison.repeat import strategy_names
from adaptsample.comparison.statistics import Comparison
from adaptsample.core.domain import parse_bounds
from adaptsample.evaluation.executors import Kind, open_executor
from adaptsample.experiments.campaign import run_all
from adaptsample.experiments.experiment import Experiment
from adaptsample.loop.specification import Specification
from adaptsample.oracles import ExpressionOracle, Oracle
from adaptsample.oracles.problems import problem
from adaptsample.registry import make_strategy, make_surrogate

ALWAYS = ("random", "sobol")
_OF_RUNS = (
    *("oracle", "expr", "bound", "strategy", "surrogate", "seeds"),
    *("budget", "n_initial", "batch_size", "scheduler", "quick"),
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

Each run is recorded in OUT/<oracle>/<surrogate>-<strategy>/seed-000.jsonl, as by run_strategy.py. A
finished run is not paid again, an interrupted one goes on: repeat the command. Tables (Markdown,
CSV, LaTeX) and pictures are written to OUT/comparison/.

exit status: 0 done, 1 some runs failed, 2 wrong use, 130 interrupted (repeat the command)
"""


@final
@dataclass(frozen=True)
class Plan:
    """What is to be run and compared, from the options."""

    experiments: tuple[Experiment, ...]
    sources: tuple[Path, ...]
    baseline: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options = parser.parse_args(given)
    try:
        plan = _plan(options)
        n_failed = _run(plan, options)
        _report(
            plan, options, command=shlex.join(["python", "scripts/compare_strategies.py", *given])
        )
    except ValueError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    except KeyboardInterrupt:
        print("interrupted; repeat the command to continue", file=sys.stderr)
        return 130
    return 1 if n_failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="compare_strategies.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is compared")
    what.add_argument(
        "--oracle", action="append", default=[], help="a named problem; repeatable (default: peak)"
    )
    what.add_argument("--expr", help="a formula in the variables that --bound declares")
    what.add_argument(
        "--bound",
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="a variable of --expr and its range; repeat it for each, in order",
    )
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
    how.add_argument("--n-initial", type=int, help="evaluations of the initial design")
    how.add_argument(
        "--batch-size",
        type=int,
        help="points proposed in a round (default: a sixth of the budget)",
    )
    how.add_argument(
        "--record-every",
        type=int,
        default=2,
        metavar="ROUNDS",
        help="between two error measures; strategies that need no model are not fitted in between "
        "(default: 2)",
    )
    how.add_argument("--gradient-cost", type=float, default=1.0, help="in evaluations (default: 1)")
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
    return parser


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
    _check(options)
    if options.sources:
        return Plan((), tuple(options.sources), options.baseline)
    seeds = options.seeds if options.seeds is not None else 2 if options.quick else 10
    budget = options.budget if options.budget is not None else 30.0 if options.quick else 200.0
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}")
    batch_size = max(1, int(budget / 6)) if options.batch_size is None else options.batch_size
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
                n_initial=options.n_initial,
                batch_size=batch_size,
                gradient_cost=options.gradient_cost,
                record_every=options.record_every,
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


def _oracles(options: argparse.Namespace) -> list[tuple[str, Oracle]]:
    if options.bound and not options.expr:
        raise ValueError("--bound goes with --expr, and there is none")
    named: list[tuple[str, Oracle]] = [
        (name, problem(name)) for name in dict.fromkeys(options.oracle)
    ]
    if options.expr:
        bounds = parse_bounds(options.bound)
        oracle = ExpressionOracle(options.expr, bounds=bounds)
        named.append((f"expr {options.expr} {bounds}", oracle))
    return named or [("peak", problem("peak"))]


def _run(plan: Plan, options: argparse.Namespace) -> int:
    """Run what is due, and return how many runs failed."""
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


def _report(plan: Plan, options: argparse.Namespace, *, command: str) -> None:
    """Print the tables, and write them and the pictures."""
    files = [e.run_file(options.out) for e in plan.experiments]
    found, left_out = read_curves(
        plan.sources or [file for file in files if file.exists()], measure=options.error
    )
    curves, notes = comparable(found)
    written = write_comparison(
        Comparison(tuple(curves), at=options.at),
        options.out / "comparison",
        command=command,
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


if __name__ == "__main__":
    sys.exit(main())
