"""The inheritance of one process: the sets of dead ones that it adopted and delivers from."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from zeroret.journal.orphans import AdoptedSet, Killed, adopt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroret.journal.backlog import SegmentBacklog
    from zeroret.journal.folder import Folder


class Inheritance:
    """Adopted sets, from their adoption to the day every sink holds all of them."""

    def __init__(self) -> None:
        self.killed = 0
        """How many exchanges of dead processes were recorded as killed."""
        self._sets: tuple[AdoptedSet, ...] = ()
        self._torn = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sets)

    @property
    def backlogs(self) -> tuple[SegmentBacklog, ...]:
        """What to deliver from, the oldest first."""
        return tuple(orphan.backlog for orphan in self._sets)

    @property
    def torn(self) -> int:
        """How many damaged lines were met in all sets so far."""
        return self._torn + sum(backlog.torn for backlog in self.backlogs)

    def adopt(self, folder: Folder, own: str | None, killed: Killed) -> int:
        """Adopt the sets of dead processes; return how many were. Raises OSError.

        *own* is the name of this process's set, *killed* builds records of killed exchanges.
        """
        if not self._lock.acquire(blocking=False):
            return 0
        try:
            mine = [orphan.name for orphan in self._sets] + ([] if own is None else [own])
            adopted, count = adopt(folder, mine, killed)
            self.killed += count
            self._sets += tuple(adopted)
            return len(adopted)
        finally:
            self._lock.release()

    def collect(self, keys: Sequence[str]) -> None:
        """Remove the sets that every sink holds; raises OSError."""
        if self._sets and self._lock.acquire(blocking=False):
            try:
                self._drop(keys)
            finally:
                self._lock.release()

    def _drop(self, keys: Sequence[str]) -> None:
        done = [orphan for orphan in self._sets if orphan.delivered(keys)]
        self._sets = tuple(orphan for orphan in self._sets if orphan not in done)
        for orphan in done:
            self._torn += orphan.backlog.torn
            orphan.remove()

    def close(self, keys: Sequence[str]) -> None:
        """Remove what is delivered, let go of the rest: another heir takes it."""
        with self._lock:
            self._drop(keys)
            self.release()

    def release(self) -> None:
        """Let go of everything as it is."""
        for orphan in self._sets:
            orphan.release()
        self._sets = ()
        self._lock = threading.Lock()
