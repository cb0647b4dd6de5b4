"""Processes that evaluate, each of which can be ended with all that it has started.

A worker answers one call at a time. It can be killed at a timeout, and nobody else's work is
touched; when it dies by itself, the one call that it was answering is known. A worker outlives the
process that started it until its call is finished.

Workers are new interpreters, never forks: forking a process in which torch runs threads can hang.
Calls travel by cloudpickle, so that functions of a script need no importable module, through the
worker's standard input and output: every system has these, and they end when their owner ends.
"""

import json
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
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from types import TracebackType
from typing import IO, Any, TypeVar, cast, final

import cloudpickle

from adaptsample.core.files import write_all
from adaptsample.core.processes import Tree, start
from adaptsample.errors import OverdueError, WorkerLostError

T = TypeVar("T")
_GRACE = 3.0  # seconds between asking a worker to end and ending it
_GLANCE = 0.2  # seconds between two looks at whether a silent worker is alive
_READY = b"a worker of adaptsample is ready\n"
_START = """
import json, os, sys
requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what an oracle prints is no result of ours
sys.stdout = sys.stderr
with open(os.devnull) as nothing:
    os.dup2(nothing.fileno(), 0)
sys.path[:] = json.loads(requests.readline())
from adaptsample.evaluation.workers import serve
serve(requests, answers)
"""


class StoppedError(BaseException):
    """Raised in a worker that is asked to end, for what it calls to clean up."""


@final
class Worker:
    """One process, started with its first call and again after it died."""

    def __init__(self) -> None:
        self._line: _Line | None = None

    def call(self, function: Callable[..., T], *arguments: Any, timeout: float | None = None) -> T:
        """Call a function in the worker and return what it returns.

        Raises:
            WorkerLostError: the process died; the message has its exit status.
            OverdueError: it took longer than ``timeout`` seconds.
            RuntimeError: the call could not be made there, or its result not be sent.
        """
        message = cloudpickle.dumps((timeout, function, arguments))
        try:
            line = self._running()
            line.send(message)
            line.receive(None)  # once it has imported what the call needs
            ok, result = cloudpickle.loads(line.receive(timeout))
        except OverdueError:
            self.kill()
            raise
        except (EOFError, OSError):
            raise WorkerLostError(f"the worker died, {self._bury()}") from None
        if not ok:
            raise RuntimeError(result)
        return result  # type: ignore[no-any-return]

    def kill(self) -> None:
        """End the process with all that it has started, politely at first."""
        if self._line is not None and self._line.process.poll() is None:
            self._line.tree.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._line.process.wait(_GRACE)
        self._bury()

    def close(self) -> None:
        """Let the process end; it must be idle."""
        if self._line is not None:
            self._line.hang_up()  # which it takes for the end
            with suppress(subprocess.TimeoutExpired):
                self._line.process.wait(_GRACE)
            self._bury()

    def _running(self) -> "_Line":
        if self._line is not None and self._line.process.poll() is not None:
            self._bury()  # it died while it was idle, which is nobody's fault
        if self._line is None:
            self._line = _Line()
            self._line.open()  # the time to start is not the call's
        return self._line

    def _bury(self) -> str:
        """Kill what is left of the worker; return how its process ended."""
        line, self._line = self._line, None
        if line is None:
            return "killed"
        line.tree.kill()
        line.hang_up()
        status = line.process.wait()
        return f"by signal {-status}" if status < 0 else f"exit status {status}"


@final
class _Line:
    """A worker's process, and the messages to it and from it."""

    def __init__(self) -> None:
        self.process = start(
            [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.tree = Tree(self.process.pid)
        self._requests = cast(IO[bytes], self.process.stdin)
        self._answers: SimpleQueue[bytes | None] = SimpleQueue()
        # a thread, for a pipe cannot be waited for on all systems; also one that never ends, as
        # something that the worker has left behind may hold it open
        line = self.process.stdout, self._answers
        threading.Thread(target=_listen, args=line, daemon=True).start()

    def open(self) -> None:
        """Wait until the worker is ready."""
        write_all(self._requests.fileno(), json.dumps(sys.path, default=str).encode() + b"\n")
        self.receive(None)

    def send(self, message: bytes) -> None:
        _send(self._requests, message)

    def receive(self, timeout: float | None) -> bytes:
        """Wait for a message, also where something that the process left behind holds the line."""
        give_up = inf if timeout is None else monotonic() + timeout
        while True:
            ended = self.process.poll() is not None
            try:
                message = self._answers.get(timeout=min(_GLANCE, max(give_up - monotonic(), 0.0)))
            except Empty:
                if monotonic() >= give_up:
                    raise OverdueError(f"no answer within {timeout:g} s") from None
                if ended:
                    raise EOFError from None
            else:
                if message is None:
                    raise EOFError
                return message

    def hang_up(self) -> None:
        with suppress(OSError):  # what was not sent yet cannot be sent any more
            self._requests.close()


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


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Be a worker: answer calls until nobody asks any more, or the process is asked to stop."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        raise StoppedError

    try:
        signal.signal(signal.SIGTERM, stop)
        # what the start of Python printed stands before it
        write_all(answers.fileno(), b"\n" + _READY)
        _send(answers, b"")
        while not stopping and (request := _receive(requests)) is not None:
            _send(answers, _answer(request, answers))
    except (OSError, StoppedError):  # whoever asked is gone; what was found is on disk
        return


def _answer(message: bytes, answers: IO[bytes]) -> bytes:
    try:
        try:
            timeout, function, arguments = cloudpickle.loads(message)
        finally:
            _send(answers, b"")  # it has begun
        # in case that nobody else is there any more to end it
        watch = threading.Timer((timeout or 0.0) + _GRACE, _end_oneself)
        if timeout is not None:
            watch.start()
        try:
            result = function(*arguments)
        finally:
            watch.cancel()
        return bytes(cloudpickle.dumps((True, result)))
    except BaseException as error:
        return bytes(cloudpickle.dumps((False, f"{type(error).__name__}: {error}")))


def _end_oneself() -> None:
    tree = Tree(os.getpid())
    tree.terminate()
    sleep(_GRACE)
    tree.kill()


def _listen(answers: IO[bytes], queue: "SimpleQueue[bytes | None]") -> None:
    """Put a worker's messages into a queue, and None at their end."""
    with answers:
        while answers.readline() not in (_READY, b""):
            pass
        while (message := _receive(answers)) is not None:
            queue.put(message)
    queue.put(None)


def _send(line: IO[bytes], message: bytes) -> None:
    write_all(line.fileno(), len(message).to_bytes(8, "big") + message)


def _receive(line: IO[bytes]) -> bytes | None:
    """Return the next message; None if there is none, or not all of it."""
    length = line.read(8)
    if len(length) < 8:
        return None
    message = line.read(size := int.from_bytes(length, "big"))
    return message if len(message) == size else None
