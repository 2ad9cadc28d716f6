"""The search of the promise: the demo's, and deeper: reversed, inflated, disguised twice."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from zeroret.cli.demo.leaks import Search, views

DEEPEST: Final = 2
"""Disguises that are taken off, one after the other."""

_LEAST: Final = 12
_SEAM: Final = re.compile(rb'\n|,(?= ?\\*")')
_HEADS: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b\x08")


class Searching:
    """Looks for canaries in anything, down to `DEEPEST` disguises.

    Args:
        places: What is looked for: canaries, each with the place where it was planted.
        depth: How many disguises are taken off; with 0 canaries are found as they
            were sent, in any case of letters.
    """

    def __init__(self, places: dict[str, str], depth: int = DEEPEST) -> None:
        self._places = places
        self._depth = depth
        self._search = Search(places)
        self._clean: set[bytes] = set()

    def places(self, data: bytes) -> set[str]:
        """Return where those canaries were planted that *data* holds."""
        if not self._depth:
            lowered = data.lower()
            return {place for canary, place in self._places.items() if canary.encode() in lowered}
        pieces = [each for each in _pieces(data) if each not in self._clean]
        found: set[str] = set()
        for view in _deep(b"\n".join(pieces), self._depth):
            found |= self._search.text(view)
        if not found:
            self._clean.update(pieces)
        return {self._places[canary] for canary in found}

    def folder(self, folder: Path) -> dict[str, set[str]]:
        """Return the places of what is found in each file beneath *folder*, and in names."""
        found: dict[str, set[str]] = {"names": set()}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if self.places(name.encode()):
                found["names"] |= self.places(name.encode())
            if path.is_file():
                surface = path.relative_to(folder).parts[0]
                found.setdefault(surface, set()).update(self.places(path.read_bytes()))
        return {surface: places for surface, places in found.items() if places}


def _pieces(data: bytes) -> list[bytes]:
    """Return *data* in pieces that no disguise of a canary spans, so that repetitions are known."""
    if b"\0" in data or any(head in data for head in _HEADS):
        return [data]
    return list(dict.fromkeys(_SEAM.split(data)))


def _deep(data: bytes, depth: int) -> Iterator[bytes]:
    """Yield texts in which a disguise less stands, and those in which further ones stand."""
    yield data
    lowered = data.lower()
    if lowered != data:
        yield lowered
    yield lowered[::-1]
    if depth == 0:
        return
    for inflated in _inflated(data):
        yield from _deep(inflated, depth - 1)
    for view in list(views(data))[1:]:
        if len(view) >= _LEAST and _is_of_interest(view):
            yield from _deep(view, depth - 1)


def _is_of_interest(view: bytes) -> bool:
    """Whether *view* is text or compressed, and not what comes of decoding what was no code."""
    head = view[:64]
    plain = sum(32 <= each < 127 or each in (0, 9, 10, 13) for each in head)
    return plain * 10 >= len(head) * 8 or any(each in head for each in _HEADS)


def _inflated(data: bytes) -> Iterator[bytes]:
    """Yield what inflates in *data*, as zlib's or gzip's stream."""
    for head in _HEADS:
        at = data.find(head)
        while at >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj(47).decompress(data[at:], 1 << 24)
            at = data.find(head, at + 1)
