"""Server-sent events, read exactly and incrementally at the speed of C.

WHATWG HTML, section 9.2: lines end in CR, LF or CRLF; a BOM may lead; comments and unknown fields
are skipped; several ``data`` lines join with a newline; a blank line ends the event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_LIMIT: Final = 2**20
"""The most bytes of one event; a longer one is dropped and counted."""

_BOM: Final = b"\xef\xbb\xbf"
_SLACK: Final = 2  # newlines that may stand around an unfinished event


class EventBuffer:
    """Cuts a byte stream into whole events, whatever the chunks.

    `feed` returns the events that became whole as one run of bytes with LF line ends, each event
    closed by a blank line; `finish` returns the unfinished rest. `dropped` counts the events that
    were longer than *limit* bytes.
    """

    __slots__ = ("_after_cr", "_limit", "_seen", "_skipping", "_started", "_text", "dropped")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._text = bytearray()
        self._seen = 0
        self._after_cr = False
        self._started = False  # until a BOM is ruled out
        self._skipping = False
        self.dropped = 0

    @property
    def held(self) -> int:
        """Bytes of the unfinished event."""
        return len(self._text)

    def holds(self, needle: bytes) -> bool:
        """Whether the unfinished event contains *needle*."""
        return needle in self._text

    def feed(self, data: bytes) -> bytes:
        """Take *data* and return the events it completed."""
        if self._after_cr and data:
            # the CR before the cut already ended the line: its LF belongs to it
            self._after_cr = False
            if data[0] == 10:  # noqa: PLR2004 - LF
                data = data[1:]
        if not data:
            return b""
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        text = self._text
        if not self._started and not text and data[0] != _BOM[0]:
            self._started = True
        if not text and self._started and not self._skipping and data.endswith(b"\n\n"):
            # the usual case: whole events behind whole events, so nothing need be copied
            return data if len(data) <= self._limit else self._without_long(data)
        text += data
        if not self._started:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                return b""
            self._started = True
            if text.startswith(_BOM):
                del text[: len(_BOM)]
        return self._cut()

    def finish(self) -> bytes:
        """Return the unfinished event and forget it."""
        rest = b"" if self._skipping else bytes(self._text)
        self._text = bytearray()
        self._seen = 0
        return rest

    def _cut(self) -> bytes:
        text = self._text
        if self._skipping:
            end = text.find(b"\n\n")
            if end < 0:
                del text[: -1 if text.endswith(b"\n") else len(text)]
                return b""
            self._skipping = False
            self._seen = 0
            del text[: end + 2]
        end = text.rfind(b"\n\n", max(0, self._seen - 1))
        whole = b""
        if end >= 0:
            with memoryview(text) as view:
                whole = bytes(view[: end + 2])
            del text[: end + 2]
            if len(whole) > self._limit:
                whole = self._without_long(whole)
        if len(text) > self._limit + _SLACK:
            self.dropped += 1
            self._skipping = True
            del text[: -1 if text.endswith(b"\n") else len(text)]
        self._seen = len(text)
        return whole

    def _without_long(self, whole: bytes) -> bytes:
        blocks = whole[:-2].split(b"\n\n")
        kept = [block for block in blocks if len(block.lstrip(b"\n")) <= self._limit]
        self.dropped += len(blocks) - len(kept)
        return b"".join([block + b"\n\n" for block in kept])


def event(block: bytes) -> tuple[bytes, bytes]:
    """Return (type, data) of one event *block* with LF line ends; no data means: no event."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return b"", block[6:]
    kind = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value[1:] if value.startswith(b" ") else value)
        elif field == b"event":
            kind = value[1:] if value.startswith(b" ") else value
    return kind, b"\n".join(data)


def block_at(text: bytes, at: int) -> tuple[int, int]:
    """Return where the event around position *at* of *text* starts and ends."""
    start = text.rfind(b"\n\n", 0, at)
    end = text.find(b"\n\n", at)
    return (0 if start < 0 else start + 2), (len(text) if end < 0 else end)


def blocks_with(text: bytes, needle: bytes) -> Iterator[bytes]:
    """Give the event blocks of *text* (as `EventBuffer.feed` returns it) that contain *needle*."""
    at = text.find(needle)
    while at >= 0:
        start, end = block_at(text, at)
        yield text[start:end]
        at = text.find(needle, end)


def blocks_with_from_end(text: bytes, needle: bytes) -> Iterator[bytes]:
    """Give the same blocks, the last one first."""
    at = text.rfind(needle)
    while at >= 0:
        start, end = block_at(text, at)
        yield text[start:end]
        at = text.rfind(needle, 0, start)


def last_events(text: bytes, size: int) -> bytes:
    """Return about the last *size* bytes of *text*, from the start of an event on."""
    if len(text) <= size:
        return text
    start = text.find(b"\n\n", len(text) - size)
    return text if start < 0 else text[start + 2 :]


def data_lines(text: bytes) -> bytes | None:
    """Return the data of the events of *text*, one a line, if all of them have the usual shape.

    That is: nothing but one ``data`` line, or one ``event`` line and one ``data`` line. None for
    anything else, which must then be read event by event.
    """
    if text.startswith(b"data: ") and text.endswith(b"\n\n"):
        joined = text[6:-2].replace(b"\n\ndata: ", b"\n")
        cuts = (len(text) - 8 - len(joined)) // 7  # 8 at the ends, 7 fewer at each cut
        return joined if joined.count(b"\n") == cuts else None
    lines = text.split(b"\n")
    if lines.pop() or len(lines) % 3 or any(lines[2::3]):
        return None
    fields, data = b"\n".join(lines[::3]), b"\n" + b"\n".join(lines[1::3])
    joined = data.replace(b"\ndata: ", b"\n")
    if b"data" in fields or len(data) - len(joined) != 2 * len(lines):
        return None
    return joined[1:]
