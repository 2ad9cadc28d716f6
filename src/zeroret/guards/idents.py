"""Trace ids: passed on, since distributed traces are joined by them, unless they carry a text.

A client may send its own with ``traceparent``: sixteen bytes that it chooses. Those of a random id
look random. An id that spells printable text or nothing but digits is replaced by a keyed hash,
the same for the whole trace.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Final

_BYTES: Final = 16
_LONGEST: Final = 36  # characters of a UUID with its hyphens
_PADDING: Final = "00000000"  # ids of eight bytes, and those that count
_PRINTABLE: Final = frozenset(range(0x20, 0x7F))
_HEX: Final = {16: re.compile(r"[0-9a-f]{16}"), 32: re.compile(r"[0-9a-f]{32}")}
_key: Final = os.urandom(32)


def trace_id(number: int) -> int:
    """Return a trace id (16 bytes as a number) as it may be shown."""
    if not 0 < number < 2 ** (8 * _BYTES):
        return 0
    return number if not _is_text(number.to_bytes(_BYTES, "big")) else _hashed(number)


def span_id(number: int) -> int:
    """Return a span id (8 bytes as a number): too short for what matching calls a quotation."""
    return number if 0 < number < 2**64 else 0


def hex_id(text: object, digits: int) -> str | None:
    """Return an id written as *digits* hexadecimal digits (16 or 32), or None if it is none."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    spelt = str.__str__(text).lower().replace("-", "")
    if _HEX[digits].fullmatch(spelt) is None:
        return None
    return f"{trace_id(int(spelt, 16)):032x}" if digits == 2 * _BYTES else spelt


def _is_text(data: bytes) -> bool:
    """Tell whether an id spells text or digits: of random ids, one in a million does."""
    digits = data.hex()
    return _PRINTABLE.issuperset(data) or (digits.isdecimal() and not digits.startswith(_PADDING))


def _hashed(number: int) -> int:
    data = number.to_bytes(_BYTES, "big")
    return int.from_bytes(hashlib.blake2b(data, key=_key, digest_size=_BYTES).digest(), "big")
