"""Folding: a text without case, blanks and punctuation, so that those cannot hide content.

ASCII letters and digits are kept in lower case; beyond ASCII everything is kept, case-folded.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final

_LOWER: Final = bytes.maketrans(ascii_uppercase.encode(), ascii_lowercase.encode())
_KEPT: Final = frozenset((ascii_lowercase + ascii_uppercase + digits).encode())
_DROPPED: Final = bytes(byte for byte in range(128) if byte not in _KEPT)


def folded(data: bytes) -> bytes:
    """Return UTF-8 *data* folded; bytes that are not UTF-8 stay as they are."""
    if not data.isascii():
        text = data.decode("utf-8", "surrogateescape").casefold()
        data = text.encode("utf-8", "surrogateescape")
    return data.translate(_LOWER, _DROPPED)


def origin(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the stretch of *data* from which ``folded(data)[start:end]`` came."""
    at = source = 0
    left = -1
    for character in data.decode("utf-8", "surrogateescape"):
        width = len(character.encode("utf-8", "surrogateescape"))
        kept = len(folded(character.encode("utf-8", "surrogateescape")))
        if kept and left < 0 and at + kept > start:
            left = source
        source += width
        at += kept
        if at >= end:
            break
    return left, source
