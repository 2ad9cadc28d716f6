"""Delivery: one thread per sink, from the journal to the sinks, off the reply's path."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from zeroret.errors import ConfigurationError
from zeroret.journal.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.journal.files import Journal
    from zeroret.journal.memory import MemoryJournal
    from zeroret.journal.runner import Complete
    from zeroret.types import UsageSink

    AnyJournal: TypeAlias = Journal | MemoryJournal

THREAD_NAME: Final = "zeroret-delivery"
"""How the names of the delivery threads begin."""

_INTERVAL: Final = 0.2
_ADOPT_EVERY: Final = 30.0
_EXIT_TIMEOUT: Final = 5.0
_POLL: Final = 0.003


class Delivery:
    """Feeds every sink from the journal, each from its own cursor.

    Threads start at each process's first record, or with `start`, never at interpreter exit. No
    error escapes; counters tell. Delivery is at least once, with one id: sinks ignore known ids.

    Args:
        journal: where records come from.
        sinks: pairs of a stable short name and the sink.
        interval: seconds between looks into the journal.
        adopt_every: seconds between looks for what dead processes left.
        complete: fills in what was too slow for the reply's path, such as prices.
    """

    def __init__(
        self,
        journal: AnyJournal,
        sinks: Sequence[tuple[str, UsageSink]],
        *,
        interval: float = _INTERVAL,
        adopt_every: float = _ADOPT_EVERY,
        complete: Complete | None = None,
    ) -> None:
        keys = [key for key, _ in sinks]
        if len(set(keys)) != len(keys):
            raise ConfigurationError("two sinks are the same: name each destination once")
        self._journal = journal
        self._runners = [
            Runner(
                key,
                sink,
                journal,
                interval=interval,
                adopt_every=adopt_every if number == 0 else 0.0,  # one of them is enough
                complete=complete,
            )
            for number, (key, sink) in enumerate(sinks)
        ]
        self._closed = False
        self._renew()
        ref = weakref.ref(self)
        journal.attach(keys, lambda: _start(ref))
        os.register_at_fork(after_in_child=lambda: _renew_child(ref))
        self._at_exit = lambda: _close_at_exit(ref)
        atexit.register(self._at_exit)

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._started = False
        self._inline = False

    def after_fork(self) -> None:
        """Begin anew in a forked child: its threads start at its own first record."""
        self._renew()
        for runner in self._runners:
            runner.renew()

    def start(self) -> None:
        """Start the threads of this process, which also adopt what dead processes left."""
        if self._pid != os.getpid():
            self.after_fork()
        with self._lock:
            if self._started:
                return
            self._started = True
            self._closed = False
            for number, runner in enumerate(self._runners):
                if not self._inline:
                    try:
                        runner.start(f"{THREAD_NAME}-{number}")
                    except RuntimeError:  # at interpreter exit, or no more threads to be had
                        self._inline = True

    def flush(self, timeout: float = _EXIT_TIMEOUT) -> bool:
        """Wait until every sink holds everything appended so far; False after *timeout* seconds.

        Where no thread runs, the calling thread delivers.
        """
        deadline = time.monotonic() + timeout
        self.start()
        marks = self._journal.mark()
        waiting = list(self._runners)
        for runner in waiting:
            runner.wake()
        while True:
            for runner in waiting:
                if runner.thread is None or not runner.thread.is_alive():
                    runner.step(deadline)
            waiting = [
                runner
                for runner in waiting
                if not all(source.passed(runner.key, mark) for source, mark in marks)
            ]
            if not waiting or time.monotonic() >= deadline:
                return not waiting
            time.sleep(_POLL)

    def close(self, timeout: float = _EXIT_TIMEOUT) -> bool:
        """Flush, end the threads, close sinks and journal; False if something stays undelivered.

        What stays is on disk, and the next start delivers it. Closing is a courtesy.
        """
        atexit.unregister(self._at_exit)
        deadline = time.monotonic() + timeout
        flushed = self.flush(timeout) if self._started else True  # not started: nothing appended
        for runner in self._runners:
            runner.stop()
        for runner in self._runners:
            if runner.ended(deadline - time.monotonic()):
                with suppress(Exception):
                    runner.sink.close()
        with self._lock:
            self._started = False
            self._closed = True
        self._journal.close()
        return flushed

    def lag(self) -> float:
        """Return for how many seconds the furthest sink has been behind; 0.0 if none is."""
        return max((runner.lag() for runner in self._runners), default=0.0)

    def counters(self) -> dict[str, Any]:
        """Return the counts for the posture: the journal's, and each sink's by its key."""
        return {
            "journal": self._journal.counters(),
            "sinks": {
                runner.key: {
                    "delivered": runner.delivered,
                    "retries": runner.retries,
                    "dead": runner.dead,
                    "breaker": runner.breaker,
                    "last_error": runner.last_error,
                    "lag": round(runner.lag(), 3),
                }
                for runner in self._runners
            },
        }


def _start(ref: weakref.ref[Delivery]) -> None:
    delivery = ref()
    if delivery is not None and not delivery._closed:  # noqa: SLF001 - our own
        delivery.start()


def _renew_child(ref: weakref.ref[Delivery]) -> None:
    delivery = ref()
    if delivery is not None:
        delivery.after_fork()


def _close_at_exit(ref: weakref.ref[Delivery]) -> None:
    delivery = ref()
    if delivery is not None:
        delivery._inline = True  # noqa: SLF001 - our own: no thread is started from here on
        delivery.close()
