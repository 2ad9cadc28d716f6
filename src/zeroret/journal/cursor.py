"""How far a sink has come in a set of segments, kept in a small file beside them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from zeroret.journal.folder import Folder


class Position(NamedTuple):
    """A place in a set of segments: everything before it is delivered."""

    segment: int
    """The number of the segment."""
    offset: int
    """Bytes from the segment's start."""


START: Final = Position(0, 0)
"""Before the first record."""

_WIDTH: Final = 48


def encode(position: Position) -> bytes:
    """Return *position* as a line of fixed width, so that it can be rewritten in place."""
    text = b"%010d %020d" % position
    return (b"%08x %b" % (crc32(text), text)).ljust(_WIDTH - 1) + b"\n"


def decode(line: bytes) -> Position:
    """Return the position of *line*; `START` if it is damaged, since delivering twice is safe."""
    check, _, text = line.strip().partition(b" ")
    if len(line) != _WIDTH or check != b"%08x" % crc32(text):
        return START
    segment, offset = text.split()
    return Position(int(segment), int(offset))


def load(folder: Folder, name: str) -> Position:
    """Return the position kept in file *name*; `START` if there is none."""
    try:
        fd = folder.open(name, os.O_RDONLY)
    except OSError:
        return START
    try:
        return decode(os.pread(fd, _WIDTH, 0))
    finally:
        os.close(fd)


def store(folder: Folder, name: str, position: Position) -> None:
    """Keep *position* in file *name*; raises OSError."""
    fd = folder.open(name, os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, encode(position), 0)
    finally:
        os.close(fd)
