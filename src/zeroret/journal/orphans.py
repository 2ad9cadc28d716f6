"""Adoption: what a dead process left is completed and delivered by exactly one heir."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from zeroret.journal import naming, slots
from zeroret.journal.backlog import SegmentBacklog
from zeroret.journal.lines import frame
from zeroret.usage.record import UsageRecord, encode

if TYPE_CHECKING:
    from zeroret.journal.folder import Folder

Killed: TypeAlias = Callable[[bytes, float, UsageRecord | None], UsageRecord]
"""``killed(id, started, noted)``: the record of an exchange whose process died in its midst."""

_YEAR_2100: Final = 4_102_444_800


def killed_record(exchange: bytes, started: float, noted: UsageRecord | None) -> UsageRecord:
    """Return the plainest record of a killed exchange: what was noted, or its id and start.

    *exchange* is the 16 bytes of its id, *started* seconds since the epoch. A column that the
    noted record's policy removed stays removed.
    """
    if noted is None:
        sane = started if 0 <= started < _YEAR_2100 else 0  # a damaged file may say anything
        return UsageRecord(
            id=str(UUID(bytes=exchange)),
            policy="unknown",
            started_at=datetime.fromtimestamp(sane, UTC),
            duration=None,
            outcome="killed",
        )
    return replace(
        noted,
        outcome=noted.outcome if noted.outcome is UNSET else "killed",
        duration=noted.duration if noted.duration is UNSET else None,
    )


class AdoptedSet:
    """A dead process's set, held under its lock until every sink of this process has it all."""

    def __init__(self, folder: Folder, name: str, lock: int) -> None:
        self.name = name
        self.backlog = SegmentBacklog(folder, name)
        self._folder = folder
        self._lock_fd = lock

    def settle(self, killed: Killed) -> int:
        """Turn each open slot without a record into one; return how many. Raises OSError."""
        found = slots.orphans(self._folder, self.name)
        if not found:
            return 0
        known = self.backlog.ids()
        records = [
            _killed(killed, orphan) for orphan in found if str(UUID(bytes=orphan.id)) not in known
        ]
        if records:
            self._append(b"".join(frame(encode(record)) for record in records))
        slots.clear(self._folder, found)
        return len(records)

    def _append(self, lines: bytes) -> None:
        numbers = naming.numbers(self._folder.names(), self.name, "segment")
        file = naming.segment(self.name, numbers[-1] if numbers else 0)
        fd = self._folder.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            # The newline ends a line that its writer was killed in.
            data = b"\n" + lines
            if os.write(fd, data) != len(data):
                raise OSError("short write")
        finally:
            os.close(fd)

    def delivered(self, keys: Sequence[str]) -> bool:
        """Tell whether every sink holds everything."""
        mark = self.backlog.mark()
        return bool(keys) and all(self.backlog.passed(key, mark) for key in keys)

    def remove(self) -> None:
        """Remove the files, the lock last, and let go of it."""
        with suppress(OSError):
            for file in naming.belonging(self._folder.names(), self.name):
                self._folder.unlink(file)
        self.release()

    def release(self) -> None:
        """Let go of the lock; the files stay, for another heir."""
        self.backlog.close()
        with suppress(OSError):
            os.close(self._lock_fd)


def _killed(killed: Killed, orphan: slots.Orphan) -> UsageRecord:
    try:
        return killed(orphan.id, orphan.started, orphan.noted)
    except Exception:  # noqa: BLE001 - the owner's policy code failing must not lose the record
        return killed_record(orphan.id, orphan.started, orphan.noted)


def adopt(folder: Folder, mine: Sequence[str], killed: Killed) -> tuple[list[AdoptedSet], int]:
    """Adopt every set whose process is dead; return them and how many exchanges were killed.

    *mine* names the sets that this process holds already. Raises OSError when the directory
    cannot be read; a set that cannot be completed now is left for a later heir.
    """
    adopted: list[AdoptedSet] = []
    count = 0
    for file in sorted(folder.names()):
        name = file.removesuffix(naming.LOCK)
        if name == file or name in mine:
            continue
        lock = folder.lock(file)
        if lock is None:
            continue
        orphan = AdoptedSet(folder, name, lock)
        try:
            count += orphan.settle(killed)
        except OSError:
            orphan.release()
            continue
        adopted.append(orphan)
    return adopted, count
