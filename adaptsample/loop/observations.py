"""What a run knows: its training set, what failed, and what is still awaited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from adaptsample.core.dataset import Dataset
from adaptsample.core.pool import is_among
from adaptsample.core.shapes import Points
from adaptsample.evaluation.evaluation import Evaluation, Status, point_key
from adaptsample.loop.batch import Batch
from adaptsample.loop.stopping import Foretold

FLAT = 0.5
"""A value that at least this share of the points have foretells itself."""


@final
@dataclass(frozen=True, eq=False)
class _Pending:
    """A point asked and not told yet; see `Batch`."""

    x: Float[Tensor, " d"]
    gradient: bool
    predicted: Float[Tensor, " k"] | None


@final
class Observations:
    """Grows with every evaluation; the only thing that takes points out of it are proposals.

    Args:
        dimension: of the domain.
        repeats: whether a point may be in the training set more than once.
        pool: all points that may be asked (m, d), each of them once; None for any points.
    """

    def __init__(self, dimension: int, *, repeats: bool, pool: Points | None = None) -> None:
        self.data = Dataset.empty(dimension)
        self.failed = self.data.x
        self.retired = self.data.x  # what proposals took out of the training set
        self.pool = pool  # what is left to ask
        self.n_told = 0
        self._repeats = repeats
        self._pending: dict[bytes, _Pending] = {}
        self._met: set[bytes] = set()  # points that were in the training set once
        self._fresh: list[float] = []  # errors of predictions, since the last recorded round

    @property
    def has_values(self) -> bool:
        """Whether any evaluation succeeded so far."""
        return bool(self._met)

    @property
    def n_outputs(self) -> int | None:
        """Number of outputs, as far as anybody knows."""
        return self.data.y.shape[1] if len(self.data) else None

    @property
    def n_pending(self) -> int:
        """How many different points are asked and not told yet."""
        return len(self._pending)

    @property
    def pending(self) -> Points:
        """Points asked and not told yet (p, d)."""
        points = [entry.x for entry in self._pending.values()]
        return torch.stack(points) if points else self.failed[:0]

    @property
    def fresh_mae(self) -> float | None:
        """Mean absolute error of what was predicted since the last recorded round, if anything."""
        return sum(self._fresh) / len(self._fresh) if self._fresh else None

    def forget_fresh(self) -> None:
        """Begin another round."""
        self._fresh = []

    def wanted(self, x: Points) -> Bool[Tensor, " n"]:
        """Return at which points the gradient was asked for too."""
        entries = [self._pending.get(point_key(point)) for point in x]
        return torch.tensor([e is not None and e.gradient for e in entries], dtype=torch.bool)

    def expect(self, batch: Batch) -> None:
        """Take points out of the training set, and await those that are asked."""
        if len(batch.drop):
            self.retired = torch.cat([self.retired, self.data.x[batch.drop]])
            self.data = self.data.without(batch.drop)
        if self.pool is not None:
            self.pool = self.pool[~is_among(self.pool, batch.x)]
        for i, point in enumerate(batch.x):
            predicted = None if batch.predicted is None else batch.predicted[i]
            self._pending[point_key(point)] = _Pending(point, bool(batch.gradient[i]), predicted)

    def learn(self, evaluations: Sequence[Evaluation]) -> list[Foretold]:
        """Let ok values into the training set, once for each point of a deterministic oracle.

        Returns:
            How they compare with what was predicted of them.
        """
        self.n_told += len(evaluations)
        compared = [(e, error) for e in evaluations if (error := self._compared(e)) is not None]
        self._fresh += [error for _, error in compared]
        failed = [e.x for e in evaluations if e.status is not Status.OK]
        good = [e for e in evaluations if e.status is Status.OK]
        if failed:
            self.failed = torch.cat([self.failed, torch.stack(failed)])
        if not self._repeats:
            good = list({point_key(e.x): e for e in good}.values())
        if good:
            self._add(good)
        return [Foretold(error, self._tells(e)) for e, error in compared]

    def _tells(self, evaluation: Evaluation) -> bool:
        """Whether a value is more than the one that half of all points have, in any output.

        Outputs that are the same everywhere tell nothing, and say nothing of the others.
        """
        y = self.data.y
        varies = (y != y[:1]).any(dim=0)
        if not len(y) or evaluation.y is None or not varies.any():
            return False
        shares = (y == evaluation.y).to(y.dtype).mean(dim=0)
        return not bool((shares[varies] >= FLAT).any())

    def _compared(self, evaluation: Evaluation) -> float | None:
        asked = self._pending.pop(point_key(evaluation.x), None)
        if asked is None or asked.predicted is None or evaluation.y is None:
            return None
        return float((asked.predicted - evaluation.y).abs().max())

    def _add(self, good: Sequence[Evaluation]) -> None:
        new = _dataset(good)
        keys = {point_key(e.x) for e in good}
        if not self._repeats and not keys.isdisjoint(self._met):
            again = is_among(self.data.x, new.x)
            self.data = self.data.without(again.nonzero()[:, 0])
        self._met |= keys
        self.data = self.data + new if len(self.data) else new


def _dataset(evaluations: Sequence[Evaluation]) -> Dataset:
    y = torch.stack([e.y for e in evaluations if e.y is not None])
    x = torch.stack([e.x for e in evaluations])
    if all(e.gradient is None for e in evaluations):
        return Dataset(x, y)
    missing = torch.full((y.shape[1], x.shape[1]), torch.nan, dtype=torch.float64)
    slopes = [missing if e.gradient is None else e.gradient for e in evaluations]
    return Dataset(x, y, torch.stack(slopes))
