"""One JSON array that arrives in pieces: its objects, cut exactly and given on as events.

So Gemini streams where server-sent events were not asked for. Only braces and strings are told
apart: an object ends at the brace that closes it, whatever stands inside.
"""

from __future__ import annotations

import re
from typing import Final

from zeroret.dialects.sse import EVENT_LIMIT

_TO_BRACE: Final = re.compile(rb'[^"{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}]*+)*+', re.DOTALL)
"""Everything up to the next brace that stands in no string, or to a string without an end."""

_TO_QUOTE: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""The rest of a string, up to its end."""

_BETWEEN: Final = re.compile(rb"[ \t\r\n,\[]*+")
_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")
_QUOTE, _OPEN, _END = b'"{]'


class ObjectBuffer:
    """Cuts a byte stream that is one array of objects, whatever the chunks.

    `feed` returns the objects that became whole as events; one object alone, or several without an
    array around them, are read alike. An object longer than *limit* is dropped, and so is all that
    follows something that is no object; `dropped` counts both. `ended` is True after the array.
    """

    __slots__ = ("_depth", "_limit", "_long", "_quoted", "_seen", "_text", "dropped", "ended")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._text = bytearray()
        self._seen = 0  # where the search goes on
        self._depth = 0
        self._quoted = False  # whether that is inside a string
        self._long = False
        self._limit = limit
        self.dropped = 0
        self.ended = False

    @property
    def held(self) -> int:
        """Bytes of the unfinished object."""
        return len(self._text)

    def holds(self, needle: bytes) -> bool:
        """Whether the unfinished object contains *needle*."""
        return needle in self._text

    def feed(self, data: bytes) -> bytes:
        """Take *data* and return the events of the objects it completed; never raises."""
        if self.ended:
            return b""
        text = self._text
        text += data
        found: list[bytes] = []
        start = 0  # an object that has begun begins where the text does
        while True:
            if not self._depth:
                start = self._begin(text)
            if not self._depth or not self._ends(text):
                break
            self._take(text, start, found)
        if self._depth and (self._long or len(text) - start > self._limit):
            self._long = True
            start = self._seen
        del text[:start]
        self._seen -= start
        return b"".join(found)

    def finish(self) -> bytes:
        """Forget the unfinished object, of which nothing can be said; return nothing."""
        self._text = bytearray()
        self._seen = 0
        return b""

    def _begin(self, text: bytearray) -> int:
        """Go to the next object of *text*, or to its end if there is none; return where that is."""
        at = _end(_BETWEEN, text, self._seen)
        if at < len(text):
            if text[at] == _OPEN:
                self._depth = 1
                self._seen = at + 1
                return at
            self.ended = True
            self.dropped += text[at] != _END
        self._seen = len(text)
        return self._seen

    def _ends(self, text: bytearray) -> bool:
        """Go to the end of the object, or of *text* if that comes first; True in the first case."""
        at, size = self._seen, len(text)
        while True:
            if self._quoted:
                at = _end(_TO_QUOTE, text, at)
                if at == size or text[at] != _QUOTE:
                    break  # a backslash may be the last byte
                self._quoted = False
                at += 1
            at = _end(_TO_BRACE, text, at)
            if at == size:
                break
            found = text[at]
            at += 1
            if found == _QUOTE:
                self._quoted = True
                continue
            self._depth += 1 if found == _OPEN else -1
            if not self._depth:
                self._seen = at
                return True
        self._seen = at
        return False

    def _take(self, text: bytearray, start: int, found: list[bytes]) -> None:
        """Add the object between *start* and here to *found*, if it is not too long."""
        if self._long or self._seen - start > self._limit:
            self._long = False
            self.dropped += 1
            return
        with memoryview(text) as view:
            whole = bytes(view[start : self._seen])
        found.append(b"data: " + whole.translate(_ONE_LINE) + b"\n\n")


def _end(rule: re.Pattern[bytes], text: bytearray, at: int) -> int:
    """Return where the match of a *rule* that matches nothing too ends."""
    match = rule.match(text, at)
    return at if match is None else match.end()
