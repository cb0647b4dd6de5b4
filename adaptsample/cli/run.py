"""Approximate one oracle with one strategy, and show what it spent and how wrong it still is."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from adaptsample.cli import catalogue
from adaptsample.cli.command import Command
from adaptsample.cli.oracle_options import add_oracle, make_oracle
from adaptsample.cli.settings import (
    OF_EVALUATION,
    OF_RUN,
    add_recipes,
    add_settings,
    given_settings,
)
from adaptsample.core.text import near
from adaptsample.evaluation.executors import Kind
from adaptsample.experiments.presets import PRESETS
from adaptsample.loop.specification import DEFAULTS, Specification

if TYPE_CHECKING:
    from adaptsample.experiments.experiment import Experiment
    from adaptsample.record.run_file import Recorded

EXAMPLES = """\
examples:
  %(prog)s --strategy topk
      the peak function with the defaults
  %(prog)s --strategy sobol --oracle runge --budget 40 --seed 3 --json
      another problem, one JSON object on stdout
  %(prog)s --strategy topk --expr "exp(x)*Abs(sin(3*x)-y)" --bound x=0:1 --bound y=0:1 --budget 60
      your own formula
  %(prog)s --strategy topk --command "python simulate.py" --bound x=0:1 --bound y=0:1 --budget 60
      your own simulator: it reads {"x": [0.1, 0.7], "names": ["x", "y"], "seed": 0} on its standard
      input, one JSON line, and the last line that it prints is {"y": 1.5}, or simply 1.5
  %(prog)s --strategy sobol --command "./simulate {x} {y} out.txt" --output-file out.txt \\
      --bound x=0:1 --bound y=0:1
      one that takes arguments and writes a file, run in a fresh folder each time
  %(prog)s --strategy topk --table data.csv --input age --input bmi --output charges \\
      --where smoker=no --budget 200
      the rows of a table, as if each of them had its price
  %(prog)s --strategy "topk(n_candidates=500, retirement=drop_lowest('change'))"
      a strategy with other hyper-parameters; --surrogate takes them too
  %(prog)s --strategy topk --preset source
      the published settings that the strategy comes from
  %(prog)s --strategy topk --workers 4 --asynchronous --timeout 600
      four evaluations at a time, none longer than ten minutes
  %(prog)s --strategy my_strategies.py:Mine
      a strategy of your own: a final class derived from adaptsample.Strategy

Everything is recorded in OUT/<oracle>/<surrogate>-<strategy>/seed-000.jsonl, with a picture beside
it and a table in OUT/<oracle>/table.md. A finished run is shown again, not paid again.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a run."""
    add_oracle(parser)
    how = parser.add_argument_group("how")
    add_recipes(how)
    how.add_argument("--preset", choices=sorted(PRESETS), help="published settings of the strategy")
    how.add_argument(
        "--budget",
        type=float,
        help="evaluations, the initial design included (default: 300)",
    )
    how.add_argument(
        "--tolerance",
        type=float,
        help="stop once enough new values were foretold to within this",
    )
    add_settings(how, *OF_RUN)
    how.add_argument("--device", default="cpu", help="where networks train: cpu or cuda")
    where = parser.add_argument_group("where evaluations run")
    where.add_argument("--workers", type=int, default=1, help="how many at a time (default: 1)")
    where.add_argument(
        "--executor",
        choices=get_args(Kind),
        default="processes",
        help="what the workers are (default: processes)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a running Dask cluster, as tcp://host:port; without, dask starts a local one",
    )
    add_settings(where, *OF_EVALUATION)
    result = parser.add_argument_group("results")
    result.add_argument("--out", type=Path, default=Path("results"), help="folder of all results")
    result.add_argument(
        "-v", "--verbose", action="store_true", help="show what an automatic surrogate tried"
    )
    result.add_argument("--json", action="store_true", help="print one JSON object")
    again = result.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue an unfinished run")
    again.add_argument("--overwrite", action="store_true", help="replace a run that is there")
    result.add_argument("--list", action="store_true", help="name oracles, surrogates, strategies")


def work(options: argparse.Namespace) -> int:
    """Make or find the run, and show it."""
    if options.list:
        return catalogue.COMMAND.work(options)
    from adaptsample.cli.display import print_choice, print_summary

    experiment = experiment_of(options)
    recorded, picture = _run(experiment, options)
    summary = experiment.summary(recorded)
    if options.verbose:
        print_choice(recorded)
    if options.json:
        print(json.dumps(summary))
    else:
        print_summary(summary, recorded, picture)
    return 0


def experiment_of(options: argparse.Namespace) -> "Experiment":
    """Return the run that the options state."""
    from adaptsample.experiments.experiment import Experiment
    from adaptsample.registry import make_strategy, make_surrogate
    from adaptsample.surrogates.mlp import MLP

    oracle, oracle_label = make_oracle(options)
    strategy, surrogate = options.strategy, options.surrogate or DEFAULTS["surrogate"]
    labels = (oracle_label, surrogate, strategy)
    budget, settings = 300.0, given_settings(options)
    if options.preset:
        presets = PRESETS[options.preset]
        if strategy not in presets:
            raise ValueError(
                f"preset {options.preset!r} has no strategy {strategy!r}; {near(strategy, presets)}"
            )
        preset = presets[strategy]
        budget, settings = preset.budget, {**preset.settings, **settings}
        labels = (oracle_label, options.surrogate or "mlp", f"{strategy}-{options.preset}")
        strategy, surrogate = preset.strategy, options.surrogate or preset.surrogate
    if options.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {options.workers}")
    if options.asynchronous and options.batch_size is None:
        settings["batch_size"] = options.workers
    recipe = make_surrogate(surrogate)
    if options.device != "cpu":
        if not isinstance(recipe, MLP):
            raise ValueError(f"--device {options.device} is for the surrogate mlp")
        recipe = replace(recipe, device=options.device)
    specification = Specification(
        oracle, surrogate=recipe, strategy=make_strategy(strategy), **settings
    )
    return Experiment(
        specification,
        labels,
        budget=budget if options.budget is None else options.budget,
        tolerance=options.tolerance,
    )


def _run(experiment: "Experiment", options: argparse.Namespace) -> tuple["Recorded", Path]:
    """Return the record of the run, made now or found, and its picture."""
    from adaptsample.cli.progress import ProgressBar
    from adaptsample.comparison.plots.run import plot_run
    from adaptsample.comparison.tables import rows, run_table
    from adaptsample.evaluation.executors import open_executor
    from adaptsample.record.run_file import read

    path = experiment.run_file(options.out)
    picture = path.with_suffix(".png")
    if not (options.resume or options.overwrite):
        recorded = _finished(experiment, options.out)
        if recorded is not None:
            print(f"shown from {path}; --overwrite repeats it", file=sys.stderr)
            return recorded, picture
    places = open_executor(options.executor, options.workers, scheduler=options.scheduler)
    with places as executor, ProgressBar(experiment.budget) as bar:
        run = experiment.run(
            options.out,
            existing="overwrite" if options.overwrite else "resume",
            executor=executor,
            observer=bar,
        )
    recorded = read(path)
    label, surrogate, strategy = experiment.labels
    title = f"{label}: {surrogate}, {strategy}, {run.n_evaluations:g} evaluations"
    if (oracle := experiment.specification.oracle) is not None:
        plot_run(run, oracle, picture, title=title)
    folder = path.parent.parent
    (folder / "table.md").write_text(run_table(rows(folder)).markdown())
    return recorded, picture


def _finished(experiment: "Experiment", out: Path) -> "Recorded | None":
    """Return the recorded run if it is there and finished, None if there is nothing.

    Raises:
        ValueError: the run file holds another run or an unfinished one; the message says how to go
            on.
    """
    path, found = experiment.run_file(out), experiment.found(out)
    if found is None or found.is_finished:
        return found and found.recorded
    if found.difference:
        raise ValueError(
            f"{path} holds another run: {found.difference}; "
            "--overwrite replaces it, --out chooses another folder"
        )
    end = found.recorded.end
    if end is None:
        spent = sum(record["price"] for record in found.recorded.evaluations)
        raise ValueError(
            f"{path} holds an unfinished run ({spent:g} evaluations paid); "
            "--resume continues it, --overwrite replaces it"
        )
    raise ValueError(
        f"{path} holds a finished run of budget {end['budget']:g} and tolerance "
        f"{end.get('tolerance')}, not {experiment.budget:g} and {experiment.tolerance}; "
        "--resume extends it, --overwrite replaces it"
    )


COMMAND = Command(
    about=__doc__,
    add_options=add_options,
    work=work,
    examples=EXAMPLES,
    interrupted="interrupted; repeat the command with --resume to continue",
)
