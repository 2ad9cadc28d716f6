"""Records in memory: for tests and for looking around."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from zeroret.errors import ConfigurationError
from zeroret.sinks.columns import Restriction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeroret.usage.record import UsageRecord

LIMIT: Final = 100_000
"""How many records a memory sink holds before the oldest are dropped."""


class MemorySink:
    """Holds the newest records in order, each id once; safe for threads.

    Args:
        uri: ``memory:`` or ``memory:name``; only its form matters here.
        columns: the policy's columns; None keeps all.
        limit: how many records are held.
    """

    def __init__(
        self, uri: str = "memory:", *, columns: Iterable[str] | None = None, limit: int = LIMIT
    ) -> None:
        self.check(uri)
        self.dropped = 0
        """How many records had to go for newer ones."""
        self._limit = limit
        self._restriction = Restriction(columns)
        self._lock = threading.Lock()
        self._records: dict[str, UsageRecord] = {}

    @staticmethod
    def check(uri: str) -> None:
        """Raise `ConfigurationError` if *uri* is not of the form ``memory:name``."""
        if uri.partition(":")[0].lower() != "memory" or "/" in uri:
            raise ConfigurationError(f"sink {uri!r}: write memory: or memory:name, without slashes")

    @classmethod
    def open(cls, uri: str, *, columns: Iterable[str] | None = None) -> MemorySink:
        """Return the sink that *uri* names, the same one for the same name."""
        cls.check(uri)
        sink = get(uri.partition(":")[2])
        sink.restrict(columns)
        return sink

    @property
    def records(self) -> list[UsageRecord]:
        """The records, the oldest first."""
        with self._lock:
            return list(self._records.values())

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Add the records whose ids are new."""
        with self._lock:
            for record in self._restriction.apply(records):
                self._records.setdefault(record.id, record)
            while len(self._records) > self._limit:
                del self._records[next(iter(self._records))]
                self.dropped += 1

    def restrict(self, columns: Iterable[str] | None) -> None:
        """Keep only *columns* of the records that come from now on."""
        self._restriction = Restriction(columns)

    def clear(self) -> None:
        """Forget every record."""
        with self._lock:
            self._records.clear()

    def close(self) -> None:
        """Do nothing: the records can still be read."""


_named: Final[dict[str, MemorySink]] = {}


def get(name: str = "") -> MemorySink:
    """Return this process's sink ``memory:name``, made at the first call."""
    return _named.setdefault(name, MemorySink())
