"""Appending lines to the segments of this process's set."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from zeroret.journal import naming
from zeroret.journal.cursor import Position

if TYPE_CHECKING:
    from zeroret.journal.folder import Folder


_write: Final = os.write
"""Taken before any guard of standard output replaces it: no line of ours goes there."""


class Sealed(NamedTuple):
    """A segment that grows no more."""

    since: float
    """When it got its last line, in monotonic seconds."""
    size: int
    """Bytes."""


class SegmentWriter:
    """Writes each line with one ``write`` to the newest segment; the caller serialises calls.

    After `SIGKILL` a line is there whole or, at most at the end, torn. Sizes are bytes.

    Args:
        folder: the journal's directory.
        name: the set's name.
        limit: at which size a segment is closed and the next one begun.
        bound: how much all segments may hold together; more is refused like a full disk.
        synced: whether what is closed must be on the disk, not only in the kernel's hands.
    """

    def __init__(
        self, folder: Folder, name: str, limit: int, *, bound: int, synced: bool = False
    ) -> None:
        self.number = 0
        self.sealed: dict[int, Sealed] = {}
        """The older segments that are still there."""
        self._folder = folder
        self._name = name
        self._limit = limit
        self._bound = bound
        self._synced = synced
        self._older = 0
        self._size = 0
        self._torn = 0
        self._since = 0.0
        self._fd = self._open(0)

    def _open(self, number: int) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        fd = self._folder.open(naming.segment(self._name, number), flags)
        if self._synced:
            with suppress(OSError):
                self._folder.sync()
        return fd

    def write(self, line: bytes) -> None:
        """Append *line*; raises OSError when it did not get to the file whole."""
        if self._torn:
            line = b"\n" + line  # so that the torn line before it swallows nothing
        if self._older + self._size + len(line) > self._bound:
            if self._size:
                self.rotate()  # a closed segment can go as soon as it is delivered
            raise OSError(errno.EDQUOT, "the journal holds as much as it may")
        written = _write(self._fd, line)
        if written != len(line):
            self._torn += written
            raise OSError(errno.ENOSPC, "short write")
        if not self._size:
            self._since = time.monotonic()
        self._size += written + self._torn
        self._torn = 0
        if self._size >= self._limit:
            self.rotate()

    def rotate(self) -> None:
        """Begin a new segment; if that cannot be made now, the old one simply grows on."""
        try:
            fd = self._open(self.number + 1)
        except OSError:
            return
        old, self._fd = self._fd, fd
        if self._synced:
            with suppress(OSError):
                os.fsync(old)
        self.sealed[self.number] = Sealed(time.monotonic(), self._size)
        self._weigh()
        self._size = self._torn = 0
        self.number += 1
        os.close(old)

    def remove(self, number: int) -> None:
        """Remove a closed segment; raises OSError."""
        self._folder.unlink(naming.segment(self._name, number))
        del self.sealed[number]
        self._weigh()

    def _weigh(self) -> None:
        # Summed up anew, so that two threads at once cannot lose one another's change for ever.
        self._older = sum(sealed.size for sealed in list(self.sealed.values()))

    def sync(self) -> None:
        """Have the newest segment's bytes and its name on the disk; raises OSError."""
        os.fsync(self._fd)

    def age(self) -> float:
        """Return for how many seconds the newest segment has held records; 0.0 if it has none."""
        return time.monotonic() - self._since if self._size else 0.0

    def mark(self) -> Position:
        """Return the place behind the last whole line."""
        return Position(self.number, self._size)

    def close(self) -> None:
        """Close the newest segment."""
        os.close(self._fd)
