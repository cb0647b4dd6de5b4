"""Approximate one oracle with one strategy, and show what it spent and how wrong it still is."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console
from rich.table import Table

from adaptsample.cli.progress import ProgressBar
from adaptsample.comparison.plots.run import plot_run
from adaptsample.comparison.tables import rows, run_table
from adaptsample.core.domain import Box, parse_bounds
from adaptsample.errors import RunFailedError
from adaptsample.evaluation.executors import Kind, open_executor
from adaptsample.experiments.experiment import Experiment
from adaptsample.experiments.presets import PRESETS
from adaptsample.loop.specification import Design, Specification
from adaptsample.oracles import CommandOracle, ExpressionOracle, Oracle, TableOracle
from adaptsample.oracles.problems import PROBLEMS, problem
from adaptsample.record.ledger import Recorded, read
from adaptsample.registry import make_strategy, make_surrogate, near, strategies, surrogates
from adaptsample.surrogates.mlp import MLP

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
      the settings of the experiment that the strategy comes from
  %(prog)s --strategy topk --workers 4 --asynchronous --timeout 600
      four evaluations at a time, none longer than ten minutes
  %(prog)s --strategy my_strategies.py:Mine
      a strategy of your own: a final class derived from adaptsample.Strategy

Everything is recorded in OUT/<oracle>/<surrogate>-<strategy>/seed-000.jsonl, with a picture beside
it and a table in OUT/<oracle>/table.md. A finished run is shown again, not paid again.

exit status: 0 done, 1 failed, 2 wrong use, 130 interrupted (continue with --resume)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        _print_list()
        return 0
    torch.set_num_threads(1)  # the matrices are small: more threads are slower
    try:
        experiment = _experiment(options)
        recorded, picture = _run(experiment, options)
    except ValueError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    except RunFailedError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; repeat the command with --resume to continue", file=sys.stderr)
        return 130
    summary = experiment.summary(recorded)
    if options.verbose:
        _print_choice(recorded)
    if options.json:
        print(json.dumps(summary))
    else:
        _print_summary(summary, recorded, picture)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_strategy.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is approximated")
    what.add_argument("--oracle", help="a named problem (default: peak)")
    what.add_argument("--expr", help="a formula in the variables that --bound declares")
    what.add_argument(
        "--bound",
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="a variable of --expr or --command and its range; repeat it for each, in order",
    )
    what.add_argument("--command", help="a program that is run for each point, without a shell")
    what.add_argument("--n-outputs", type=int, help="of --command (default: 1)")
    what.add_argument("--output-file", metavar="FILE", help="that --command writes its answer to")
    what.add_argument("--table", metavar="CSV", help="a file whose rows can be asked")
    for name in ("input", "output"):
        what.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="COLUMN",
            help=f"of --table; repeat it for each {name}",
        )
    what.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="only such rows of --table; repeat it for more conditions",
    )
    what.add_argument(
        "--skip-missing", action="store_true", help="leave out rows of --table that lack a number"
    )
    how = parser.add_argument_group("how")
    how.add_argument("--strategy", default="topk", help="who proposes points (default: topk)")
    how.add_argument("--surrogate", help="what is fitted (default: auto)")
    how.add_argument("--preset", choices=sorted(PRESETS), help="published settings of the strategy")
    how.add_argument("--budget", type=float, help="evaluations, the initial design included")
    how.add_argument(
        "--tolerance",
        type=float,
        help="stop once enough new values were foretold to within this",
    )
    how.add_argument("--n-initial", type=int, help="evaluations of the initial design")
    how.add_argument(
        "--design", choices=get_args(Design), help="of the initial points (default: sobol)"
    )
    how.add_argument("--batch-size", type=int, help="points proposed in a round")
    how.add_argument("--gradient-cost", type=float, default=1.0, help="in evaluations (default: 1)")
    how.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    how.add_argument(
        "--record-every", type=int, default=1, metavar="ROUNDS", help="between two error measures"
    )
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
    where.add_argument(
        "--asynchronous",
        action="store_true",
        help="ask for one new point as each result arrives, with --workers (or --batch-size) of "
        "them under way",
    )
    where.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="end an evaluation that takes longer, with all that it started",
    )
    where.add_argument(
        "--retries",
        type=int,
        default=0,
        help="how often a failed evaluation is tried again, at full price (default: 0)",
    )
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
    return parser


def _experiment(options: argparse.Namespace) -> Experiment:
    oracle, oracle_label = _oracle(options)
    strategy, surrogate = options.strategy, options.surrogate or "auto"
    labels = (oracle_label, surrogate, strategy)
    settings: dict[str, Any] = {
        "budget": 300.0,
        "n_initial": None,
        "batch_size": 10,
        "design": "sobol",
    }
    if options.preset:
        presets = PRESETS[options.preset]
        if strategy not in presets:
            raise ValueError(
                f"preset {options.preset!r} has no strategy {strategy!r}; {near(strategy, presets)}"
            )
        preset = presets[strategy]
        settings = {key: getattr(preset, key) for key in settings}
        strategy, surrogate = preset.strategy, options.surrogate or preset.surrogate
        labels = (oracle_label, options.surrogate or "mlp", f"{options.strategy}-{options.preset}")
    given = {key: getattr(options, key, None) for key in settings}
    settings |= {key: value for key, value in given.items() if value is not None}
    if options.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {options.workers}")
    if options.asynchronous and options.batch_size is None:
        settings["batch_size"] = options.workers
    recipe = make_surrogate(surrogate)
    if options.device != "cpu":
        if not isinstance(recipe, MLP):
            raise ValueError(f"--device {options.device} is for the surrogate mlp")
        recipe = replace(recipe, device=options.device)
    budget = settings.pop("budget")
    specification = Specification(
        oracle,
        surrogate=recipe,
        strategy=make_strategy(strategy),
        seed=options.seed,
        gradient_cost=options.gradient_cost,
        record_every=options.record_every,
        retries=options.retries,
        asynchronous=options.asynchronous,
        timeout=options.timeout,
        **settings,
    )
    return Experiment(specification, labels, budget, options.tolerance)


def _oracle(options: argparse.Namespace) -> tuple[Oracle, str]:
    """Return what the options name, and its label."""
    given = [name for name in ("oracle", "expr", "command", "table") if getattr(options, name)]
    if len(given) > 1:
        raise ValueError(f"give --{given[0]} or --{given[1]}, not both")
    kind = given[0] if given else "oracle"
    needs = {"bound": ("expr", "command"), "input": ("table",), "output": ("table",)}
    needs |= dict.fromkeys(("where", "skip_missing"), ("table",))
    needs |= dict.fromkeys(("n_outputs", "output_file"), ("command",))
    for name, kinds in needs.items():
        if getattr(options, name) and kind not in kinds:
            wanted = " or ".join(f"--{kind}" for kind in kinds)
            raise ValueError(f"--{name.replace('_', '-')} goes with {wanted}, and there is none")
    if kind == "expr":
        bounds = _bounds(options)
        return ExpressionOracle(options.expr, bounds=bounds), f"expr {options.expr} {bounds}"
    if kind == "command":
        return _command(options)
    if kind == "table":
        return _table(options)
    name = options.oracle or "peak"
    return problem(name), name


def _command(options: argparse.Namespace) -> tuple[Oracle, str]:
    bounds = _bounds(options)
    oracle = CommandOracle(
        options.command,
        Box(bounds),
        n_outputs=1 if options.n_outputs is None else options.n_outputs,
        output_file=options.output_file,
        seed=options.seed,
    )
    return oracle, f"command {options.command} {bounds}"


def _table(options: argparse.Namespace) -> tuple[Oracle, str]:
    where = dict(map(_condition, options.where))
    oracle = TableOracle.from_csv(
        options.table,
        inputs=options.input,
        outputs=options.output,
        where=where,
        missing="skip" if options.skip_missing else "refuse",
    )
    if oracle.n_skipped:
        print(f"{oracle.n_skipped} rows lack a number and are left out", file=sys.stderr)
    columns = f"{' '.join(options.output)} of {' '.join(options.input)}"
    return oracle, f"table {Path(options.table).stem} {columns} {where or ''}".strip()


def _condition(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--where {text!r} must read COLUMN=VALUE, as in smoker=no")
    return column.strip(), value.strip()


def _bounds(options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    if not options.bound:
        kind = "expr" if options.expr else "command"
        raise ValueError(f"--{kind} needs a --bound NAME=LOW:HIGH for each of its variables")
    return parse_bounds(options.bound)


def _run(experiment: Experiment, options: argparse.Namespace) -> tuple[Recorded, Path]:
    """Return the record of the run, made now or found, and its picture."""
    path = experiment.run_file(options.out)
    picture = path.with_suffix(".png")
    if not (options.resume or options.overwrite):
        recorded = experiment.finished(options.out)
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
    oracle, surrogate, strategy = experiment.labels
    title = f"{oracle}: {surrogate}, {strategy}, {run.n_evaluations:g} evaluations"
    plot_run(run, experiment.specification.oracle, picture, title=title)
    folder = path.parent.parent
    (folder / "table.md").write_text(run_table(rows(folder)).markdown())
    return recorded, picture


def _print_summary(summary: dict[str, Any], recorded: Recorded, picture: Path) -> None:
    errors, table = summary["errors"], recorded.path.parent.parent / "table.md"
    lines = {name: summary[name] for name in ("oracle", "surrogate", "strategy", "seed")}
    lines["evaluations"] = f"{summary['n_evaluations']:g}"
    if recorded.end is not None and recorded.end["status"] != "done":
        lines["evaluations"] += f" ({recorded.end['status']})"
    for key, name in (("mae", "grid MAE"), ("rmse", "grid RMSE"), ("max", "grid max error")):
        lines[name] = f"{errors[key]:.3e}" if errors else "unknown (no exact values)"
    lines["seconds"] = "  ".join(f"{k} {v:.1f}" for k, v in summary["seconds"].items())
    lines |= {"run file": summary["run_file"], "picture": picture, "table": table}
    for name, value in lines.items():
        print(f"{name:<16}{value}")


def _print_choice(recorded: Recorded) -> None:
    """Show on stderr what an automatic surrogate tried in its last search, best first."""
    chosen = [record for record in recorded.rounds if record.get("choice")]
    if not chosen:
        print("nothing was chosen: the surrogate is not an automatic one", file=sys.stderr)
        return
    searches = [record for record in chosen if any(len(s) > 1 for s in record["choice"]["tried"])]
    last = (searches or chosen)[-1]
    choice, title = last["choice"], f"last search, after {last['n_evaluations']:g} evaluations"
    table = Table("output", "member", "transform", "error", "parameters", box=None, title=title)
    for output, scores in enumerate(choice["tried"]):
        for score in sorted(scores, key=lambda score: float(score["error"])):
            error, size = f"{score['error']:.1e}", str(score["n_parameters"] or "-")
            table.add_row(str(output), score["name"], score["transform"], error, size)
    Console(stderr=True, soft_wrap=True).print(table)


def _print_list() -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("kind")
    table.add_column("name")
    table.add_column("what it is", overflow="fold")
    for name, summary in PROBLEMS.summaries.items():
        table.add_row("oracle", name, summary)
    table.add_row("oracle", "monomial(7)", "1-D: x^7, or any other power, on [-1, 1]")
    for kind, registered in (("surrogate", surrogates()), ("strategy", strategies())):
        for name, cls in registered.items():
            table.add_row(kind, name, (cls.__doc__ or "").partition("\n")[0])
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    sys.exit(main())
