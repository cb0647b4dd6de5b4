"""Measure how much faster the compiled training loop is than the usual one.

The usual one is a torch.nn.Module, automatic differentiation, torch.optim.Adam with its defaults,
and one Python iteration per step. Both train the same network, 2-30-30-1 tanh, from the same
parameters, on the same data, for the same steps, full batch, on one thread of one process, turn and
turn about; the medians are compared. The losses of both, at every step, must agree. Times are CPU
times, which on one thread are the wall-clock times of a machine with nothing else to do.

Compilation happens once per process and is timed on its own.
"""

import argparse
import copy
import json
import sys
import time
from dataclasses import asdict, dataclass
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from adaptsample.core import derive_generator
from adaptsample.training import GradientDescent
from adaptsample.training.losses import Samples
from adaptsample.training.network import initial_parameters
from benchmarks.speed.source import WIDTHS, module

RECIPE = GradientDescent(learning_rate=0.001, decay=1.0)


@dataclass(frozen=True)
class Case:
    """What is trained on."""

    points: int
    dtype: str
    loss: str  # "values", or "values + gradients"


@dataclass(frozen=True)
class Result:
    """Medians over the repetitions."""

    case: Case
    eager_us_per_step: float
    compiled_us_per_step: float
    speedup: float
    largest_loss_difference: float


CASES = [
    Case(points, dtype, loss)
    for loss in ("values", "values + gradients")
    for dtype in ("float32", "float64")
    for points in (500, 2500)
]


def peak(case: Case) -> Samples:
    """Return uniform points of 1 / (|0.5 - x^4 - y^4| + 0.1) with its values and gradient."""
    generator = derive_generator(0, "points")
    x = torch.rand(case.points, 2, dtype=torch.float64, generator=generator)
    crest = 0.5 - (x**4).sum(dim=1, keepdim=True)
    y = 1 / (crest.abs() + 0.1)
    slopes = (y**2 * crest.sign() * 4 * x**3)[None]
    if case.loss == "values":
        slopes = slopes[:0]
    dtype = getattr(torch, case.dtype)
    return Samples(*(part.to(dtype) for part in (x, y, slopes, torch.ones_like(slopes))))


def train_eagerly(network: nn.Sequential, samples: Samples, steps: int) -> list[float]:
    """Train the usual way; return the losses."""
    optimizer = torch.optim.Adam(network.parameters(), lr=RECIPE.learning_rate)
    mean_squared_error = nn.MSELoss()
    informed = len(samples.slopes) > 0
    x = samples.x.clone().requires_grad_(informed)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        output = network(x)
        loss = mean_squared_error(output, samples.y)
        if informed:
            (slope,) = torch.autograd.grad(output.sum(), x, create_graph=True)
            loss = loss + mean_squared_error(slope, samples.slopes[0])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_compiled(theta: Tensor, samples: Samples, steps: int) -> list[float]:
    """Train with the library; return the losses."""
    recipe = GradientDescent(learning_rate=RECIPE.learning_rate, decay=RECIPE.decay, steps=steps)
    generator = derive_generator(0, "fit")
    (training,) = recipe.train(theta, WIDTHS, "tanh", samples, generator=generator)
    losses: list[float] = training.train_loss.tolist()
    return losses


def measure(case: Case, steps: int, repetitions: int) -> Result:
    """Time both loops, turn and turn about, after one unmeasured turn."""
    samples = peak(case)
    theta = initial_parameters(WIDTHS, generator=derive_generator(0, "theta")).to(samples.x.dtype)
    network = module(theta)
    eager: list[float] = []
    compiled: list[float] = []
    for turn in range(1 + repetitions):
        fresh = copy.deepcopy(network)
        start = time.process_time()
        expected = train_eagerly(fresh, samples, steps)
        middle = time.process_time()
        found = train_compiled(theta, samples, steps)
        end = time.process_time()
        if turn > 0:
            eager.append((middle - start) / steps * 1e6)
            compiled.append((end - middle) / steps * 1e6)
    difference = max(abs(a - b) / a for a, b in zip(expected, found, strict=True))
    tolerance = 1e-3 if case.dtype == "float32" else 1e-9
    assert difference < tolerance, f"the losses differ by {difference:.1e} in {case}"
    return Result(
        case,
        round(median(eager), 1),
        round(median(compiled), 1),
        round(median(a / b for a, b in zip(eager, compiled, strict=True)), 2),
        difference,
    )


def table(results: list[Result]) -> Table:
    """Return the results for people."""
    rows = Table(title="CPU time of a step of Adam, 2-30-30-1 tanh, full batch, one thread")
    for heading in ("loss", "dtype"):
        rows.add_column(heading)
    for heading in ("points", "eager", "compiled", "speedup", "agree to"):
        rows.add_column(heading, justify="right")
    for result in results:
        rows.add_row(
            result.case.loss,
            result.case.dtype,
            f"{result.case.points:,}",
            f"{result.eager_us_per_step:.0f} us",
            f"{result.compiled_us_per_step:.0f} us",
            f"{result.speedup:.1f}x",
            f"{result.largest_loss_difference:.0e}",
        )
    return rows


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.training_speed",
        description=__doc__,
        epilog="A busy machine slows both loops, so trust the speedup more than the times.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds: fewer, shorter turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    options = parser.parse_args()
    steps, repetitions = (40, 3) if options.quick else (200, 9)

    torch.set_num_threads(1)
    start = time.process_time()
    train_compiled(
        initial_parameters(WIDTHS, generator=derive_generator(0, "theta")),
        peak(Case(10, "float64", "values")),
        1,
    )
    compile_seconds = round(time.process_time() - start, 2)
    progress = Console(stderr=True, quiet=not sys.stderr.isatty())
    results = []
    for case in CASES:
        progress.print(f"measuring {case.points} points, {case.dtype}, {case.loss} ...")
        results.append(measure(case, steps, repetitions))
    if options.json:
        print(
            json.dumps(
                {
                    "benchmark": "training_speed",
                    "torch": torch.__version__,
                    "steps": steps,
                    "repetitions": repetitions,
                    "compile_seconds": compile_seconds,
                    "results": [asdict(result) for result in results],
                }
            )
        )
    else:
        Console().print(table(results))
        Console().print(f"compilation: {compile_seconds} s, once; torch {torch.__version__}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
