"""Processes that evaluate, each with a process group of its own.

A worker answers one call at a time. It can be killed with all that it has started, at a timeout,
and nobody else's work is touched; when it dies by itself, the one call that it was answering is
known. A worker outlives the process that started it until its call is finished.

Workers are new interpreters, never forks: forking a process in which torch runs threads can hang.
Calls travel by cloudpickle, so that functions of a script need no importable module.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from math import inf
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from time import monotonic, sleep
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, final

import cloudpickle

from adaptsample.errors import OverdueError, WorkerLostError

T = TypeVar("T")
_Connection: TypeAlias = "Connection[Any, Any]"
_GRACE = 3.0  # seconds between asking a process group to end and ending it
_GLANCE = 0.2  # seconds between two looks at whether a silent worker is alive
_START = (
    "import sys; from multiprocessing.connection import Connection;"
    "connection = Connection(int(sys.argv[1])); sys.path[:] = connection.recv();"
    "from adaptsample.evaluation.workers import serve; serve(connection)"
)


class StoppedError(BaseException):
    """Raised in a worker that is asked to end, for what it calls to clean up."""


@final
class Worker:
    """One process, started with its first call and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: _Connection | None = None

    def call(self, function: Callable[..., T], *arguments: Any, timeout: float | None = None) -> T:
        """Call a function in the worker and return what it returns.

        Raises:
            WorkerLostError: the process died; the message has its exit status.
            OverdueError: it took longer than ``timeout`` seconds.
            RuntimeError: the call could not be made there, or its result not be sent.
        """
        message = cloudpickle.dumps((timeout, function, arguments))
        try:
            process, connection = self._running()
            connection.send_bytes(message)
            _receive(process, connection, None)  # once it has imported what the call needs
            ok, result = cloudpickle.loads(_receive(process, connection, timeout))
        except OverdueError:
            self.kill()
            raise
        except (EOFError, ConnectionError, OSError):
            raise WorkerLostError(f"the worker died, {self._bury()}") from None
        if not ok:
            raise RuntimeError(result)
        return result  # type: ignore[no-any-return]

    def kill(self) -> None:
        """End the process with its group, politely at first."""
        process = self._process
        if process is not None and process.poll() is None:
            _signal(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        self._bury()

    def close(self) -> None:
        """Let the process end; it must be idle."""
        if self._connection is not None and self._process is not None:
            self._connection.close()  # which it takes for the end
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
            self._bury()

    def _running(self) -> tuple["subprocess.Popen[bytes]", _Connection]:
        if self._process is not None and self._process.poll() is not None:
            self._bury()  # it died while it was idle, which is nobody's fault
        if self._process is None or self._connection is None:
            here, there = Pipe()
            with there:
                self._process = subprocess.Popen(  # noqa: S603  # our own code, no shell
                    [sys.executable, "-c", _START, str(there.fileno())],
                    pass_fds=[there.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # what an oracle prints is no result of ours
                    start_new_session=True,
                )
            self._connection = here
            here.send(sys.path)
            _receive(self._process, here, None)  # the time to start is not the call's
        return self._process, self._connection

    def _bury(self) -> str:
        """Kill what is left of the group; return how its first process ended."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is None or connection is None:
            return "killed"
        _signal(process.pid, signal.SIGKILL)
        connection.close()
        status = process.wait()
        return f"by signal {-status}" if status < 0 else f"exit status {status}"


@final
class Processes(Executor):
    """An executor of so many workers, started as they are needed.

    Unlike a pool of the standard library it survives the death of a worker, fails only the call
    that killed it, and can end a call that takes too long. Leaving it as a context waits for calls
    under way; a KeyboardInterrupt kills them.
    """

    def __init__(self, n_workers: int) -> None:
        if n_workers < 1:
            raise ValueError(f"there must be at least 1 worker, got {n_workers}")
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="worker")
        self._workers = [Worker() for _ in range(n_workers)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call fn(*args, **kwargs) in a worker."""
        return self.submit_within(None, partial(fn, **kwargs) if kwargs else fn, *args)

    def submit_within(
        self, timeout: float | None, function: Callable[..., T], *arguments: Any
    ) -> Future[T]:
        """Call a function in a worker, for ``timeout`` seconds at most; see `Worker.call`."""
        return self._threads.submit(self._call, timeout, function, arguments)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; wait for those under way."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            for worker in self._workers:
                worker.close()

    def kill(self) -> None:
        """Take no more calls and end those under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_type is KeyboardInterrupt:
            self.kill()
        else:
            self.shutdown(cancel_futures=exc_type is not None)

    def _call(
        self, timeout: float | None, function: Callable[..., T], arguments: tuple[Any, ...]
    ) -> T:
        worker = self._idle.get()
        try:
            return worker.call(function, *arguments, timeout=timeout)
        finally:
            self._idle.put(worker)


def call_within(timeout: float, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a worker of its own, for ``timeout`` seconds at most.

    For executors that cannot end a call. Raises what `Worker.call` raises.
    """
    worker = Worker()
    try:
        return worker.call(function, *arguments, timeout=timeout)
    finally:
        worker.kill()


def serve(connection: _Connection) -> None:
    """Be a worker: answer calls until the connection ends, or the process is asked to stop."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        raise StoppedError

    try:
        signal.signal(signal.SIGTERM, stop)
        connection.send_bytes(b"ready")
        while not stopping:
            connection.send_bytes(_answer(connection.recv_bytes(), connection))
    except (EOFError, OSError, StoppedError):  # whoever asked is gone; what was found is on disk
        return


def _answer(message: bytes, connection: _Connection) -> bytes:
    try:
        try:
            timeout, function, arguments = cloudpickle.loads(message)
        finally:
            connection.send_bytes(b"begun")
        # in case that nobody else is there any more to end it
        watch = threading.Timer((timeout or 0.0) + _GRACE, _end_own_group)
        if timeout is not None:
            watch.start()
        try:
            result = function(*arguments)
        finally:
            watch.cancel()
        return bytes(cloudpickle.dumps((True, result)))
    except BaseException as error:
        return bytes(cloudpickle.dumps((False, f"{type(error).__name__}: {error}")))


def _end_own_group() -> None:
    _signal(os.getpid(), signal.SIGTERM)
    sleep(_GRACE)
    _signal(os.getpid(), signal.SIGKILL)


def _receive(
    process: "subprocess.Popen[bytes]", connection: _Connection, timeout: float | None
) -> bytes:
    """Wait for a message, also where something that the process left behind holds the line."""
    give_up = inf if timeout is None else monotonic() + timeout
    while not connection.poll(min(_GLANCE, max(give_up - monotonic(), 0.0))):
        if monotonic() >= give_up:
            raise OverdueError(f"no answer within {timeout:g} s")
        if process.poll() is not None and not connection.poll():
            raise EOFError
    return connection.recv_bytes()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left
        os.killpg(group, number)
