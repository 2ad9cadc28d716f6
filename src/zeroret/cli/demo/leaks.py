"""The search: which canaries stand on which surface, raw or in disguise."""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FRAGMENT: Final = 16
"""Characters in a row of one canary that count as a leak: nothing random agrees in so many."""

SURFACES: Final = (
    "access log",
    "tracebacks",
    "stdout and stderr, the rest",
    "application log file",
    "JSON log file",
    "temporary directory",
    "usage database",
    "journal",
    "other files",
)
"""The surfaces, in the order of the table."""

_ACCESS: Final = re.compile(rb'"[A-Z]+ [^"]* HTTP/[\d.]+" \d{3}')
_TRACEBACK: Final = re.compile(rb"Traceback \(most recent call last\)")
_RECORD: Final = re.compile(rb"(?:INFO|DEBUG|WARNING|ERROR|CRITICAL):")
"""How a line begins that is a log record of its own and not the rest of a traceback."""

_RUN: Final = re.compile(rb"[a-z0-9]{%d,}" % FRAGMENT)
_ESCAPE: Final = re.compile(rb"\\+(?:u00|U000000|x)([0-9A-Fa-f]{2})")
_ENTITY: Final = re.compile(rb"&#(?:x([0-9A-Fa-f]{2})|(\d{2,3}));")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % (FRAGMENT * 4 // 3))
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{%d,}" % (2 * FRAGMENT))

Found = dict[str, set[str]]
"""By surface, the canaries found on it."""


class Search:
    """Looks for canaries: raw, JSON- or URL-escaped, as HTML entities, UTF-16, base64 or hex."""

    def __init__(self, canaries: Iterable[str]) -> None:
        self._fragments: dict[bytes, str] = {}
        for canary in canaries:
            raw = canary.encode("ascii")
            for start in range(len(raw) - FRAGMENT + 1):
                self._fragments[raw[start : start + FRAGMENT]] = canary

    def text(self, data: bytes) -> set[str]:
        """Return the canaries of which *data* holds a piece of `FRAGMENT` characters or more."""
        found: set[str] = set()
        for view in views(data):
            for run in _RUN.finditer(view):
                found |= self._within(run[0])
        return found

    def folder(self, folder: Path) -> Found:
        """Return what is found on each surface of a server that worked in *folder*."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            surface = _surface(relative.parts)
            found[surface] |= self.text("\n".join(relative.parts).encode())
            if not path.is_file():
                continue
            data = path.read_bytes()
            if relative.parts[0] in ("stdout.txt", "stderr.txt"):
                for name, part in streams(data):
                    found[name] |= self.text(part)
            else:
                found[surface] |= self.text(data)
        return dict(found)

    def _within(self, run: bytes) -> set[str]:
        windows = (run[start : start + FRAGMENT] for start in range(len(run) - FRAGMENT + 1))
        return {self._fragments[window] for window in windows if window in self._fragments}


def views(data: bytes) -> Iterator[bytes]:
    """Yield *data* as it is and as it reads once one disguise is taken off."""
    yield data
    if b"\\" in data:
        yield _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), data)
    if b"%" in data:
        yield unquote_to_bytes(data)
    if b"&#" in data:
        yield _ENTITY.sub(_unentity, data)
    if b"\0" in data:
        yield data.replace(b"\0", b"")
    for run in _BASE64.finditer(data):
        yield from _decoded(run[0])
    for run in _HEX.finditer(data):
        for start in (0, 1):
            digits = run[0][start:]
            yield binascii.unhexlify(digits[: len(digits) // 2 * 2])


def streams(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a server's output line by line, each with the surface it belongs to."""
    in_traceback = False
    for line in data.splitlines(keepends=True):
        if _TRACEBACK.search(line):
            in_traceback = True
        elif in_traceback and _RECORD.match(line):
            in_traceback = False
        if _ACCESS.search(line):
            yield "access log", line
        else:
            yield "tracebacks" if in_traceback else "stdout and stderr, the rest", line


def by_place(canaries: Iterable[str], places: Mapping[str, str]) -> dict[str, int]:
    """Return how many of *canaries* were planted in each place."""
    counts: defaultdict[str, int] = defaultdict(int)
    for canary in canaries:
        counts[places[canary]] += 1
    return dict(counts)


def merge(*searches: Found) -> Found:
    """Return what was found in any of *searches*."""
    merged: defaultdict[str, set[str]] = defaultdict(set)
    for search in searches:
        for surface, canaries in search.items():
            merged[surface] |= canaries
    return dict(merged)


def _surface(parts: tuple[str, ...]) -> str:
    name = parts[0]
    if name == "app.log":
        return "application log file"
    if name == "log.jsonl":
        return "JSON log file"
    if name == "tmp":
        return "temporary directory"
    if name.endswith(".journal"):
        return "journal"
    return "usage database" if name.startswith("usage.db") else "other files"


def _decoded(run: bytes) -> Iterator[bytes]:
    """Yield what *run* may be as base64, standard or URL-safe, from each of its four offsets."""
    standard = run.translate(bytes.maketrans(b"-_", b"+/"))
    for start in range(4):
        quads = standard[start:]
        yield base64.b64decode(quads[: len(quads) // 4 * 4])


def _unentity(match: re.Match[bytes]) -> bytes:
    number = int(match[1], 16) if match[1] else int(match[2])
    return bytes([number]) if number < 256 else match[0]  # noqa: PLR2004 - a byte's range
