"""Appending lines to the segments of this process's set."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from zeroret.journal import naming
from zeroret.journal.cursor import Position

if TYPE_CHECKING:
    from zeroret.journal.folder import Folder


class SegmentWriter:
    """Writes each line with one ``write`` to the newest segment; the caller serialises calls.

    After `SIGKILL` a line is there whole or, at most at the end, torn. Sizes are bytes.
    """

    def __init__(self, folder: Folder, name: str, limit: int) -> None:
        self.number = 0
        self.sealed: dict[int, float] = {}
        """When (monotonic seconds) each older segment got its last line."""
        self._folder = folder
        self._name = name
        self._limit = limit
        self._size = 0
        self._torn = 0
        self._since = 0.0
        self._fd = self._open(0)

    def _open(self, number: int) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        return self._folder.open(naming.segment(self._name, number), flags)

    def write(self, line: bytes) -> None:
        """Append *line*; raises OSError when it did not get to the file whole."""
        if self._torn:
            line = b"\n" + line  # so that the torn line before it swallows nothing
        written = os.write(self._fd, line)
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
        self._size = self._torn = 0
        self.sealed[self.number] = time.monotonic()
        self.number += 1
        os.close(old)

    def age(self) -> float:
        """Return for how many seconds the newest segment has held records; 0.0 if it has none."""
        return time.monotonic() - self._since if self._size else 0.0

    def mark(self) -> Position:
        """Return the place behind the last whole line."""
        return Position(self.number, self._size)

    def close(self) -> None:
        """Close the newest segment."""
        os.close(self._fd)
