"""Carrying records to one sink: at least once, in batches, with back-off."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from zeroret.journal.queue import Source
    from zeroret.types import UsageSink

BATCH: Final = 500
"""How many records a sink gets at once, at most."""

_log: Final = logging.getLogger("zeroret")
_BACKOFF_FIRST: Final = 0.1
_BACKOFF_MOST: Final = 30.0


class Readable(Protocol):
    """What a runner needs of a journal."""

    def sources(self) -> tuple[Source, ...]:
        """Return what to deliver from."""

    def adopt(self) -> int:
        """Adopt what dead processes left."""

    def collect(self) -> None:
        """Remove what every sink holds."""


class Runner:
    """One sink and the thread that feeds it; sinks do not hold each other up.

    Args:
        key: the sink's stable short name, for its cursors.
        sink: where records go; called by one thread at a time.
        journal: where they come from.
        interval: seconds between looks into the journal.
        adopt_every: seconds between looks for dead processes' sets; 0 for never.
    """

    def __init__(
        self, key: str, sink: UsageSink, journal: Readable, *, interval: float, adopt_every: float
    ) -> None:
        self.key = key
        self.sink = sink
        self._journal = journal
        self._interval = interval
        self._adopt_every = adopt_every
        self.renew()

    def renew(self) -> None:
        """Begin anew, in this process: no thread, no locks of a parent's."""
        self.thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._stopping = False
        self._failures = 0
        self._caught_up: float | None = None
        self.delivered = 0
        self.retries = 0
        self.last_error: str | None = None
        self._adopt_at = 0.0

    def start(self, name: str) -> None:
        """Start the thread; raises RuntimeError where the interpreter starts none any more."""
        if self.thread is not None and self.thread.is_alive():
            return
        self._stopping = False
        self._caught_up = time.monotonic()
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        thread.start()
        self.thread = thread

    def wake(self) -> None:
        """Look into the journal now, even in a back-off."""
        self._wake.set()

    def stop(self) -> None:
        """Ask the thread to end after the batch at hand."""
        self._stopping = True
        self._wake.set()

    def ended(self, timeout: float) -> bool:
        """Wait for the thread; tell whether it is gone."""
        thread = self.thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(timeout, 0.0))
        return not thread.is_alive()

    def lag(self) -> float:
        """Return for how many seconds the sink has lacked something; 0.0 if it lacks nothing."""
        since = self._caught_up
        return 0.0 if since is None else max(time.monotonic() - since - self._interval, 0.0)

    def _run(self) -> None:
        while not self._stopping:
            wait = self._interval if self.step() else self._backoff()
            self._wake.wait(wait)
            self._wake.clear()

    def step(self, deadline: float | None = None) -> bool:
        """Deliver what there is, until *deadline* (monotonic); False if the sink failed."""
        if not self._lock.acquire(blocking=False):
            return True  # the thread is at it
        try:
            if deadline is None:
                self._adopt()
            for source in self._journal.sources():
                self._drain(source, deadline)
            if self._adopt_every:
                self._journal.collect()
        except BaseException as error:  # noqa: BLE001 - whatever a sink throws must not end delivery
            self.retries += 1
            self.last_error = type(error).__name__  # never its text
            if not self._failures:
                _log.warning("a sink fails, its records wait: %s", self.last_error)
            return False
        finally:
            self._lock.release()
        self._failures = 0
        if deadline is None or time.monotonic() < deadline:
            self._caught_up = time.monotonic()
        return True

    def _drain(self, source: Source, deadline: float | None) -> None:
        while not self._stopping or deadline is not None:
            batch = source.peek(self.key, BATCH)
            if batch is None:
                return
            if batch.records:
                self.sink.write(batch.records)
            source.advance(self.key, batch)  # after the sink has it: at least once
            self.delivered += len(batch.records)
            if deadline is not None and time.monotonic() >= deadline:
                return

    def _adopt(self) -> None:
        now = time.monotonic()
        if self._adopt_every and now >= self._adopt_at:
            self._adopt_at = now + self._adopt_every
            self._journal.adopt()

    def _backoff(self) -> float:
        """Return the seconds to wait after a failure: doubling, with jitter."""
        self._failures += 1
        most = min(_BACKOFF_FIRST * 2.0 ** min(self._failures - 1, 16), _BACKOFF_MOST)
        return most * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
