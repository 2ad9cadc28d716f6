"""Lines of JSON (NDJSON), cut exactly and given on as events.

https://github.com/ndjson/ndjson-spec: each line is one JSON value, ended by LF or CRLF; empty lines
are skipped. A line becomes an event of one ``data`` line, so that one reader serves this framing
and that of server-sent events.
"""

from __future__ import annotations

from typing import Final

from zeroret.dialects.sse import EVENT_LIMIT

_LF: Final = b"\n"


def as_events(lines: bytes) -> bytes:
    """Return *lines*, each ended by LF, as events; one that is empty is none."""
    if b"\r" in lines:
        lines = lines.replace(b"\r", b"")  # within JSON it is white space wherever it stands
    while b"\n\n" in lines:
        lines = lines.replace(b"\n\n", _LF)
    lines = lines.strip(_LF)
    return b"data: " + lines.replace(_LF, b"\n\ndata: ") + b"\n\n" if lines else b""


class LineBuffer:
    """Cuts a byte stream into whole lines, whatever the chunks, and gives them as events.

    `feed` returns the events that became whole, `finish` the unfinished line as one without its
    end. A line longer than *limit* bytes is dropped, which `dropped` counts.
    """

    __slots__ = ("_limit", "_skipping", "_text", "dropped")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._text = bytearray()
        self._limit = limit
        self._skipping = False
        self.dropped = 0

    @property
    def held(self) -> int:
        """Bytes of the unfinished line."""
        return len(self._text)

    def holds(self, needle: bytes) -> bool:
        """Whether the unfinished line contains *needle*."""
        return needle in self._text

    def feed(self, data: bytes) -> bytes:
        """Take *data* and return the events it completed."""
        end = data.rfind(_LF) + 1
        if not end:
            self._keep(data)
            return b""
        whole, rest = data[:end], data[end:]
        if self._skipping:
            self._skipping = False
            whole = whole[whole.find(_LF) + 1 :]
        elif self._text:
            whole = bytes(self._text + whole)
        self._text.clear()
        self._keep(rest)
        if len(whole) > self._limit:
            whole = self._without_long(whole)
        return as_events(whole)

    def finish(self) -> bytes:
        """Return the unfinished line, as an event without its end, and forget it."""
        rest = bytes(self._text).strip(b"\r\n \t")
        self._text.clear()
        return b"data: " + rest if rest else b""

    def _keep(self, rest: bytes) -> None:
        if self._skipping:
            return
        self._text += rest
        if len(self._text) > self._limit:
            self.dropped += 1
            self._skipping = True
            self._text.clear()

    def _without_long(self, whole: bytes) -> bytes:
        lines = whole.splitlines(keepends=True)
        kept = [line for line in lines if len(line) <= self._limit]
        self.dropped += len(lines) - len(kept)
        return b"".join(kept)
