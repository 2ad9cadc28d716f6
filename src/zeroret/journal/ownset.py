"""The set of files that belongs to this process, from its first exchange to its end."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from zeroret.journal import naming
from zeroret.journal.backlog import SegmentBacklog
from zeroret.journal.slots import Slots
from zeroret.journal.writer import SegmentWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.journal.durability import Durability
    from zeroret.journal.folder import Folder

_KEEP: Final = 60.0
"""Seconds for which the newest full segment stays, so that a slot freed late finds its record."""

_MAX_AGE: Final = 3600.0
"""Seconds after which a segment is closed though it is not full: rows have retention clocks."""


_ATTEMPTS: Final = 10


class OwnSet:
    """Lock, segments, slots and cursors of this process; raises OSError when they cannot be made.

    Args:
        folder: the journal's directory.
        base: the first slot handle.
        durability: sizes, and whether segments are closed with `os.fsync`.
    """

    def __init__(self, folder: Folder, base: int, durability: Durability) -> None:
        self._folder = folder
        self.name, lock = _locked(folder)
        self._lock_fd = lock
        try:
            self.writer = SegmentWriter(
                folder,
                self.name,
                durability.segment,
                bound=durability.most_bytes,
                synced=durability.fsync != "never",
            )
        except OSError:
            folder.unlink(self.name + naming.LOCK)
            os.close(lock)
            raise
        self.slots = Slots(folder, self.name, base)
        self.backlog = SegmentBacklog(folder, self.name, self.writer)
        self._collecting = threading.Lock()

    def collect(self, keys: Sequence[str]) -> None:
        """Remove the full segments that every sink holds; raises OSError."""
        if not keys or not self._collecting.acquire(blocking=False):
            return
        try:
            held = min(self.backlog.position(key).segment for key in keys)
            now = time.monotonic()
            for number, sealed in list(self.writer.sealed.items()):
                newest = number == self.writer.number - 1
                if number < held and (not newest or now - sealed.since >= _KEEP):
                    self.writer.remove(number)
        finally:
            self._collecting.release()

    def expired(self) -> bool:
        """Tell whether the newest segment has held records for too long."""
        return self.writer.age() >= _MAX_AGE

    def delivered(self, keys: Sequence[str]) -> bool:
        """Tell whether every sink holds everything."""
        mark = self.backlog.mark()
        return bool(keys) and all(self.backlog.passed(key, mark) for key in keys)

    def remove(self) -> None:
        """Remove the files, the lock last, and close what is open."""
        with suppress(OSError):
            for file in naming.belonging(self._folder.names(), self.name):
                self._folder.unlink(file)
        self.release()

    def release(self) -> None:
        """Close what is open; the files stay, for an heir."""
        self.backlog.close()
        self.slots.close()
        with suppress(OSError):
            self.writer.close()
        with suppress(OSError):
            os.close(self._lock_fd)


def _locked(folder: Folder) -> tuple[str, int]:
    """Return the name of a new set and the descriptor that locks it; raises OSError."""
    for _ in range(_ATTEMPTS):
        name = naming.new_set()
        lock = folder.lock(name + naming.LOCK, create=True)
        if lock is not None:
            return name, lock
        # An heir took the empty file between its creation and our lock: it removes it.
    raise BlockingIOError
