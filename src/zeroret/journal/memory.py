"""The journal in memory: for tests, and for those who can lose what a dead process held."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from zeroret.journal.queue import QUEUE_LIMIT, MemoryQueue, Source
from zeroret.journal.slots import NO_SLOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zeroret.usage.record import UsageRecord


class MemoryJournal:
    """`Journal`'s interface without files: a bounded queue, no slots, nothing survives."""

    def __init__(self, *, queue_limit: int = QUEUE_LIMIT) -> None:
        self.errors = 0
        self.killed = 0
        self.dead = 0
        self._queue_limit = queue_limit
        self._keys: tuple[str, ...] = ()
        self._announce: Callable[[], None] | None = None
        self.after_fork()
        ref = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _renew_child(ref))

    def after_fork(self) -> None:
        """Begin anew in a forked child: the parent delivers what it holds."""
        self._pid = os.getpid()
        self._quiet = True
        self._queue = MemoryQueue(self._queue_limit)
        self._queue.attach(self._keys)

    def open(self) -> MemoryJournal:
        """Do nothing: there is nothing to open."""
        return self

    def append(self, record: UsageRecord) -> None:
        """Append *record*; when the queue is full the oldest is shed."""
        if self._pid != os.getpid():
            self.after_fork()
        self._queue.append(record)
        if self._quiet:
            self._quiet = False
            if self._announce is not None:
                with suppress(Exception):
                    self._announce()

    def record(self, record: UsageRecord, slot: int) -> None:  # noqa: ARG002 - there are no slots
        """Append the record of an exchange."""
        self.append(record)

    def open_slot(self, exchange: bytes, started: float) -> int:  # noqa: ARG002 - there are no slots
        """Return `NO_SLOT`: nothing in memory outlives the process."""
        return NO_SLOT

    def note(self, slot: int, record: UsageRecord) -> None:
        """Do nothing: there are no slots."""

    def free(self, slot: int) -> None:
        """Do nothing: there are no slots."""

    def accepts(self) -> bool:
        """Return True: memory is never refused, the oldest records go."""
        return True

    def wait_durable(self) -> None:
        """Do nothing: nothing in memory outlives the process."""

    def bury(self, key: str, record: bytes, reason: str) -> None:  # noqa: ARG002 - there is no place for it
        """Count a record that its sink will never take; nothing is kept of it."""
        self.dead += 1

    def attach(self, keys: Sequence[str], announce: Callable[[], None] | None = None) -> None:
        """Name the sinks that read, and what to call at each process's first record."""
        self._keys = tuple(keys)
        self._queue.attach(self._keys)
        self._announce = announce

    def sources(self) -> tuple[Source, ...]:
        """Return what to deliver from."""
        return (self._queue,)

    def mark(self) -> list[tuple[Source, Any]]:
        """Return the place behind everything appended so far."""
        return [(self._queue, self._queue.mark())]

    def adopt(self) -> int:
        """Return 0: nobody leaves anything."""
        return 0

    def collect(self) -> None:
        """Do nothing: the queue drops by itself what every sink holds."""

    def close(self) -> None:
        """Do nothing: what was not delivered ends with the process."""

    @property
    def shed(self) -> int:
        """How many records were lost because the queue was full."""
        return self._queue.shed

    def counters(self) -> dict[str, int]:
        """Return the counts for the posture, the same as `Journal`'s."""
        return {
            "errors": self.errors,
            "shed": self.shed,
            "queued": len(self._queue),
            "torn": 0,
            "killed": 0,
            "adopted": 0,
            "live": 0,
            "dead": self.dead,
            "unsynced": 0,
        }


def _renew_child(ref: weakref.ref[MemoryJournal]) -> None:
    journal = ref()
    if journal is not None:
        journal.after_fork()
