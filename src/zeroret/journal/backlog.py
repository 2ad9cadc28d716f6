"""Reading a set's segments for delivery: in bulk, verified, each sink from its own cursor."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from zeroret.journal import cursor, naming
from zeroret.journal.cursor import Position
from zeroret.journal.lines import parse
from zeroret.journal.queue import Batch
from zeroret.usage.record import UsageRecord, decode

if TYPE_CHECKING:
    from zeroret.journal.folder import Folder
    from zeroret.journal.writer import SegmentWriter

_CHUNK: Final = 1024 * 1024
"""Bytes read at once; far longer than any line."""


class _Identified(msgspec.Struct):
    id: str


_identified: Final = msgspec.json.Decoder(_Identified)


class SegmentBacklog:
    """What the sinks have still to take from one set of segments.

    With a *writer* the set is this process's own and its newest segment still grows. Without one
    its process is dead and all its segments are final. Each key is read by one thread at a time.
    """

    def __init__(self, folder: Folder, name: str, writer: SegmentWriter | None = None) -> None:
        self.errors = 0
        """How many cursors could not be stored; the records come again to an heir."""
        self._folder = folder
        self._name = name
        self._writer = writer
        self._positions: dict[str, Position] = {}
        self._open: dict[str, tuple[int, int]] = {}
        self._torn: dict[str, int] = {}

    @property
    def torn(self) -> int:
        """How many damaged lines the reader that met the most has met."""
        return max(self._torn.values(), default=0)

    def position(self, key: str) -> Position:
        """Return how far the sink has come."""
        position = self._positions.get(key)
        if position is None:
            position = cursor.load(self._folder, naming.cursor(self._name, key))
            self._positions[key] = position
        return position

    def peek(self, key: str, limit: int) -> Batch | None:
        """Return the next records for a sink; None when it has all there is. Raises OSError."""
        while True:
            at = self.position(key)
            # Asked before reading: a segment that is final now grows no more.
            final = self._writer is None or at.segment < self._writer.number
            chunk = self._read(key, at)
            if final and len(chunk) < _CHUNK and not chunk.endswith(b"\n"):
                lines = parse(chunk + b"\n", limit)
            else:
                lines = parse(chunk, limit)
            if chunk and (lines.consumed or len(chunk) == _CHUNK):
                # A whole chunk without a line end is damage: step over it.
                consumed = min(lines.consumed, len(chunk)) or len(chunk)
                end = Position(at.segment, at.offset + consumed)
                return _batch(lines.payloads, end, lines.torn or int(not lines.consumed))
            if not final or not self._step(key, at):
                return None

    def advance(self, key: str, batch: Batch) -> None:
        """Note, here and in the cursor file, that the sink holds *batch*."""
        self._positions[key] = batch.end
        if batch.torn:
            self._torn[key] = self._torn.get(key, 0) + batch.torn
        try:
            cursor.store(self._folder, naming.cursor(self._name, key), batch.end)
        except OSError:
            self.errors += 1

    def mark(self) -> Position:
        """Return the place behind everything appended so far."""
        if self._writer is not None:
            return self._writer.mark()
        last = self._numbers()[-1:]
        return Position(last[0] + 1, 0) if last else cursor.START

    def passed(self, key: str, mark: Position) -> bool:
        """Tell whether the sink holds everything before *mark*."""
        return self.position(key) >= mark

    def ids(self) -> set[str]:
        """Return the id of every record in the segments; raises OSError."""
        found: set[str] = set()
        for number in self._numbers():
            at = 0
            fd = self._folder.open(naming.segment(self._name, number), os.O_RDONLY)
            with os.fdopen(fd, "rb") as file:
                while chunk := os.pread(file.fileno(), _CHUNK, at):
                    data = chunk if chunk.endswith(b"\n") or len(chunk) == _CHUNK else chunk + b"\n"
                    lines = parse(data, -1)
                    at += min(lines.consumed, len(chunk)) or len(chunk)
                    found.update(filter(None, map(_id_of, lines.payloads)))
        return found

    def close(self) -> None:
        """Close what is open for reading."""
        for _, fd in self._open.values():
            with suppress(OSError):
                os.close(fd)
        self._open.clear()

    def _numbers(self) -> list[int]:
        return naming.numbers(self._folder.names(), self._name, "segment")

    def _read(self, key: str, at: Position) -> bytes:
        number, fd = self._open.get(key, (-1, -1))
        if number != at.segment:
            if number >= 0:
                del self._open[key]
                os.close(fd)
            try:
                fd = self._folder.open(naming.segment(self._name, at.segment), os.O_RDONLY)
            except FileNotFoundError:
                return b""
            self._open[key] = (at.segment, fd)
        return os.pread(fd, _CHUNK, at.offset)

    def _step(self, key: str, at: Position) -> bool:
        """Move to the segment after a finished one; False if there is none."""
        if self._writer is not None:
            self._positions[key] = Position(at.segment + 1, 0)
            return True
        later = [number for number in self._numbers() if number > at.segment]
        self._positions[key] = Position(later[0] if later else at.segment + 1, 0)
        return bool(later)


def _batch(payloads: list[bytes], end: Position, torn: int) -> Batch:
    records: list[UsageRecord] = []
    unread: list[bytes] = []
    for payload in payloads:
        try:
            records.append(decode(payload))
        except (msgspec.DecodeError, UnicodeDecodeError):
            if _id_of(payload) is None:
                torn += 1
            else:
                unread.append(payload)
    return Batch(records, end, torn, tuple(unread))


def _id_of(payload: bytes) -> str | None:
    """Return the id of a record of any release; None if this is none."""
    try:
        return _identified.decode(payload).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
