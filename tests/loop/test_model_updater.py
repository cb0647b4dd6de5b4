"""When a model is fitted: once a training set, in order, unless a checkpoint has it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Generator, Tensor

from adaptsample import Dataset
from adaptsample.loop.model_updater import ModelUpdater

FITS: list[tuple[int, int | None]] = []
"""Sizes of the training sets of all fits, and of those they continued from."""


@final
@dataclass(frozen=True, eq=False)
class Size:
    """Predicts the size of its training set."""

    n: Tensor

    def predict(self, x: Tensor) -> Tensor:
        return self.n.expand(len(x), 1)


@final
@dataclass(frozen=True)
class Sizes:
    def fit(self, data: Dataset, *, generator: Generator, start: Size | None = None) -> Size:
        del generator
        FITS.append((len(data), None if start is None else int(start.n)))
        return Size(torch.tensor(float(len(data)), dtype=torch.float64))


def _data(n: int) -> Dataset:
    x = torch.linspace(0, 1, n, dtype=torch.float64)[:, None]
    return Dataset(x, x)


def _updater(path: Path | None = None, n_rounds: int = 0) -> ModelUpdater:
    FITS.clear()
    updater = ModelUpdater(Sizes(), 0)
    if path is not None:
        updater.keep_in(path, n_rounds=n_rounds)
    return updater


def _n(model: Any) -> int | None:
    return None if model is None else int(model.n)


def test_a_fit_is_made_when_it_is_looked_at_and_once() -> None:
    updater, data = _updater(), _data(3)
    assert updater.model is None
    updater.update(data, number=1)
    assert FITS == []
    assert (_n(updater.model), _n(updater.model), _n(updater.previous)) == (3, 3, None)
    updater.update(data, number=2)
    assert _n(updater.model) == 3
    assert FITS == [(3, None)]


def test_no_fit_is_left_out_since_later_ones_continue_from_it() -> None:
    updater = _updater()
    for number, n in enumerate((3, 4, 5), start=1):
        updater.update(_data(n), number=number)
    assert (_n(updater.model), _n(updater.previous)) == (5, 4)
    assert FITS == [(3, None), (4, 3), (5, 4)]


def test_nothing_is_fitted_to_no_data() -> None:
    updater = _updater()
    updater.update(Dataset.empty(1), number=1)
    assert updater.model is None
    assert FITS == []


def test_while_a_checkpoint_lies_ahead_earlier_fits_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    first = _updater(path)
    for number, n in enumerate((3, 4, 5), start=1):
        first.update(_data(n), number=number)
    assert _n(first.model) == 5
    again = _updater(path, n_rounds=3)
    for number, n in enumerate((3, 4, 5), start=1):
        again.update(_data(n), number=number)
    assert (_n(again.model), _n(again.previous)) == (5, 4)
    again.update(_data(7), number=4)
    assert (_n(again.model), _n(again.previous)) == (7, 5)
    assert FITS == [(7, 5)]


def test_a_checkpoint_of_other_data_or_of_a_lost_round_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    first = _updater(path)
    first.update(_data(5), number=3)
    assert _n(first.model) == 5
    other = _updater(path, n_rounds=3)
    other.update(_data(6), number=3)
    assert _n(other.model) == 6
    first = _updater(path)
    first.update(_data(5), number=3)
    assert _n(first.model) == 5
    lost = _updater(path, n_rounds=2)
    lost.update(_data(4), number=2)
    assert _n(lost.model) == 4
    assert FITS == [(4, None)]
