"""What every reader of a stream has in common: holding chunks, and when to look into them.

Looking costs; most chunks need none. A stream reader therefore only references the chunks that
pass, and reads them in batches: at the terminal event, at the end, or when it holds enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from zeroret.dialects import sse
from zeroret.dialects.answer import FAULTS, Answer
from zeroret.dialects.repair import decoded
from zeroret.dialects.template import TRIES, learn

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    import msgspec

    from zeroret.dialects.answer import Buffer, Count, Parts
    from zeroret.dialects.template import Template

T = TypeVar("T")

HOLD_LIMIT: Final = 2**20
"""The most bytes of a stream that are referenced before its text is counted as it passes."""

LARGE: Final = 8192
"""Bytes of a chunk that make a batch of its own."""

_HOLD_CHUNKS: Final = 256  # how often a holding reader looks at how much it holds
_COUNT_CHUNKS: Final = 48  # chunks of a usual event that make a batch
_TAIL: Final = 15  # one byte less than the longest marker
_LF: Final = b"\n"
_CR: Final = b"\r"


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
        "_limit",
        "_lined",
        "_may_grow",
        "_read",
        "_tail",
        "_tape",
        "_template",
        "_tries",
        "broken",
        "terminal",
    )

    MARKERS: ClassVar[tuple[bytes, ...]] = ()
    """Bytes without which no chunk completes a terminal event; at most 16 long."""

    TEXT: ClassVar[re.Pattern[bytes] | None] = None
    """Finds where the text of an event begins, for a dialect that says what `_meaning` is."""

    VARYING: ClassVar[tuple[bytes, re.Pattern[bytes]] | None] = None
    """What differs from event to event and says nothing: bytes that it has, and all of it."""

    def __init__(self, name: str, count: Count | None, *, hold: bool) -> None:
        super().__init__(name, count)
        self.terminal = False
        self.broken = False
        self._tape: list[Any] = []
        self._read = 0  # how many chunks of the tape were read
        self._may_grow: Callable[[], bool] | None = None  # where others hold the tape, too
        self._counting = count is not None and not hold
        self._limit = self._patience  # how long the tape is when it is looked at
        self._buffer: Buffer = sse.EventBuffer()
        self._lined = True  # whether no event ends without the end of a line
        self._kept: list[bytes] = []
        self._kept_size = 0
        self._tail = b""
        self._armed = False
        self._template: Template | None = None
        self._tries = 0

    def cut_by(self, buffer: Buffer, *, lined: bool) -> None:
        """Read events as *buffer* cuts them; *lined* False where they may end within a line."""
        self._buffer = buffer
        self._lined = lined

    def share(self, tape: list[Any], may_grow: Callable[[], bool]) -> None:
        """From here on keep what passes on *tape*, which another holds, behind what is there.

        *may_grow* is asked from time to time; once it says False the tape is left alone.
        """
        try:
            self._drain()
        except Exception:  # noqa: BLE001 - as `_break` says
            self._break()
        self._tape = tape
        self._may_grow = may_grow
        self._forget()

    def unshare(self) -> None:
        """Leave the shared tape alone from here on."""
        if self._may_grow is not None:
            self._may_grow = None
            self._tape = self._tape[self._read :]
            self._limit -= self._read
            self._read = 0

    @property
    def held(self) -> int:
        """Bytes referenced, those on a shared tape aside."""
        pending = 0 if self._may_grow is not None else sum(map(len, self._tape))
        return pending + self._kept_size + self._buffer.held

    @property
    def _patience(self) -> int:
        """How many chunks are let pass before they are looked at."""
        return _COUNT_CHUNKS if self._counting else _HOLD_CHUNKS

    def feed(self, chunk: bytes, /) -> bool:
        """Take a chunk; True when it completes the terminal event, once. Never raises."""
        try:
            self._tape.append(chunk)
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
        self._forget()
        self._kept.clear()
        self._kept_size = 0
        self._buffer.finish()
        self._tail = b""

    def _break(self) -> bool:
        """Let everything go after a fault of ours, which must not reach the reply."""
        self.broken = True
        self.drop()
        return False

    def _forget(self) -> None:
        """Take everything on the tape for read."""
        if self._may_grow is None:
            self._tape.clear()
        self._read = len(self._tape)
        self._limit = self._read + self._patience

    def _look(self, chunk: bytes) -> bool:
        if self._may_grow is not None and not self._may_grow():
            self.unshare()
        if self.broken:
            self._forget()
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
                if len(chunk) >= LARGE or len(self._tape) > self._limit:
                    self._relieve()
                return False
        if self._lined and _LF not in chunk and _CR not in chunk:
            return False  # no line ends here, so no event does
        return self._drain()

    def _relieve(self) -> None:
        """Read the pending chunks if there are enough of them."""
        if self._counting:
            self._drain()
            return
        pending = self._tape[self._read :]
        if sum(map(len, pending)) < HOLD_LIMIT - self._kept_size:
            self._limit = len(self._tape) + _HOLD_CHUNKS
            return
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
        data = b"".join(self._tape[self._read :])
        self._forget()
        text = self._buffer.feed(data) if data else b""
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
        self._limit = len(self._tape) + self._patience
        for text in kept:
            self._read_events(text)

    def _read_events(self, text: bytes) -> None:
        if self.VARYING is not None and self.VARYING[0] in text:
            text = self.VARYING[1].sub(b"", text)
        parts: Parts = {}
        known = self._known(text)
        start, end = (0, 0) if known is None else known.span(text)
        joined = None if known is None else known.text(text[start:end])
        if known is None or joined is None:
            self._template = None
            self._read_run(text, parts)
        else:
            self._read_run(text[:start], parts)
            if joined:
                parts.setdefault(known.place, []).append(joined)
            self._read_run(text[end:], parts)
        if parts and self._count is not None:
            self._count(parts)

    def _known(self, text: bytes) -> Template | None:
        """Return the template of the events of *text*, learned from its second one if need be."""
        if self._template is None and self.TEXT is not None and self._tries < TRIES:
            self._tries += 1
            second = text.find(b"\n\n") + 2
            self._template = learn(text[second:] or text, self.TEXT, self._meaning)
        return self._template

    def _meaning(self, event: bytes) -> tuple[int, int] | None:  # noqa: ARG002 - for dialects that have `TEXT`
        """Return where the text of *event*, `MARK`, belongs; None if it says more than that."""
        return None

    def _read_run(self, text: bytes, parts: Parts) -> None:
        """Read whole events, one by one where they are not of the usual shape."""
        if not text:
            return
        lines = sse.data_lines(text)
        if lines is None or not self._read_lines(lines, parts):
            for block in text.split(b"\n\n"):
                kind, data = sse.event(block)
                if data and not self._read_event(kind, data, parts):
                    self.malformed += 1

    def _decoded(self, decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
        """Return an event decoded, made clean if need be; None if it cannot be read."""
        return decoded(decoder, data)

    def _decoded_lines(self, decoder: msgspec.json.Decoder[T], lines: bytes) -> list[T] | None:
        """Return an event for each of *lines*, ``[DONE]`` aside; None if one is faulty."""
        lines = lines.removesuffix(b"\n[DONE]")
        try:
            events = decoder.decode_lines(lines)
        except FAULTS:
            return None
        # the decoder would mend two lines that are only together an object
        return events if len(events) > lines.count(b"\n") else None

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
