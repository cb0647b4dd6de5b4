"""Executors by name, for commands: where evaluations run."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Literal, TypeAlias

from adaptsample.core.extras import needs_extra

Kind: TypeAlias = Literal["processes", "threads", "dask"]


@contextmanager
def open_executor(
    kind: Kind, n_workers: int, *, scheduler: str | None = None
) -> Iterator[Executor | None]:
    """Open an executor, and close it in the end; None for one process, which evaluates by itself.

    Args:
        kind: spawned processes, threads of this process, or a Dask cluster (extra ``dask``).
        n_workers: how many evaluate at a time, where it is for us to say.
        scheduler: address of a running Dask cluster, as tcp://host:port; by default a cluster of
            local processes is started.

    Raises:
        ValueError: no workers, a scheduler without Dask, Dask that is not installed, or a scheduler
            that does not answer.
    """
    if n_workers < 1:
        raise ValueError(f"there must be at least 1 worker, got {n_workers}")
    if scheduler is not None and kind != "dask":
        raise ValueError(f"a scheduler is for the executor dask, not for {kind}")
    with ExitStack() as stack:
        if kind == "dask":
            yield _dask(stack, n_workers, scheduler)
        elif n_workers == 1:
            yield None
        elif kind == "threads":
            yield stack.enter_context(ThreadPoolExecutor(n_workers))
        else:
            from adaptsample.evaluation.workers import Processes  # noqa: PLC0415  # slow to import

            yield stack.enter_context(Processes(n_workers))


def _dask(stack: ExitStack, n_workers: int, scheduler: str | None) -> Executor:
    with needs_extra("dask", "the executor dask"):
        import distributed  # noqa: PLC0415  # optional, and slow to import
    if scheduler is None:
        cluster = distributed.LocalCluster(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=None
        )
        client = distributed.Client(stack.enter_context(cluster))
    else:
        try:
            client = distributed.Client(scheduler, timeout=10)
        except (OSError, ValueError) as error:
            raise ValueError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    stack.enter_context(client)
    executor: Executor = client.get_executor(pure=False)  # equal calls are paid calls, too
    return executor
