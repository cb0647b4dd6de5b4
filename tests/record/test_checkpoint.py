"""Models on disk: exact, verified, and never more than data."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator

from adaptsample import Box, Dataset, Surrogate
from adaptsample.core import derive_generator
from adaptsample.record.checkpoint import Checkpoint
from adaptsample.registry import make_surrogate
from tests.conftest import SMALL_AUTO

RECIPES = [
    "mlp(hidden=(4,))",
    "mlp(hidden=(4,), training=gradient_descent(steps=20, continued_steps=5))",
    "polynomial",
    "gaussian_process",
    "committee(surrogate=mlp(hidden=(3,)), n_members=2)",
    "crease(n_starts=20)",
    "jump(operations=0)",
]


@pytest.fixture
def data() -> Dataset:
    x = Box({"x": (0, 1), "y": (0, 1)}).sobol(20, generator=derive_generator(0, "x"))
    return Dataset(x, torch.sin(3 * x).prod(dim=1, keepdim=True))


def _kept(path: Path, data: Dataset, recipe: Surrogate) -> tuple[Any, Any]:
    model = recipe.fit(data, generator=derive_generator(0, "fit"))
    Checkpoint(3, "hash", model, None).write(path)
    return model, Checkpoint.read(path, package="adaptsample")


@pytest.mark.parametrize("recipe", [*map(make_surrogate, RECIPES), SMALL_AUTO])
def test_a_model_comes_back_bit_for_bit_and_trains_on_as_it_would_have(
    tmp_path: Path, data: Dataset, recipe: Surrogate
) -> None:
    model, found = _kept(tmp_path / "model", data, recipe)
    assert (found.round, found.data, found.previous) == (3, "hash", None)
    assert torch.equal(found.model.predict(data.x), model.predict(data.x))
    further, again = (
        recipe.fit(data, generator=derive_generator(1, "fit"), start=start)
        for start in (model, found.model)
    )
    assert torch.equal(further.predict(data.x), again.predict(data.x))


def test_a_damaged_or_missing_checkpoint_is_none(tmp_path: Path, data: Dataset) -> None:
    path = tmp_path / "model"
    assert Checkpoint.read(path, package="adaptsample") is None
    _kept(path, data, make_surrogate("mlp(hidden=(3,))"))
    whole = path.read_bytes()
    generator = Generator().manual_seed(0)
    for place in torch.randint(len(whole), (60,), generator=generator).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(bytes(damaged))
        assert Checkpoint.read(path, package="adaptsample") is None
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert Checkpoint.read(path, package="adaptsample") is None


def test_a_checkpoint_of_another_version_is_none(
    tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    _kept(path, data, make_surrogate("polynomial"))
    monkeypatch.setattr("adaptsample.record.checkpoint.versions", lambda: {"adaptsample": "99"})
    assert Checkpoint.read(path, package="adaptsample") is None


@pytest.mark.parametrize(
    "tree",
    [
        {"class": "subprocess:Popen", "fields": {}},
        {"class": "pathlib:Path", "fields": {}},
        {"tuple": "os:terminal_size", "items": [[1, 2]]},
        {"class": "adaptsample.evaluation.workers:Processes", "fields": {}},
        {"partial": "os:system", "items": [{"list": []}], "names": []},
        {"partial": "adaptsample.core.files:write_file", "items": [{"list": []}], "names": []},
        {"class": "adaptsample.surrogates.mlp.surrogate:torch", "fields": {}},
    ],
)
def test_only_models_of_this_library_are_made(tmp_path: Path, tree: Any) -> None:
    from safetensors.torch import save  # noqa: PLC0415

    from adaptsample.core.provenance import versions  # noqa: PLC0415
    from adaptsample.record.checkpoint import _hash  # noqa: PLC0415

    text = json.dumps(
        {"round": 1, "data": "", "tree": {"list": [tree, None]}, "made_by": versions()}
    )
    path = tmp_path / "model"
    path.write_bytes(save({}, {"header": text, "hash": _hash(text, {})}))
    assert Checkpoint.read(path, package="adaptsample") is None


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", struct.pack("<Q", 2**60), b"{" * 10**5])
def test_hostile_bytes_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model"
    path.write_bytes(content)
    assert Checkpoint.read(path, package="adaptsample") is None
