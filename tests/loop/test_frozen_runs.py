"""Ten runs as an earlier version made them: what is chosen and measured must not change unseen.

``python -m tests.loop.test_frozen_runs`` makes the files anew; the changelog says what changed.
"""

import json
import os
import platform
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import scipy
import torch

from adaptsample.loop.sampler import Sampler
from adaptsample.loop.specification import Specification
from adaptsample.oracles import ExpressionOracle, Oracle
from adaptsample.oracles.problems import problem
from adaptsample.record.run_file import Recorded, read

FOLDER = Path(__file__).parents[1] / "data" / "frozen"
MACHINE = FOLDER / "machine.json"
KERNELS = ("OPENBLAS_CORETYPE", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
_NETWORK = "mlp(hidden=(6,), training=levenberg_marquardt(starts=2, iterations=20))"
_STEP = ExpressionOracle("sign(x - y**2 - 0.2) + x*y", bounds={"x": (0, 1), "y": (0, 1)})
_CREASE = ExpressionOracle("Abs(x - 0.6*y) + x*y", bounds={"x": (-1, 1), "y": (-1, 1)})

RUNS: dict[str, tuple[str | Oracle, str, str, float, dict[str, Any]]] = {
    "auto-topk": ("runge", "auto", "topk", 30, {"batch_size": 8}),
    "mlp-topk": ("peak", _NETWORK, "topk(retirement=drop_lowest('change'))", 40, {}),
    "mlp-lcmd": ("franke", _NETWORK, "lcmd(gradients=all_gradients())", 40, {}),
    "mlp-swap": ("noisy_cosine", _NETWORK, "swap(filling=0.3)", 30, {"design": "uniform"}),
    "gaussian_process-max_std": ("branin", "gaussian_process", "max_std", 30, {"batch_size": 5}),
    "gaussian_process-integrated_variance": (
        *("hartmann6", "gaussian_process", "integrated_variance", 42),
        {"batch_size": 6},
    ),
    "committee-query_by_committee": (
        *("exp_sin", f"committee(surrogate={_NETWORK}, n_members=3)", "query_by_committee", 24),
        {"batch_size": 7},
    ),
    "polynomial-gap_derivative": (
        *("ishigami", "polynomial", "gap_derivative", 24),
        {"n_initial": 15, "batch_size": 1, "asynchronous": True},
    ),
    "crease-sobol": (_CREASE, "crease(n_starts=10, n_climbs=2)", "sobol", 30, {}),
    "jump-boundary": (_STEP, "jump", "boundary", 45, {"n_initial": 30, "batch_size": 15}),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_comes_out_as_it_did(name: str, tmp_path: Path) -> None:
    before = read(FOLDER / f"{name}.jsonl")
    spec = Specification.from_record(before.spec)
    Sampler(spec, run_file=tmp_path / "run.jsonl").run(before.spec["budget"])
    now = read(tmp_path / "run.jsonl")
    assert spec.difference(now.spec) == ""
    if json.loads(MACHINE.read_text()) == _machine():
        assert _told(now) == _told(before)
        return
    first = _told(before)["proposals"][0]
    assert np.allclose(_told(now)["proposals"][0]["x"], first["x"], rtol=1e-14, atol=1e-14)
    if not _is_close(_told(now), _told(before)):
        pytest.skip("other arithmetic led the fits of this run another way; it does not apply")


@pytest.mark.parametrize("name", [*RUNS][:-1])  # the last one's fits take long
def test_a_run_of_that_version_can_still_be_continued(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = (FOLDER / f"{name}.jsonl").read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))  # as if it had not ended
    before = read(FOLDER / f"{name}.jsonl")
    run = Sampler.resume(path).run()
    assert [e.x.tolist() for e in run.evaluations] == [e["x"] for e in before.evaluations]
    assert read(path).evaluations == before.evaluations  # nothing was paid again


def _told(recorded: Recorded) -> dict[str, list[dict[str, Any]]]:
    """Return what a run chose and measured, without how long it took."""
    return {
        "proposals": [_without_time(r) for r in recorded.proposals],
        "evaluations": [_without_time(r) for r in recorded.evaluations],
        "rounds": [_without_time(r) for r in recorded.rounds],
    }


def _without_time(record: Any) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("seconds", "checksum")}


def _is_close(now: Any, before: Any) -> bool:
    """Tell whether two records say the same but for rounding; errors may be rounding themselves."""
    if isinstance(before, dict):
        return (
            isinstance(now, dict)
            and now.keys() == before.keys()
            and all(key == "choice" or _is_close(now[key], before[key]) for key in before)
        )
    if isinstance(before, list):
        return (
            isinstance(now, list)
            and len(now) == len(before)
            and all(_is_close(a, b) for a, b in zip(now, before, strict=True))
        )
    if isinstance(before, float) and isinstance(now, (int, float)):
        return bool(np.isclose(now, before, rtol=1e-5, atol=1e-7))
    return bool(now == before)


def _machine() -> dict[str, Any]:
    """Return what decides the last digits of a sum."""
    cpu = Path("/proc/cpuinfo")
    wanted = ("vendor_id", "cpu family", "model\t", "stepping")
    lines = cpu.read_text().splitlines() if cpu.exists() else [platform.processor()]
    return {
        "processor": [line for line in lines if line.startswith(wanted)][:4],
        "capability": torch.backends.cpu.get_cpu_capability(),
        "kernels": {name: os.environ.get(name) for name in KERNELS},
        "versions": [torch.__version__, np.__version__, scipy.__version__],
    }


def _make() -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    MACHINE.write_text(json.dumps(_machine(), indent=1) + "\n")
    for name, (oracle, surrogate, strategy, budget, settings) in RUNS.items():
        made = problem(oracle) if isinstance(oracle, str) else oracle
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.jsonl"
            recipes = {"surrogate": surrogate, "strategy": strategy}
            run = Sampler(made, **{"seed": 1, **settings, **recipes}, run_file=path).run(budget)
            (FOLDER / path.name).write_bytes(path.read_bytes())
        print(f"{name:<40}{run.n_evaluations:>4} evaluations, MAE {run.errors.get('mae')}")


if __name__ == "__main__":
    _make()
