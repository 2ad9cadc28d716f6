"""The journal on disk: what is appended survives the process, and no exchange goes unrecorded."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import ConfigurationError
from zeroret.journal.deadletters import DeadLetters
from zeroret.journal.durability import DEFAULT, Durability, Syncer, Ticker
from zeroret.journal.folder import Folder
from zeroret.journal.inheritance import Inheritance
from zeroret.journal.lines import frame
from zeroret.journal.orphans import Killed, killed_record
from zeroret.journal.ownset import OwnSet
from zeroret.journal.queue import QUEUE_LIMIT, MemoryQueue, Source
from zeroret.journal.slots import NO_SLOT
from zeroret.usage.record import UsageRecord, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_RETRY: Final = 1.0
"""Seconds between attempts to make the files after one has failed."""

_GENERATION: Final = 1 << 32
"""Distance between the slot handles of a process and of its forked child."""


class Journal:
    """A durable queue of usage records in a directory, shared by any number of processes.

    Safe for threads. Nothing but `open` raises: a record that the disk does not take waits in
    memory, and *errors* and *shed* tell. Files are made at the first exchange, in each process.

    Args:
        directory: made with mode 0700 if missing; must be private to this user.
        durability: when it syncs, how much it may hold, and what happens when it is full.
        queue_limit: how many records wait in memory while the disk takes none.
        killed: builds the record of an exchange whose process died: ``killed(id, started, noted)``.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        durability: Durability = DEFAULT,
        queue_limit: int = QUEUE_LIMIT,
        killed: Killed = killed_record,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.errors = 0
        """How many appends the disk did not take."""
        self.durability = durability
        self._queue_limit = queue_limit
        self._make_killed = killed
        self._keys: tuple[str, ...] = ()
        self._announce: Callable[[], None] | None = None
        self._base = 0
        self._folder: Folder | None = None
        self._own: OwnSet | None = None
        self._inherited = Inheritance()
        self._dead = DeadLetters()
        self._renew()
        ref = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _renew_child(ref))

    def _renew(self) -> None:
        """Begin anew in this process; what a parent had is the parent's."""
        self._pid = os.getpid()
        # Re-entrant: garbage collection inside may finish an exchange, which appends.
        self._lock = threading.RLock()
        self._queue = MemoryQueue(self._queue_limit)
        self._queue.attach(self._keys)
        self._quiet = True
        self._closed = False
        self._retry_at = 0.0
        self._failing = False
        self._shed = 0
        self._syncer = Syncer(self._sync)
        self._dead.renew()
        self._ticker: Ticker | None = None
        self._inherited.release()  # else a child would keep its parent's locks alive
        if self._own is not None:
            self._own.release()
        if self._folder is not None:
            self._folder.close()
        self._own = None
        self._folder = None

    def after_fork(self) -> None:
        """Begin anew in a forked child: no locks, files or records of the parent's."""
        self._base += _GENERATION
        self._renew()

    def open(self) -> Journal:
        """Make and check the directory; raises `ConfigurationError`. Adopts nothing yet."""
        self._closed = False
        self._opened()
        return self

    def _opened(self) -> Folder:
        with self._lock:
            if self._folder is None:
                self._folder = Folder(self.directory)
            return self._folder

    # The way in: on the reply's path.

    def append(self, record: UsageRecord) -> None:
        """Append *record*: one encoding, one checksum, one ``write``."""
        try:
            line = frame(encode(record))
        except Exception:  # noqa: BLE001 - never raises; a record no codec takes no sink takes
            self.errors += 1
            return
        if self._pid != os.getpid():  # forked by a server that runs no fork hooks
            self.after_fork()
        try:
            with self._lock:
                own = self._own or self._begin()
                if own is None:
                    raise BlockingIOError
                own.writer.write(line)
        except OSError:
            self._not_taken(record)
        else:
            self._failing = False
            self._syncer.appended()
        if self._quiet:
            self._first()

    def _not_taken(self, record: UsageRecord) -> None:
        self.errors += 1
        if not self._failing:
            self._failing = True
            self._retry_at = max(self._retry_at, time.monotonic() + _RETRY)
        if self.durability.full == "shed":
            self._shed += 1
        else:
            self._queue.append(record)

    def accepts(self) -> bool:
        """Tell whether a new exchange may begin: not while ``full="refuse"`` and the disk is.

        While it is, the disk is tried again once a second.
        """
        if not self._failing or self.durability.full != "refuse":
            return True
        if time.monotonic() < self._retry_at:
            return False
        try:
            with self._lock:
                self._retry_at = time.monotonic() + _RETRY
                own = self._own or self._begin()
                if own is None:
                    return False
                own.writer.write(b"\n")  # an empty line says nothing, and takes room like any
        except OSError:
            return False
        self._failing = False
        return True

    def wait_durable(self) -> None:
        """Return when everything appended so far is on the disk; at once but for ``always``."""
        if self.durability.fsync == "always":
            self._syncer.wait()

    def _sync(self) -> None:
        own = self._own
        if own is not None:
            own.writer.sync()

    def record(self, record: UsageRecord, slot: int) -> None:
        """Append the record of an exchange, then give its slot back."""
        self.append(record)
        own = self._own
        if own is not None and slot != NO_SLOT:
            own.slots.free(slot)
            if self._closed:
                self.close()

    def open_slot(self, exchange: bytes, started: float) -> int:
        """Claim a live slot for the exchange with this 16-byte id; `NO_SLOT` if there is none.

        *started* is in seconds since the epoch.
        """
        own = self._own
        if own is None or self._pid != os.getpid():
            if self._pid != os.getpid():
                self.after_fork()
            with self._lock:
                own = self._own or self._begin()
            if own is None:
                return NO_SLOT
        return own.slots.open(exchange, started)

    def note(self, slot: int, record: UsageRecord) -> None:
        """Keep a live exchange's record as it stands now, for the case that the process dies."""
        own = self._own
        if own is not None:
            own.slots.note(slot, record)

    def free(self, slot: int) -> None:
        """Give a slot back without a record."""
        own = self._own
        if own is not None:
            own.slots.free(slot)

    def _begin(self) -> OwnSet | None:
        """Make this process's files; None if that fails now. The caller holds the lock."""
        if time.monotonic() < self._retry_at:
            return None
        self._retry_at = math.inf  # garbage collection in here may append: that one waits in memory
        try:
            self._own = OwnSet(self._opened(), self._base, self.durability)
        except (OSError, ConfigurationError):
            self._retry_at = time.monotonic() + _RETRY
        else:
            self._retry_at = 0.0
        return self._own

    def _first(self) -> None:
        self._quiet = False
        if self.durability.fsync == "interval":
            self._ticker = Ticker(self._syncer.look)
            self._ticker.start()
        if self._announce is not None:
            with suppress(Exception):
                self._announce()

    # The way out: delivery.

    def attach(self, keys: Sequence[str], announce: Callable[[], None] | None = None) -> None:
        """Name the sinks that read, and what to call at each process's first record."""
        self._keys = tuple(keys)
        self._queue.attach(self._keys)
        self._announce = announce

    def sources(self) -> tuple[Source, ...]:
        """Return what to deliver from, the oldest first."""
        own = self._own
        return (*self._inherited.backlogs, self._queue, *(() if own is None else (own.backlog,)))

    def mark(self) -> list[tuple[Source, Any]]:
        """Return the place behind everything appended so far, in each source."""
        return [(source, source.mark()) for source in self.sources()]

    def adopt(self) -> int:
        """Adopt the sets of dead processes; return how many were. Raises OSError.

        Their open slots become records with outcome ``killed``; then they are delivered in place.
        """
        if self._closed:
            return 0
        own = None if self._own is None else self._own.name
        return self._inherited.adopt(self._opened(), own, self._make_killed)

    def bury(self, key: str, record: bytes, reason: str) -> None:
        """Put *record* aside: its sink will never take it, for *reason*, an exception's class.

        Raises OSError: the record is then not put aside, and comes again.
        """
        self._dead.bury(self._opened(), key, record, reason)

    def collect(self) -> None:
        """Remove what every sink holds; raises OSError."""
        own = self._own
        if own is not None:
            if own.expired():
                with self._lock:
                    own.writer.rotate()
            own.collect(self._keys)
        self._inherited.collect(self._keys)

    # The end, and the posture.

    def close(self) -> None:
        """Let go: remove what is delivered, leave the rest for the next start.

        With exchanges still in flight the files stay locked and usable until the last of them
        has its record, so that nobody takes them for killed.
        """
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        if self.durability.fsync != "never":
            self._syncer.wait()
        with self._lock:
            self._closed = True
            self._quiet = True
            self._inherited.close(self._keys)
            own = self._own
            if own is not None:
                if own.slots.live():
                    return
                self._own = None
                if own.delivered(self._keys):
                    own.remove()
                else:
                    own.release()
            if self._folder is not None:
                self._folder.close()
                self._folder = None

    @property
    def killed(self) -> int:
        """How many exchanges of dead processes were recorded as killed."""
        return self._inherited.killed

    @property
    def shed(self) -> int:
        """How many records were lost because disk and memory were full."""
        return self._shed + self._queue.shed

    def counters(self) -> dict[str, int]:
        """Return the counts for the posture."""
        own = self._own
        return {
            "errors": self.errors,
            "shed": self.shed,
            "queued": len(self._queue),
            "torn": self._inherited.torn + (0 if own is None else own.backlog.torn),
            "killed": self.killed,
            "adopted": len(self._inherited),
            "live": 0 if own is None else own.slots.live(),
            "dead": self._dead.count,
            "unsynced": self._syncer.errors,
        }


def _renew_child(ref: weakref.ref[Journal]) -> None:
    journal = ref()
    if journal is not None:
        journal.after_fork()
