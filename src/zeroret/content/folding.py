"""Folding: a text without case, blanks and punctuation, so that those cannot hide content.

ASCII letters and digits are kept in lower case; beyond ASCII everything is kept, case-folded.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import compress, count
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LOWER: Final = bytes.maketrans(ascii_uppercase.encode(), ascii_lowercase.encode())
_KEPT: Final = frozenset((ascii_lowercase + ascii_uppercase + digits).encode())
_DROPPED: Final = bytes(byte for byte in range(128) if byte not in _KEPT)


def folded(data: bytes) -> bytes:
    """Return UTF-8 *data* folded; bytes that are not UTF-8 stay as they are."""
    if not data.isascii():
        text = data.decode("utf-8", "surrogateescape").casefold()
        data = text.encode("utf-8", "surrogateescape")
    return data.translate(_LOWER, _DROPPED)


def origins(data: bytes, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the stretches of *data* from which those of ``folded(data)`` came, sorted as given.

    One pass for all: a long text may share thousands of stretches.
    """
    if not spans:
        return
    if data.isascii():
        kept = list(compress(count(), map(_KEPT.__contains__, data)))
        yield from ((kept[start], kept[end - 1] + 1) for start, end in spans)
        return
    at = source = 0
    starts: list[int] = []
    sources: list[int] = []
    ends: list[int] = []
    last = max(end for _, end in spans)
    for character in data.decode("utf-8", "surrogateescape"):
        encoded = character.encode("utf-8", "surrogateescape")
        size = len(folded(encoded))
        if size:
            starts.append(at)
            sources.append(source)
        source += len(encoded)
        at += size
        if size:
            ends.append(source)
        if at >= last:
            break
    for start, end in spans:
        first, final = bisect_right(starts, start) - 1, bisect_left(starts, end) - 1
        yield sources[first], ends[final]
