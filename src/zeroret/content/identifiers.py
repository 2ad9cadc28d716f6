"""Identifiers: the caller's credential and cookies, which an app's own authentication stores.

Sessions are kept under a cookie's value and rate limits under a key: no content, where a store is
concerned. Only what looks like one is taken for one, so that no prose passes as a cookie.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CREDENTIALS: Final = frozenset(
    {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-csrftoken"}
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.:|~+/=-]{16,4096}")
_PARTS: Final = re.compile(r"[.:|]")
_SHORTEST: Final = 16
_MOST: Final = 256


def among(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[str]:
    """Return the identifiers among *headers*, and the parts of signed ones; names in lower case."""
    found: set[str] = set()
    for name, value in headers:
        if name == b"cookie":
            for text in _cookies(value.decode("latin-1")):
                _take(text, found)
        elif name in _CREDENTIALS:
            _take(value.decode("latin-1").rpartition(" ")[2], found)
    return frozenset(found)


def _cookies(header: str) -> Iterator[str]:
    for pair in header.split(";"):
        value = pair.partition("=")[2].strip().strip('"')
        yield value
        if "%" in value:
            yield unquote(value)


def _take(text: str, found: set[str]) -> None:
    """Add *text* and its parts: of a signed session cookie a store holds the first one only."""
    if len(found) >= _MOST or not _TOKEN.fullmatch(text):
        return
    found.add(text)
    found.update(part for part in _PARTS.split(text) if len(part) >= _SHORTEST)
