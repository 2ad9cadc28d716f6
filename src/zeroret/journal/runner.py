"""Carrying records to one sink: at least once, in batches, with back-off."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from zeroret.errors import RecordRefusedError, SinkError
from zeroret.journal.deadletters import NEWER
from zeroret.usage.record import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.journal.queue import Source
    from zeroret.types import UsageSink
    from zeroret.usage.record import UsageRecord

BATCH: Final = 500
"""How many records a sink gets at once, at most, unless its ``batch`` says otherwise."""

_log: Final = logging.getLogger("zeroret")
_BACKOFF_FIRST: Final = 0.1
_BACKOFF_MOST: Final = 30.0
_UNREAD: Final = (
    "records of a newer zeroret are put aside: upgrade, then queue them again with "
    "zeroret journal repair"
)
_OPEN_AT: Final = 5  # failures in a row after which a sink is asked with one record at a time


Complete: TypeAlias = Callable[["Sequence[UsageRecord]"], "Sequence[UsageRecord]"]


class Readable(Protocol):
    """What a runner needs of a journal."""

    def sources(self) -> tuple[Source, ...]:
        """Return what to deliver from."""

    def adopt(self) -> int:
        """Adopt what dead processes left."""

    def collect(self) -> None:
        """Remove what every sink holds."""

    def bury(self, key: str, record: bytes, reason: str) -> None:
        """Put a record aside that the sink will never take."""


class Runner:
    """One sink and the thread that feeds it; sinks do not hold each other up.

    Args:
        key: the sink's stable short name, for its cursors.
        sink: where records go; called by one thread at a time.
        journal: where they come from.
        interval: seconds between looks into the journal.
        adopt_every: seconds between looks for dead processes' sets; 0 for never.
        complete: fills in what was too slow for the reply's path, such as prices.
    """

    def __init__(  # noqa: PLR0913 - one name for each thing it works with
        self,
        key: str,
        sink: UsageSink,
        journal: Readable,
        *,
        interval: float,
        adopt_every: float,
        complete: Complete | None = None,
    ) -> None:
        self.key = key
        self.sink = sink
        self._batch: int = getattr(sink, "batch", BATCH)
        self._complete = complete
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
        self.dead = 0
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

    @property
    def breaker(self) -> Literal["closed", "open"]:
        """``open`` while the sink has failed so often that it is only asked with one record."""
        return "open" if self._failures >= _OPEN_AT else "closed"

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
            # Of our own errors the text, which names no secret; of others never.
            self.last_error = str(error) if isinstance(error, SinkError) else type(error).__name__
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
            # A broken store is asked with little, so that its recovery is not another overload.
            batch = source.peek(self.key, 1 if self.breaker == "open" else self._batch)
            if batch is None:
                return
            if batch.records:
                self._write(self._completed(batch.records))
                self._failures = 0
            for line in batch.unread:
                self.last_error = _UNREAD
                self._bury(line, NEWER)
            source.advance(self.key, batch)  # after the sink has it: at least once
            if deadline is not None and time.monotonic() >= deadline:
                return

    def _bury(self, record: bytes, reason: str) -> None:
        self._journal.bury(self.key, record, reason)
        self.dead += 1

    def _completed(self, records: Sequence[UsageRecord]) -> Sequence[UsageRecord]:
        if self._complete is None:
            return records
        try:
            return self._complete(records)
        except Exception as error:  # noqa: BLE001 - a record without a price is better than none
            self.last_error = type(error).__name__
            return records

    def _write(self, records: Sequence[UsageRecord]) -> None:
        """Hand *records* to the sink; what it will never take is put aside, the others go on."""
        try:
            self.sink.write(records)
        except RecordRefusedError as error:
            self.last_error = error.reason
            if len(records) == 1:
                self._bury(encode(records[0]), error.reason)
                return
            parts = _parts(records, error.ids)
        else:
            self.delivered += len(records)
            return
        # Outside of the handler: what a later part raises is not this refusal's consequence.
        for part in parts:
            self._write(part)

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


def _parts(records: Sequence[UsageRecord], refused: frozenset[str]) -> list[Sequence[UsageRecord]]:
    """Return *records* in parts: the refused ones alone if they are named, else two halves."""
    named = [record for record in records if record.id in refused]
    if named:
        rest = [record for record in records if record.id not in refused]
        return [*([rest] if rest else []), *([record] for record in named)]
    middle = len(records) // 2
    return [records[:middle], records[middle:]]
