"""What every reader of a response has in common: holding chunks, and when to look into them.

Looking costs; most chunks need none. A stream reader therefore only references the chunks that
pass, and reads them in batches: at the terminal event, at the end, or when it holds enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, Protocol, TypeAlias

import msgspec

from zeroret.dialects import sse
from zeroret.dialects.usage import Usage

FAULTS: Final = (msgspec.DecodeError, RecursionError, ValueError)
"""What decoding raises on the bytes of the world; broken UTF-8 is a ValueError."""

Parts: TypeAlias = dict[tuple[int, int], list[str]]
"""Text by place: (choice or block, kind of text), each in the order of delivery."""

Count: TypeAlias = Callable[[Parts], None]
"""Takes text to be counted; called once per batch."""

BODY_LIMIT: Final = 16 * 2**20
"""The most bytes of one JSON response that are referenced."""

HOLD_LIMIT: Final = 2**20
"""The most bytes of a stream that are referenced before its text is counted as it passes."""

LARGE: Final = 8192
"""Bytes of a chunk that make a batch of its own."""

_HOLD_CHUNKS: Final = 256  # how often a holding reader looks at how much it holds
_COUNT_CHUNKS: Final = 32  # chunks of a usual event that make a batch
_TAIL: Final = 15  # one byte less than the longest marker
_LF: Final = b"\n"
_CR: Final = b"\r"


class Reader(Protocol):
    """What the meter asks of a reader, whatever the framing."""

    usage: Usage
    model: str | None
    error: bool
    opaque: bool
    recognised: bool
    malformed: int

    @property
    def held(self) -> int:
        """Bytes referenced."""

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes the terminal event."""

    def finish(self, *, complete: bool, count: bool) -> None:
        """Read what is left; *count* asks for the text if its usage was not reported."""

    def drop(self) -> None:
        """Let go of everything held."""


class Answer:
    """What a response said: usage, model, whether it was an error.

    *opaque* is True when something was delivered that is not text, or is framed by tokens nobody
    publishes, so that a count of the text is no exact count of the whole. *recognised* is True
    once something was read that only this dialect sends, so that no text means: none was
    delivered. *malformed* is how many parts could not be read.
    """

    __slots__ = (
        "_count",
        "_name",
        "error",
        "malformed",
        "model",
        "opaque",
        "recognised",
        "usage",
    )

    def __init__(self, name: str, count: Count | None) -> None:
        self._name = name
        self._count = count
        self.usage = Usage()
        self.model: str | None = None
        self.error = False
        self.opaque = False
        self.recognised = False
        self.malformed = 0


class BodyReader(Answer):
    """Reads one JSON response at its end."""

    __slots__ = ("_chunks", "_size")

    def __init__(self, name: str, count: Count | None) -> None:
        super().__init__(name, count)
        self._chunks: list[bytes] = []
        self._size = 0

    @property
    def held(self) -> int:
        """Bytes referenced."""
        return sum(map(len, self._chunks))

    def feed(self, chunk: bytes, /) -> bool:
        """Reference *chunk*; a JSON body has no terminal event."""
        self._size += len(chunk)
        if self._size > BODY_LIMIT:
            self._chunks.clear()
        else:
            self._chunks.append(chunk)
        return False

    def finish(self, *, complete: bool, count: bool) -> None:
        """Read the body; one that was cut says nothing, and that is the cut's fault."""
        if 0 < self._size <= BODY_LIMIT:
            chunks = self._chunks
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            try:
                self._read(body, count=count)
            except FAULTS:
                self.malformed += complete
        elif self._size > BODY_LIMIT:
            self.malformed += 1
        self.drop()

    def drop(self) -> None:
        """Let go of everything held."""
        self._chunks.clear()

    def _read(self, body: bytes, *, count: bool) -> None:
        raise NotImplementedError


class StreamReader(Answer):
    """Reads one event stream.

    Subclasses override `feed` with a test that lets the usual chunk pass at once, and say how
    their events are read. With *hold* the text is counted only at the end and only if asked, or
    from `HOLD_LIMIT` bytes on, since more is not held.
    """

    __slots__ = (
        "_armed",
        "_buffer",
        "_counting",
        "_kept",
        "_kept_size",
        "_most",
        "_pending",
        "_tail",
        "broken",
        "terminal",
    )

    MARKERS: ClassVar[tuple[bytes, ...]] = ()
    """Bytes without which no chunk completes a terminal event; at most 16 long."""

    def __init__(self, name: str, count: Count | None, *, hold: bool) -> None:
        super().__init__(name, count)
        self.terminal = False
        self.broken = False
        self._pending: list[bytes] = []
        self._most = _HOLD_CHUNKS if hold or count is None else _COUNT_CHUNKS
        self._counting = count is not None and not hold
        self._buffer = sse.EventBuffer()
        self._kept: list[bytes] = []
        self._kept_size = 0
        self._tail = b""
        self._armed = False

    @property
    def held(self) -> int:
        """Bytes referenced."""
        return sum(map(len, self._pending)) + self._kept_size + self._buffer.held

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes the terminal event, once. Never raises."""
        try:
            self._pending.append(chunk)
            return self._look(chunk)
        except Exception:  # noqa: BLE001 - as `_break` says
            return self._break()

    def finish(self, *, complete: bool, count: bool) -> None:
        """Read what is left; a last event without its blank line is read if it is whole."""
        if self.broken:
            self.drop()
            raise ValueError("an earlier chunk could not be read")
        self._drain()
        rest = self._buffer.finish().strip(_LF)
        if rest:
            faults = self.malformed
            self._take(rest + b"\n\n")
            if not complete:
                self.malformed = faults  # a cut event is the cut's fault
        if count and not self.usage.whole and not self._counting and self._count is not None:
            self._count_kept()
        elif not (self.terminal and self.usage.whole):
            for text in self._kept:
                self._scan_errors(text)
        self.malformed += self._buffer.dropped + self.usage.malformed
        self.drop()

    def drop(self) -> None:
        """Let go of everything held."""
        self._pending.clear()
        self._kept.clear()
        self._kept_size = 0
        self._buffer.finish()
        self._tail = b""

    def _break(self) -> bool:
        """Let everything go after a fault of ours, which must not reach the reply."""
        self.broken = True
        self.drop()
        return False

    def _look(self, chunk: bytes) -> bool:
        if self.broken:
            self._pending.clear()
            return False
        if self.terminal:
            self._relieve()
            return False
        window = self._tail + chunk
        self._tail = window[-_TAIL:]
        if not self._armed:
            for marker in self.MARKERS:
                if marker in window:
                    self._armed = True
                    break
            else:
                if len(chunk) >= LARGE or len(self._pending) > self._most:
                    self._relieve()
                return False
        if _LF not in chunk and _CR not in chunk:
            return False  # no line ends here, so no event does
        return self._drain()

    def _relieve(self) -> None:
        """Read the pending chunks if there are enough of them."""
        if self._counting:
            self._drain()
            return
        if sum(map(len, self._pending)) < HOLD_LIMIT - self._kept_size:
            self._most = len(self._pending) + _HOLD_CHUNKS
            return
        self._most = _HOLD_CHUNKS
        self._drain()

    def glance(self) -> None:
        """Read what is pending, once, at the beginning; never raises."""
        try:
            if not self._kept:
                self._drain()
        except Exception:  # noqa: BLE001 - as `_break` says
            self._break()

    def _drain(self) -> bool:
        """Read the events that the pending chunks complete; True when the terminal one is new."""
        if not self._pending:
            return False
        data = b"".join(self._pending)
        self._pending.clear()
        text = self._buffer.feed(data)
        if not text:
            return False
        known = self.terminal
        self._take(text)
        self._armed = any(self._buffer.holds(marker) for marker in self.MARKERS)
        return self.terminal and not known

    def _take(self, text: bytes) -> None:
        if not self.terminal:
            self._scan_terminal(text)
        if self._counting:
            self._read_events(text)
            return
        self._scan_usage(text)
        self._kept.append(text)
        self._kept_size += len(text)
        if self._kept_size > HOLD_LIMIT:
            self._count_kept()

    def _count_kept(self) -> None:
        """Count the text of everything kept and, from here on, of everything that comes."""
        kept = self._kept
        self._kept = []
        self._kept_size = 0
        if self._count is None:
            for text in kept:
                self._scan_errors(text)
            return
        self._counting = True
        self._most = _COUNT_CHUNKS
        for text in kept:
            self._read_events(text)

    def _read_events(self, text: bytes) -> None:
        parts: Parts = {}
        lines = sse.data_lines(text)
        if lines is None or not self._read_lines(lines, parts):
            parts.clear()
            for block in text.split(b"\n\n"):
                kind, data = sse.event(block)
                if data and not self._read_event(kind, data, parts):
                    self.malformed += 1
        if parts and self._count is not None:
            self._count(parts)

    def _read_lines(self, lines: bytes, parts: Parts) -> bool:
        """Read events of the usual shape at once; False, and nothing read, if one is faulty."""
        raise NotImplementedError

    def _read_event(self, kind: bytes, data: bytes, parts: Parts) -> bool:
        """Read one event wholly; False if it could not be read."""
        raise NotImplementedError

    def _scan_terminal(self, text: bytes) -> None:
        """Set `terminal` if *text* holds the terminal event."""
        raise NotImplementedError

    def _scan_usage(self, text: bytes) -> None:
        """Read usage and model out of *text*, touching only events that can carry them."""
        raise NotImplementedError

    def _scan_errors(self, text: bytes) -> None:
        """Set `error` if *text* holds an error event."""
        raise NotImplementedError
