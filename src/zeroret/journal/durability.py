"""How durable the journal is: when it syncs, how much it may hold, and what if it is full."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Fsync: TypeAlias = Literal["never", "interval", "always"]
"""``never``: a killed process loses nothing, a power cut what the kernel had not written back.
``interval``: a power cut loses at most the last second. ``always``: a reply's last piece waits
until its record is on the disk."""

Full: TypeAlias = Literal["memory", "shed", "refuse"]
"""While the disk takes nothing, records ``memory``: wait in memory, up to a limit; ``shed``: are
lost at once; ``refuse``: of exchanges in flight wait in memory, and new requests get a 503. All are
counted."""

SEGMENT_BYTES: Final = 8 * 2**20
"""At which size a segment is closed and the next one begun."""

JOURNAL_BYTES: Final = 2**30
"""How much one process's undelivered segments may hold together."""

LEAST_BYTES: Final = 2**20
"""The smallest bound that may be set."""

INTERVAL: Final = 1.0
"""Seconds between two syncs."""


@dataclass(frozen=True, slots=True)
class Durability:
    """What an operator chose.

    Args:
        fsync: when appended records are forced to the disk.
        full: what happens to records while the disk takes none.
        most_bytes: how much the segments of one process may hold; beyond that the disk counts as
            full.
        segment_bytes: at which size a segment is closed and the next one begun.
    """

    fsync: Fsync = "never"
    full: Full = "memory"
    most_bytes: int = JOURNAL_BYTES
    segment_bytes: int = SEGMENT_BYTES

    @property
    def segment(self) -> int:
        """The size of a segment: small enough that delivered ones make room within the bound."""
        return min(self.segment_bytes, max(self.most_bytes // 8, 1))


DEFAULT: Final = Durability()
"""Safe against killed processes, at no cost to replies."""


class Syncer:
    """Brings appended records to the disk, many with one call of the system.

    Args:
        sync: forces everything appended so far to the disk; may raise OSError.
        clock: seconds, monotonic.
    """

    def __init__(
        self, sync: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.errors = 0
        """How many syncs failed: what they covered may not survive a power cut."""
        self._sync = sync
        self._clock = clock
        self._appended = 0
        self._synced = 0
        self._at = 0.0
        self._lock = threading.Lock()

    def appended(self) -> None:
        """Note that a record was appended."""
        self._appended += 1

    def wait(self) -> None:
        """Return when everything appended before this call is on the disk, or could not be."""
        wanted = self._appended
        with self._lock:
            if self._synced < wanted:  # else another caller's sync covered this one's records
                self._run()

    def look(self) -> None:
        """Sync if the interval is over and something is new; never waits for another's sync."""
        if self._synced == self._appended or self._clock() - self._at < INTERVAL:
            return
        if self._lock.acquire(blocking=False):
            try:
                self._run()
            finally:
                self._lock.release()

    def _run(self) -> None:
        covered = self._appended
        self._at = self._clock()
        try:
            self._sync()
        except OSError:
            self.errors += 1
        self._synced = covered


class Ticker:
    """Calls a function once in a while, in a daemon thread that ends with its owner's wish.

    Args:
        call: what to call; its errors are its own matter.
        seconds: from one call to the next.
    """

    def __init__(self, call: Callable[[], None], seconds: float = INTERVAL) -> None:
        self._call = call
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; harmless where the interpreter starts none any more."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="zeroret-fsync", daemon=True)
            with suppress(RuntimeError):
                self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._call()
