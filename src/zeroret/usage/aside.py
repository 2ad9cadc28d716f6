"""Long counts, done aside: in one thread, so that no event loop stands still for them.

The encoder gives the interpreter's lock free while it works, so that the upstream's answer passes
meanwhile.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

THREAD_NAME: Final = "zeroret-count"

MOST_WAITING: Final = 64
"""The most jobs that wait or run; each may hold a prompt."""

_PATIENCE: Final = 5.0  # seconds that the interpreter's exit waits for the job that runs


class Job(Generic[T]):
    """A piece of work: its result once it is done, None if it failed."""

    __slots__ = ("_after", "_done", "_lock", "_work", "result")

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._after: list[Callable[[T | None], object]] = []
        self.result: T | None = None

    def wait(self, timeout: float) -> bool:
        """Wait until it is done; False if it is not after *timeout* seconds."""
        return self._done.wait(timeout)

    def then(self, act: Callable[[T | None], object]) -> None:
        """Call *act* with the result, in the thread that counts, or at once if that is over."""
        with self._lock:
            if not self._done.is_set():
                self._after.append(act)
                return
        act(self.result)

    def run(self) -> None:
        """Do the work and let go of all it holds. Never raises."""
        work, self._work = self._work, None
        with contextlib.suppress(Exception):
            if work is not None:
                self.result = work()
        del work
        with self._lock:
            self._done.set()
        for act in self._after:
            with contextlib.suppress(Exception):
                act(self.result)
        self._after.clear()


class _Worker:
    """The thread and what waits for it; a forked child begins with a new one."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job[object] | None] = SimpleQueue()
        self.lock = threading.Lock()
        self.waiting = 0
        self.thread: threading.Thread | None = None
        self.ending = False

    def start(self, job: Job[object]) -> bool:
        with self.lock:
            if self.ending or self.waiting >= MOST_WAITING:
                return False
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
                self.thread.start()
            self.waiting += 1
        self.jobs.put(job)
        return True

    def _run(self) -> None:
        while True:
            job = self.jobs.get()
            if job is None:
                return
            job.run()
            del job
            with self.lock:
                self.waiting -= 1


_worker = _Worker()


def start(work: Callable[[], T]) -> Job[T] | None:
    """Have *work* done aside; None if too much waits, or the process ends. Never raises."""
    job: Job[T] = Job(work)
    try:
        return job if _worker.start(job) else None  # type: ignore[arg-type] # its result stays with it
    except Exception:  # noqa: BLE001 - no thread can be had
        return None


def settle(timeout: float) -> bool:
    """Wait until nothing waits or runs; False if something does after *timeout* seconds."""
    end = time.monotonic() + timeout
    while _worker.waiting:
        if time.monotonic() >= end:
            return False
        time.sleep(0.001)
    return True


def _after_fork_in_child() -> None:
    global _worker  # noqa: PLW0603 - the parent's thread is not here, and its lock may be held
    _worker = _Worker()


def _at_exit() -> None:
    # a daemon thread that is stopped inside the native encoder could take the process down
    worker = _worker
    with worker.lock:
        worker.ending = True
        thread = worker.thread
    if thread is not None:
        worker.jobs.put(None)
        thread.join(_PATIENCE)


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork_in_child)
