"""Tables of data from which a learner may buy rows: generated ones, and those within scikit-learn.

Rows are split at random, anew for each seed: two thirds may be bought, the others are held out. Of
the data sets that scikit-learn has for classification one numeric column is foretold from others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray

from adaptsample import Box, Dataset
from adaptsample.core import derive_generator

Table = tuple[NDArray[np.float64], NDArray[np.float64]]


@final
@dataclass(frozen=True, eq=False)
class Pool:
    """A split table.

    Args:
        domain: the range of the rows that may be bought.
        rows: those rows, in random order.
        held_out: the others.
    """

    domain: Box
    rows: Dataset
    held_out: Dataset


def _friedman_1(n: int, seed: int) -> Table:
    from sklearn.datasets import make_friedman1  # noqa: PLC0415

    return _table(make_friedman1(n, noise=1.0, random_state=seed))


def _friedman_2(n: int, seed: int) -> Table:
    from sklearn.datasets import make_friedman2  # noqa: PLC0415

    return _table(make_friedman2(n, noise=125.0, random_state=seed))


def _friedman_3(n: int, seed: int) -> Table:
    from sklearn.datasets import make_friedman3  # noqa: PLC0415

    return _table(make_friedman3(n, noise=0.1, random_state=seed))


def _diabetes(n: int, seed: int) -> Table:
    from sklearn.datasets import load_diabetes  # noqa: PLC0415

    del n, seed
    return _table(load_diabetes(return_X_y=True, scaled=False))


def _wine(n: int, seed: int) -> Table:
    """Foretell alcohol from the other twelve measurements."""
    from sklearn.datasets import load_wine  # noqa: PLC0415

    del n, seed
    x = load_wine(return_X_y=True)[0]
    return _table((x[:, 1:], x[:, 0]))


def _breast_cancer(n: int, seed: int) -> Table:
    """Foretell the mean fractal dimension from the means of the other nine measurements."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415

    del n, seed
    x = load_breast_cancer(return_X_y=True)[0]
    return _table((x[:, :9], x[:, 9]))


def _table(pair: Any) -> Table:
    x, y = (np.asarray(part, dtype=np.float64) for part in pair)
    return x, y


TABLES: Final[Mapping[str, Callable[[int, int], Table]]] = {
    "friedman_1": _friedman_1,
    "friedman_2": _friedman_2,
    "friedman_3": _friedman_3,
    "diabetes": _diabetes,
    "wine": _wine,
    "breast_cancer": _breast_cancer,
}
"""Inputs and output, from a number of rows and a seed, which only generated ones heed."""

N_ROWS: Final = 1500


def pool(name: str, seed: int, n_rows: int = N_ROWS) -> Pool:
    """Return a table, split."""
    x, y = TABLES[name](n_rows, seed)
    x, first = np.unique(x, axis=0, return_index=True)  # a row is bought once
    points, values = torch.from_numpy(x), torch.from_numpy(y[first])[:, None]
    order = torch.randperm(len(points), generator=derive_generator(seed, "split"))
    points, values = points[order], values[order]
    n = 2 * len(points) // 3
    low, high = points[:n].amin(dim=0).tolist(), points[:n].amax(dim=0).tolist()
    domain = Box({f"x{i}": ends for i, ends in enumerate(zip(low, high, strict=True))})
    return Pool(domain, Dataset(points[:n], values[:n]), Dataset(points[n:], values[n:]))
