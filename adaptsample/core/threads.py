"""Independent parts of a computation side by side, each on one thread.

The matrices here are small: several threads take longer over one of them, and round otherwise. So
every operation has one thread, and cores that are free are given whole parts. Each part has a
generator of its own: results are the same whatever the number of threads. Compiled programs and
larger products run truly at once; the rest takes turns.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

T = TypeVar("T")


_n_cores: ContextVar[int | None] = ContextVar("_n_cores", default=None)


@contextmanager
def cores(n: int) -> Iterator[None]:
    """Let what is computed inside take so many cores; else it takes all that the process may."""
    token = _n_cores.set(n)
    try:
        yield
    finally:
        _n_cores.reset(token)


def in_parallel(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run tasks side by side on the cores there are, of which each gets its share.

    Returns:
        their results, in order.
    """
    n_cores = _n_cores.get() or _available()
    n_threads = min(len(tasks), n_cores)
    if n_threads < 2:
        return [task() for task in tasks]
    with one_thread(), cores(n_cores // n_threads), ThreadPoolExecutor(n_threads) as pool:
        # each with what holds here, as context variables say it
        running = [pool.submit(copy_context().run, task) for task in tasks]
        return [future.result() for future in running]


def _available() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch, and the LAPACK of numpy and scipy, use one thread for each operation."""
    n_threads = torch.get_num_threads()
    if n_threads > 1:
        torch.set_num_threads(1)
    try:
        # looked for each time: libraries may have been loaded since
        with ThreadpoolController().limit(limits=1, user_api="blas"):
            yield
    finally:
        if n_threads > 1:
            torch.set_num_threads(n_threads)
