"""Content codings undone piece by piece: gzip and deflate, bounded, for reading beside the reply.

RFC 9110, section 8.4.1. ``deflate`` is read zlib-wrapped (RFC 1950) as specified and raw (RFC 1951)
as some servers send it. Everything else, stacked codings included, is unreadable.
"""

from __future__ import annotations

import zlib
from typing import Final

OUTPUT_LIMIT: Final = 32 * 2**20
"""The most bytes one body may inflate to."""

RATIO_LIMIT: Final = 256
"""The most a body may inflate by, once past `RATIO_FREE` bytes; text stays far below."""

RATIO_FREE: Final = 2**20
"""Output below which the ratio is not looked at."""

_PIECE: Final = 256 * 1024


def coding(header: str | bytes | None) -> str:
    """Return the one coding of a Content-Encoding *header*.

    ``""`` for none, ``"gzip"``, ``"deflate"``, or ``"unreadable"`` for any other or several.
    """
    if not header:
        return ""
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    names = [name for part in text.split(",") if (name := part.strip().lower()) != "identity"]
    names = [name for name in names if name]
    if not names:
        return ""
    if len(names) == 1 and names[0] in {"gzip", "x-gzip"}:
        return "gzip"
    return "deflate" if names == ["deflate"] else "unreadable"


class Inflate:
    """Undoes one coding incrementally; `readable` turns False for good at the first fault."""

    __slots__ = ("_coding", "_head", "_made", "_taken", "_zlib", "readable")

    def __init__(self, name: str) -> None:
        self.readable = name in {"gzip", "deflate"}
        self._coding = name
        self._zlib = zlib.decompressobj(31) if name == "gzip" else None
        self._head = b""
        self._made = 0
        self._taken = 0

    def feed(self, data: bytes) -> bytes:
        """Return what *data* inflates to; never raises, and returns nothing past a fault."""
        if not self.readable or not data:
            return b""
        try:
            return self._inflate(data)
        except (zlib.error, MemoryError):
            self.readable = False
            return b""

    def _inflate(self, data: bytes) -> bytes:
        if self._zlib is None:
            data = self._head + data
            if len(data) < 2:  # noqa: PLR2004 - the two bytes of a zlib header tell it from raw
                self._head = data
                return b""
            wrapped = data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0  # noqa: PLR2004 - RFC 1950, 2.2
            self._zlib = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        out: list[bytes] = []
        while data and self.readable:
            piece = self._zlib.decompress(data, _PIECE)
            rest = self._zlib.unconsumed_tail
            if self._zlib.eof:
                rest = self._zlib.unused_data
                if rest:
                    # gzip may hold several members (RFC 1952, 2.2); after deflate comes only junk
                    rest = rest if self._coding == "gzip" else b""
                    self._zlib = zlib.decompressobj(31)
            out.append(piece)
            self._made += len(piece)
            self._taken += len(data) - len(rest)
            data = rest
            if self._made > OUTPUT_LIMIT or (
                self._made > RATIO_FREE and self._made > RATIO_LIMIT * self._taken
            ):
                self.readable = False
                return b""
        return b"".join(out)
