"""The count of work."""

from math import inf

from adaptsample.core.work import CALL, Work


def test_work_is_over_when_its_limit_is_reached():
    work = Work(2 * CALL + 50.0)
    work.count(25.0)
    assert not work.is_over
    work.count(25.0)
    assert work.is_over


def test_many_calls_are_charged_one_by_one():
    work = Work(inf)
    work.count(0.0, calls=7)
    assert work.done == 7 * CALL
    assert not work.is_over


def test_nothing_may_be_done_within_no_work():
    assert Work(0.0).is_over
