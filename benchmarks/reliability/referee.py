"""What reliability is measured with: an oracle that keeps its own log, and coordinators to kill."""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from adaptsample import Box, Dataset, Run, Sampler
from adaptsample.core import Points, Values
from adaptsample.evaluation.workers import Processes
from adaptsample.oracles import FunctionOracle

BOX = Box({"x": (0, 1), "y": (0, 1)})


@final
@dataclass(frozen=True)
class Refereed:
    """sin(3 x) sin(3 y), which writes down every call and every return, durably, by itself.

    Args:
        log: where.
        seconds: that a call takes.
    """

    log: str
    seconds: float = 0.0

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate one point."""
        self._note(f"call {x.tobytes().hex()} {os.getpid()}")
        if self.seconds:
            time.sleep(self.seconds)
        y = np.sin(3 * x).prod(axis=1)
        self._note(f"return {x.tobytes().hex()} {os.getpid()}")
        return np.asarray(y)

    def _note(self, line: str) -> None:
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(log, f"{line}\n".encode())
        os.fsync(log)
        os.close(log)


def noted(log: Path, what: str = "call") -> Counter[str]:
    """Return how often each point was called, or returned from."""
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith(what))


@final
@dataclass(frozen=True)
class PlaneModel:
    """A fitted plane."""

    weights: torch.Tensor

    def predict(self, x: Points) -> Values:
        """Predict at n points."""
        return torch.cat([torch.ones(len(x), 1, dtype=torch.float64), x], dim=1) @ self.weights


@final
@dataclass(frozen=True)
class Plane:
    """Linear least squares: a surrogate that costs next to nothing."""

    ridge: float = 1e-9

    def fit(self, data: Dataset, *, generator: Generator, start: Any = None) -> PlaneModel:
        """Fit a plane."""
        del generator, start
        a = torch.cat([torch.ones(len(data), 1, dtype=torch.float64), data.x], dim=1)
        gram = a.T @ a + self.ridge * torch.eye(a.shape[1], dtype=torch.float64)
        return PlaneModel(torch.linalg.solve(gram, a.T @ data.y))


@final
@dataclass(frozen=True)
class Job:
    """A run that can be started, killed and started again.

    Args:
        folder: of its run file and the referee's log.
        budget: evaluations.
        workers: processes that evaluate; 0 for none besides the coordinator.
        seconds: that an evaluation takes.
        settings: further settings of the sampler.
        log_folder: of the log, if another.
    """

    folder: Path
    budget: int
    workers: int = 0
    seconds: float = 0.0
    settings: tuple[tuple[str, Any], ...] = ()
    log_folder: Path | None = None

    @property
    def run_file(self) -> Path:
        """The durable record."""
        return self.folder / "run.jsonl"

    @property
    def log(self) -> Path:
        """The referee's."""
        return (self.log_folder or self.folder) / "calls.log"

    def run(self, observer: Callable[[Sampler], None] | None = None) -> Run:
        """Start or resume it, here."""
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(1)
        executor = Processes(self.workers) if self.workers else None
        settings: dict[str, Any] = {"surrogate": Plane(), "strategy": "topk"} | dict(self.settings)
        oracle = FunctionOracle(Refereed(str(self.log), self.seconds), BOX)
        try:
            return Sampler(
                oracle, run_file=self.run_file, existing="resume", executor=executor, **settings
            ).run(self.budget, observer=observer)
        finally:
            if executor is not None:
                executor.shutdown()

    def start(self) -> multiprocessing.Process:
        """Start or resume it in a process of its own, a fork: nothing to import, and no threads."""
        process = multiprocessing.get_context("fork").Process(target=self._run_alone, daemon=True)
        process.start()
        return process  # type: ignore[return-value]

    def _run_alone(self) -> None:
        os.setsid()
        self.run()


def table(run_file: Path) -> list[tuple[Any, ...]]:
    """Return what must not depend on whether a run was interrupted."""
    from adaptsample.record.run_file import read  # noqa: PLC0415

    recorded = read(run_file)
    points = [(e["x"], e["y"], e["status"], e["asked"]) for e in recorded.evaluations]
    rounds = [(r["n_evaluations"], r["errors"], r["fresh_mae"]) for r in recorded.rounds]
    return [*points, *rounds]
