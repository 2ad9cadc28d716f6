"""Escapes within a text: backslashes, percent signs and HTML entities, decoded in place.

Each decoder takes bytes and returns a `View`, or None where there is nothing to decode.
"""

from __future__ import annotations

import html
import re
from binascii import a2b_hex
from typing import TYPE_CHECKING, Final

from zeroret.content.views import Piece, View

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKSLASH: Final = re.compile(
    rb"""\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"""
    rb"""|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[abfnrtv0"'/\\])"""
)
_HIGH_BYTE: Final = re.compile(rb"\\x[89a-fA-F]")
_PERCENT: Final = re.compile(rb"%[0-9a-fA-F]{2}|\+")
_PERCENT_ONLY: Final = re.compile(rb"%[0-9a-fA-F]{2}")
_PERCENTS: Final = re.compile(rb"(?:%[0-9a-fA-F]{2})++")
_ENTITY: Final = re.compile(rb"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_CONTROL: Final = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
    b"0": b"\0",
}
_COMMON: Final = {rb"\n": b"\n", rb"\"": b'"', rb"\\": b"\\"}
_UNICODE_MAX: Final = 0x10FFFF
_PAIR: Final = 12


def unescaped(data: bytes) -> View | None:
    r"""Decode ``\n``, ``\"``, ``\uXXXX``, ``\xNN`` as code points: JSON and the repr of a str."""
    return _substituted(data, _BACKSLASH, _character) if b"\\" in data else None


def without_escapes(data: bytes) -> bytes:
    """Return what `unescaped` decodes, without the record of where each part came from."""
    return _BACKSLASH.sub(_replacement, data) if b"\\" in data else data


def unescaped_bytes(data: bytes) -> View | None:
    r"""Decode the same with ``\xNN`` as bytes: the repr of bytes; None where that is no other."""
    if b"\\x" not in data or not _HIGH_BYTE.search(data):
        return None
    return _substituted(data, _BACKSLASH, _byte)


def unquoted(data: bytes) -> View | None:
    """Decode ``%XX`` and ``+`` of URLs and forms."""
    if b"%" in data and _PERCENT_ONLY.search(data):
        return _substituted(data, _PERCENT, _percent)
    if data.count(b"+") > 1:
        return View(data.replace(b"+", b" "), [Piece(0, 0, len(data), exact=True)])
    return None


def without_percents(data: bytes) -> bytes:
    """Return what `unquoted` decodes, without the record of where each part came from."""
    return _PERCENTS.sub(_unhexed, data.replace(b"+", b" "))


def unentitled(data: bytes) -> View | None:
    """Decode HTML entities, named, decimal and hexadecimal."""
    return _substituted(data, _ENTITY, _entity) if b"&" in data and b";" in data else None


def _substituted(
    data: bytes, pattern: re.Pattern[bytes], decoded: Callable[[bytes], bytes]
) -> View | None:
    parts: list[bytes] = []
    pieces: list[Piece] = []
    at = taken = 0
    for match in pattern.finditer(data):
        start, end = match.span()
        if start > taken:
            pieces.append(Piece(at, taken, start, exact=True))
            parts.append(data[taken:start])
            at += start - taken
        part = decoded(match[0])
        pieces.append(Piece(at, start, end, exact=False))
        parts.append(part)
        at += len(part)
        taken = end
    if not taken:
        return None
    if taken < len(data):
        pieces.append(Piece(at, taken, len(data), exact=True))
        parts.append(data[taken:])
    return View(b"".join(parts), pieces)


def _character(escape: bytes) -> bytes:
    kind = escape[1:2]
    if len(escape) == _PAIR:
        high, low = int(escape[2:6], 16), int(escape[8:12], 16)
        return _encoded(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    if kind in b"uUx":
        return _encoded(_hex(escape[2:]))
    return _CONTROL.get(kind, kind)


def _replacement(match: re.Match[bytes]) -> bytes:
    return _COMMON.get(match[0]) or _character(match[0])


def _byte(escape: bytes) -> bytes:
    if escape[1:2] == b"x":
        return bytes((_hex(escape[2:]),))
    return _character(escape)


def _percent(escape: bytes) -> bytes:
    return b" " if escape == b"+" else bytes((int(escape[1:], 16),))


def _unhexed(match: re.Match[bytes]) -> bytes:
    return a2b_hex(match[0].translate(None, b"%"))


def _entity(escape: bytes) -> bytes:
    return html.unescape(escape.decode("ascii")).encode("utf-8", "surrogatepass")


def _encoded(point: int) -> bytes:
    return chr(point).encode("utf-8", "surrogatepass") if point <= _UNICODE_MAX else b"?"


def _hex(digits: bytes) -> int:
    return int(digits, 16)
