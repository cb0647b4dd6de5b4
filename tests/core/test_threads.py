"""Parts side by side."""

from contextvars import ContextVar
from threading import Barrier, BrokenBarrierError, get_ident

import pytest
import torch
from threadpoolctl import threadpool_info

from adaptsample.core.threads import cores, in_parallel, one_thread

WORD: ContextVar[str] = ContextVar("WORD", default="none")


def test_results_come_in_the_order_of_the_tasks():
    for n in (1, 2, 7):
        with cores(n):
            assert in_parallel([lambda k=k: k * k for k in range(20)]) == [k * k for k in range(20)]
            assert in_parallel([]) == []


def test_tasks_within_tasks_share_the_cores():
    def threads() -> set[int]:
        barrier = Barrier(2, timeout=60)  # broken unless two run at once

        def task() -> int:
            barrier.wait()
            return get_ident()

        return set(in_parallel([task, task]))

    with cores(4):
        assert [len(idents) for idents in in_parallel([threads, threads])] == [2, 2]
    with cores(2), pytest.raises(BrokenBarrierError):
        in_parallel([lambda: in_parallel([Barrier(2, timeout=0.1).wait] * 2)] * 2)


def test_tasks_see_the_context_they_were_given_in():
    token = WORD.set("here")
    try:
        assert in_parallel([WORD.get, WORD.get]) == ["here", "here"]
    finally:
        WORD.reset(token)


def test_what_a_task_raises_is_raised():
    def fails() -> None:
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError, match="no"):
        in_parallel([lambda: None, fails])


def test_operations_have_one_thread_inside_and_as_many_as_before_after():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
            assert in_parallel([torch.get_num_threads] * 3) == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_linear_algebra_has_one_thread_within_and_what_it_had_afterwards() -> None:
    before = blas_threads()
    assert before
    with one_thread():
        assert set(blas_threads()) == {1}
        with one_thread():
            pass
        assert set(blas_threads()) == {1}
    assert blas_threads() == before
