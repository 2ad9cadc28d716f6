"""One record, one line: ``crc32 as 8 hex digits, space, JSON, newline``.

Sans-I/O. The checksum is CRC-32 (ISO 3309, as in `zlib.crc32`) of the JSON's bytes.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, NamedTuple
from zlib import crc32

_HEAD: Final = 9  # eight hex digits and a space
_FRAME: Final = re.compile(rb"[0-9a-f]{8} \{")


class Lines(NamedTuple):
    """What `parse` found in a piece of a segment."""

    payloads: list[bytes]
    """The JSON of each whole and undamaged line, in order."""
    consumed: int
    """How many bytes of the piece these lines, damaged ones included, took."""
    torn: int
    """How many lines were damaged."""


def frame(payload: bytes) -> bytes:
    """Return *payload* as one line with its checksum."""
    return b"%08x %b\n" % (crc32(payload), payload)


def parse(data: bytes, limit: int) -> Lines:
    """Return up to about *limit* undamaged lines of *data*; a last line without newline stays.

    Empty lines are the repairs that a writer puts after a short write; they are no damage.
    """
    lines = data.split(b"\n", limit)
    rest = lines.pop()
    payloads: list[bytes] = []
    torn = 0
    for line in lines:
        payload = line[_HEAD:]
        if line[:_HEAD] == b"%08x " % crc32(payload):
            payloads.append(payload)
        elif line:
            torn += 1
            payloads += _salvage(line)
    return Lines(payloads, len(data) - len(rest), torn)


def _salvage(line: bytes) -> list[bytes]:
    """Return what is whole inside a damaged line: its newline may be all that was hit."""
    starts = [match.start() for match in _FRAME.finditer(line)]
    found = []
    for start, end in pairwise([*starts, len(line) + 1]):
        piece = line[start : end - 1]
        payload = piece[_HEAD:]
        if piece[:_HEAD] == b"%08x " % crc32(payload):
            found.append(payload)
    return found
