"""A bounded queue in memory that several sinks read, each at its own pace."""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.usage.record import UsageRecord

QUEUE_LIMIT: Final = 10_000
"""How many records the queue holds before the oldest are shed."""


class Batch(NamedTuple):
    """Records to deliver, and the place behind them."""

    records: list[UsageRecord]
    end: Any
    torn: int = 0
    """How many damaged lines were skipped on the way."""
    unread: tuple[bytes, ...] = ()
    """Whole lines, as JSON objects, that are no records of this release."""


class Source(Protocol):
    """Something that records are delivered from; *key* names the sink that reads."""

    def peek(self, key: str, limit: int) -> Batch | None:
        """Return the next records for a sink, None if there are none; moves nothing."""

    def advance(self, key: str, batch: Batch) -> None:
        """Note that the sink holds *batch*."""

    def mark(self) -> Any:
        """Return the place behind everything appended so far."""

    def passed(self, key: str, mark: Any) -> bool:
        """Tell whether the sink holds everything before *mark*."""


class MemoryQueue:
    """The queue; safe for threads. When it is full the oldest record goes, and is counted."""

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self.limit = limit
        self.shed = 0
        # Re-entrant: garbage collection inside may finish an exchange, which appends.
        self._lock = threading.RLock()
        self._records: deque[UsageRecord] = deque()
        self._first = 0
        self._positions: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._records)

    def attach(self, keys: Sequence[str]) -> None:
        """Name the sinks that read; a record is dropped once they all hold it."""
        with self._lock:
            self._positions = {key: self._positions.get(key, self._first) for key in keys}

    def append(self, record: UsageRecord) -> None:
        """Add a record."""
        with self._lock:
            self._records.append(record)
            if len(self._records) > self.limit:
                self._records.popleft()
                self._first += 1
                self.shed += 1

    def peek(self, key: str, limit: int) -> Batch | None:
        """Return the next records for a sink, None if there are none."""
        if not self._records:
            return None
        with self._lock:
            start = max(self._positions.get(key, self._first), self._first)
            records = list(islice(self._records, start - self._first, start - self._first + limit))
        return Batch(records, start + len(records)) if records else None

    def advance(self, key: str, batch: Batch) -> None:
        """Note that the sink holds *batch*, and drop what every sink holds."""
        with self._lock:
            self._positions[key] = batch.end
            held = min(self._positions.values())
            while self._records and self._first < held:
                self._records.popleft()
                self._first += 1

    def mark(self) -> int:
        """Return the place behind everything appended so far."""
        with self._lock:
            return self._first + len(self._records)

    def passed(self, key: str, mark: int) -> bool:
        """Tell whether the sink holds everything before *mark* that was not shed."""
        with self._lock:
            return max(self._positions.get(key, self._first), self._first) >= mark
