import pytest
import torch
from torch import Tensor

from adaptsample.evaluation.evaluation import Evaluation, Status
from adaptsample.loop.batch import Batch
from adaptsample.loop.observations import Observations
from adaptsample.loop.stopping import Foretold


def _evaluation(x: float, y: float | None) -> Evaluation:
    point = torch.tensor([x], dtype=torch.float64)
    if y is None:
        return Evaluation(point, None, status=Status.FAILED, message="broke")
    return Evaluation(point, torch.tensor([y], dtype=torch.float64))


def _batch(*x: float, drop: tuple[int, ...] = (), predicted: float | None = None) -> Batch:
    points = torch.tensor(x, dtype=torch.float64)[:, None]
    said = None if predicted is None else torch.full_like(points, predicted)
    wanted = torch.zeros(len(points), dtype=torch.bool)
    return Batch(points, wanted, torch.tensor(drop, dtype=torch.int64), said)


def _column(values: Tensor) -> list[float]:
    return values[:, 0].tolist()


def test_what_is_asked_is_pending_until_it_is_told() -> None:
    known = Observations(1, repeats=False)
    known.expect(_batch(0.1, 0.2, 0.3))
    known.learn([_evaluation(0.2, 1.0), _evaluation(0.1, None)])
    assert (known.n_pending, _column(known.pending)) == (1, [0.3])
    assert (_column(known.data.x), _column(known.failed)) == ([0.2], [0.1])
    assert (known.n_told, known.n_outputs, known.has_values) == (2, 1, True)


def test_predictions_are_compared_with_what_comes_and_forgotten_after_a_round() -> None:
    known = Observations(1, repeats=False)
    known.expect(_batch(0.1, 0.2, predicted=1.0))
    assert known.learn([_evaluation(0.1, 1.5)]) == [Foretold(0.5, tells=False)]  # the only one
    assert known.learn([_evaluation(0.2, None), _evaluation(0.9, 7.0)]) == []
    assert known.fresh_mae == 0.5
    known.forget_fresh()
    assert known.fresh_mae is None


@pytest.mark.parametrize(
    ("values", "last", "tells"),
    [
        ([1.0, 1.0, 1.0], 1.0, False),  # all the same
        ([0.0, 0.0, 1.0], 0.0, False),  # what most points have
        ([0.0, 0.0, 1.0], 1.0, False),  # half of them, with itself
        ([0.0, 0.0, 1.0], 2.0, True),
        ([0.0, 1.0, 2.0], 1.0, False),
        ([0.0, 1.0, 2.0, 3.0], 1.0, True),
    ],
)
def test_a_value_that_half_of_the_points_have_tells_nothing(
    values: list[float], last: float, tells: bool
) -> None:
    known = Observations(1, repeats=False)
    known.learn([_evaluation(i / 10, value) for i, value in enumerate(values)])
    known.expect(_batch(0.9, predicted=last))
    assert known.learn([_evaluation(0.9, last)]) == [Foretold(0.0, tells)]


def test_a_point_dropped_is_retired_and_comes_back_when_it_is_told_again() -> None:
    known = Observations(1, repeats=False)
    known.learn([_evaluation(0.1, 1.0), _evaluation(0.2, 2.0)])
    known.expect(_batch(0.3, drop=(0,)))
    assert (_column(known.data.x), _column(known.retired)) == ([0.2], [0.1])
    known.learn([_evaluation(0.1, 1.0)])
    assert _column(known.data.x) == [0.2, 0.1]


def test_a_deterministic_oracle_has_one_value_a_point_and_a_noisy_one_all() -> None:
    told = [_evaluation(0.1, 1.0), _evaluation(0.1, 1.1)]
    once, often = Observations(1, repeats=False), Observations(1, repeats=True)
    for known in (once, often):
        known.learn(told)
    assert _column(once.data.y) == [1.1]
    assert _column(often.data.y) == [1.0, 1.1]


def test_rows_of_a_pool_are_struck_out_when_they_are_asked() -> None:
    pool = torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64)
    known = Observations(1, repeats=False, pool=pool)
    known.expect(_batch(0.2))
    assert known.pool is not None
    assert _column(known.pool) == [0.1, 0.3]
