"""Texts: what the arguments of a write say, as bytes that can be matched.

Arguments are whatever a driver takes: rows, documents, command words, wrapped JSON. What holds no
text (short numbers, dates, flags) is left aside; what is unknown says what its ``str`` says.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import date, time, timedelta
from itertools import chain
from typing import Any, Final

from zeroret.content.matching import OWN
from zeroret.guards.sharing import LIMIT

MOST: Final = 20_000
"""Values of one write that are looked at; more are taken for too much to read."""

DEEPEST: Final = 16
"""Levels of containers within each other that are looked at."""

_SILENT: Final = (bool, float, date, time, timedelta)
_WIDE: Final = 2**64
_COMPRESSED: Final = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class TooMuchError(Exception):
    """A write holds more than can be read in time; it is then not let out unseen."""


def gathered(*values: Any) -> list[bytes]:
    """Return the texts of *values*, containers taken apart and compressed bytes read as well.

    Raises:
        TooMuchError: they are too many, too large or too deep.
    """
    found: list[bytes] = []
    room = LIMIT
    left = MOST
    pending: list[tuple[Any, int]] = [(value, 0) for value in reversed(values)]
    while pending:
        value, depth = pending.pop()
        left -= 1
        if left < 0 or depth > DEEPEST:
            raise TooMuchError
        if isinstance(value, Mapping):
            pending += [(each, depth + 1) for each in chain(*value.items())][::-1]
        elif isinstance(value, list | tuple | set | frozenset):
            pending += [(each, depth + 1) for each in value][::-1]
        else:
            for text in _said(value):
                room -= len(text)
                if room < 0:
                    raise TooMuchError
                found.append(text)
    return found


def inflated(data: bytes) -> bytes:
    """Return what *data* holds compressed (zlib or gzip, as job queues do); empty if it does not.

    Raises:
        TooMuchError: it holds more than can be read.
    """
    if not data.startswith(_COMPRESSED):
        return b""
    inflation = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        text = inflation.decompress(data, LIMIT)
    except zlib.error:
        return b""
    if inflation.unconsumed_tail:
        raise TooMuchError
    return text


def _said(value: Any) -> list[bytes]:
    if isinstance(value, str):
        return [value.encode("utf-8", "surrogatepass")]
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        inside = inflated(data)
        return [data, inside] if inside else [data]
    if value is None or isinstance(value, _SILENT):
        return []
    if isinstance(value, int):
        return _digits(value)
    for name in ("obj", "adapted"):  # psycopg's Json, psycopg2's
        held = getattr(value, name, None)
        if isinstance(held, str | bytes | Mapping | list):
            return gathered(held)
    return [str(value).encode("utf-8", "surrogatepass")]


def _digits(number: int) -> list[bytes]:
    """Return what a long number says: its digits, and the bytes that it may have been made of."""
    if -_WIDE < number < _WIDE:
        text = str(number).encode()
        return [text] if len(text) >= OWN else []
    if number.bit_length() > 8 * LIMIT:
        raise TooMuchError
    size = (abs(number).bit_length() + 7) // 8
    return [abs(number).to_bytes(size, order) for order in ("big", "little")]
