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


def damage(data: bytes) -> list[tuple[int, int]]:
    """Return the spans of *data* that are neither whole lines nor the newlines between them.

    *data* is a whole segment; a last line without newline is damage unless it is whole.
    """
    spans: list[tuple[int, int]] = []
    at = 0
    for line in data.split(b"\n"):
        if line and line[:_HEAD] != b"%08x " % crc32(line[_HEAD:]):
            kept = at
            for start, end in _whole(line):
                spans.append((kept, at + start))
                kept = at + end
            spans.append((kept, at + len(line)))
        at += len(line) + 1
    return [(start, end) for start, end in spans if start < end]


def _salvage(line: bytes) -> list[bytes]:
    """Return what is whole inside a damaged line: its newline may be all that was hit."""
    return [line[start + _HEAD : end] for start, end in _whole(line)]


def _whole(line: bytes) -> list[tuple[int, int]]:
    """Return the spans of a damaged line that are whole lines themselves."""
    starts = [match.start() for match in _FRAME.finditer(line)]
    return [
        (start, end - 1)
        for start, end in pairwise([*starts, len(line) + 1])
        if line[start : start + _HEAD] == b"%08x " % crc32(line[start + _HEAD : end - 1])
    ]
