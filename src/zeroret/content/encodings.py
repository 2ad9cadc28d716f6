"""Encoded tokens in a text: base64, hex, lists of integers, deflate and UTF-16.

Each decoder takes bytes and returns views of the tokens it found. Where the alignment of a token is
unknown, because its head was cut off, every alignment is decoded into the one view, apart by a byte
that stands in no UTF-8 text.
"""

from __future__ import annotations

import binascii
import re
import zlib
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Final

from zeroret.content.views import View, token

if TYPE_CHECKING:
    from collections.abc import Iterator

APART: Final = b"\xff"
"""Separates what must not match across; no UTF-8 text holds this byte."""

INFLATED_LIMIT: Final = 2**18
"""The most bytes taken out of one compressed stream."""

_BASE64: Final = re.compile(
    rb"[A-Za-z0-9+/_-]{22,}(?:(?:\r?\n[ \t]*|\\n|\\r\\n)[A-Za-z0-9+/_-]{2,})*"
)
_BREAKS: Final = re.compile(rb"\r?\n[ \t]*|\\r\\n|\\n")
_URLSAFE: Final = bytes.maketrans(b"-_", b"+/")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{2}(?:[ :-]?[0-9A-Fa-f]{2}){15,}")
_SEPARATORS: Final = b" :-"
_INTEGERS: Final = re.compile(
    rb"(?:0x[0-9A-Fa-f]{1,6}|[0-9]{1,7})(?:,\s{0,2}(?:0x)?[0-9A-Fa-f]{1,7}){15,}"
)
_INTEGER: Final = re.compile(rb"0x[0-9A-Fa-f]+|[0-9]+")
_BYTE: Final = 256
_UNICODE_END: Final = 0x110000
_NULS: Final = 8
_BASE64_CLASS: Final = bytes(
    98 if byte in (ascii_letters + digits + "+/_-").encode() else 32 for byte in range(256)
)
_HEX_CLASS: Final = bytes(104 if byte in b"0123456789abcdefABCDEF" else 32 for byte in range(256))
SHORTEST: Final = 8
"""Bytes below which a decoded view cannot matter."""

_GZIP: Final = b"\x1f\x8b"


def base64(data: bytes) -> Iterator[View]:
    """Decode runs of the base64 alphabets, lines joined, from each of the four offsets."""
    # A search for a plain run is ten times cheaper than the pattern, and mostly finds none.
    if b"b" * 22 not in data.translate(_BASE64_CLASS):
        return
    for match in _BASE64.finditer(data):
        found = match[0]
        if b"\n" in found or b"\\" in found:
            found = _BREAKS.sub(b"", found)
        found = found.translate(_URLSAFE)
        decoded = APART.join([_quads(found[offset:]) for offset in range(4)])
        yield token(decoded, *match.span(), packed=True)


def _quads(encoded: bytes) -> bytes:
    if len(encoded) % 4 == 1:
        encoded = encoded[:-1]
    return binascii.a2b_base64(encoded + b"==")


def hexadecimal(data: bytes) -> Iterator[View]:
    """Decode runs of hex digits, also set apart by blanks, colons or dashes, from both offsets."""
    if b"h" * 32 not in data.translate(_HEX_CLASS, _SEPARATORS):
        return
    for match in _HEX.finditer(data):
        digits = match[0].translate(None, _SEPARATORS)
        shifted = digits[1:-1]
        decoded = binascii.a2b_hex(digits) + APART + binascii.a2b_hex(shifted)
        yield token(decoded, *match.span(), packed=True)


def integers(data: bytes) -> Iterator[View]:
    """Decode lists of at least 16 integers as bytes and as code points."""
    if data.count(b",") < 15:  # noqa: PLR2004 - sixteen items, fifteen commas
        return
    for match in _INTEGERS.finditer(data):
        numbers = [int(item, 0) for item in _decimal(match[0])]
        raw = bytes([number for number in numbers if number < _BYTE])
        text = "".join([chr(number) for number in numbers if number < _UNICODE_END])
        yield token(raw + APART + text.encode("utf-8", "surrogatepass"), *match.span())


def _decimal(items: bytes) -> list[bytes]:
    # int(…, 0) takes 0x but refuses the leading zeros that fixed-width lists have.
    return [
        item if item[:2] == b"0x" else item.lstrip(b"0") or b"0" for item in _INTEGER.findall(items)
    ]


def inflated(view: View) -> Iterator[View]:
    """Inflate what base64 or hex held: zlib, gzip or bare deflate, within `INFLATED_LIMIT`."""
    data = view.data
    if not view.packed or len(data) < _NULS:
        return
    if data[:2] == _GZIP:
        window = 31
    elif data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0:  # noqa: PLR2004 - RFC 1950, 2.2
        window = 15
    elif data[0] >> 1 & 3 in (1, 2):
        window = -15
    else:
        return
    try:
        plain = zlib.decompressobj(window).decompress(data, INFLATED_LIMIT)
    except zlib.error:
        return
    yield token(plain, 0, len(data))


def wide(data: bytes) -> Iterator[View]:
    """Decode UTF-16 of both byte orders from both offsets, and drop interleaved nulls."""
    if data.count(b"\0") < _NULS:
        return
    decoded = [
        data[offset : offset + (len(data) - offset) // 2 * 2]
        .decode(order, "replace")
        .encode("utf-8", "surrogatepass")
        for offset in range(2)
        for order in ("utf-16-le", "utf-16-be")
    ]
    decoded.append(data.replace(b"\0", b""))
    yield token(APART.join(decoded), 0, len(data))
