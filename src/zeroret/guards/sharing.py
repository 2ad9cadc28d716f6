"""Sharing: whether what is about to leave the process carries content of an exchange in flight.

A text shares content from 16 bytes of its own exchange (24 past 4 kB), from 64 of another's, as it
is, decoded or folded; see `zeroret.content.matching`. What no client wrote is no content: the
wording of APIs and libraries, models that logs may show, the route's own template.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from zeroret.content import matching
from zeroret.content.live import LIVE
from zeroret.guards import wording

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from zeroret.content.flight import Flight
    from zeroret.content.haystack import Span

LIMIT: Final = 2**20
"""Bytes of one request or statement that are matched; more than that is not let out unseen."""

BACKGROUND_LIMIT: Final = 2**16
"""The same where no exchange is known: what is found there is counted, never stopped."""

OVERLAP: Final = 256
"""Bytes of what passed before that each piece of a stream is matched with."""

_PARAMETER: Final = frozenset("{<(*:")
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


def shares(data: bytes, flight: Flight, *, identifiers: bool = False) -> bool:
    """Tell whether *data* carries content of *flight*, or of another exchange.

    Args:
        data: What is about to leave.
        flight: The exchange that this code runs in.
        identifiers: Whether the caller's credential and cookies may go.
    """
    others = LIVE.everyone.patient()
    if not matching.shared(data, flight, others):
        return False
    # Only what matched has to be looked at again, without what no client wrote.
    keep = wording.learned() | flight.names
    route = flight.route_template()
    if route and _PARAMETER.isdisjoint(route):
        keep |= {route}
    if identifiers:
        keep |= flight.identifiers()
    return _is_content(data, matching.shared(data, flight, others, keep=keep))


def shares_any(data: bytes, flights: Collection[Flight]) -> bool:
    """Tell whether *data*, which belongs to no known exchange, carries content of *flights*."""
    data = data[:BACKGROUND_LIMIT]
    if not matching.shared(data, None, flights, background=True):
        return False
    keep = wording.learned().union(*(flight.names for flight in flights))
    return _is_content(data, matching.shared(data, None, flights, background=True, keep=keep))


class Pieces:
    """A body that leaves piece by piece, each matched together with the end of what went before.

    Args:
        flight: The exchange that this code runs in.
        coding: The body's content coding, in lower case; empty for none.
    """

    __slots__ = ("_flight", "_inflating", "_inflation", "_tail", "_total")

    def __init__(self, flight: Flight, coding: str = "") -> None:
        self._flight = flight
        self._total = 0
        self._tail = b""
        self._inflation = b""
        self._inflating: Any = zlib.decompressobj(_GZIP_OR_ZLIB) if coding else None

    def renew(self) -> None:
        """Begin another body after this one, of a size of its own."""
        self._total = 0

    def takes(self, piece: bytes) -> bool:
        """Tell whether *piece* may not go: it shares content, or cannot be read any more."""
        self._total += len(piece)
        if self._total > LIMIT or not self._flight.matchable:
            return True
        text = self._tail + piece
        self._tail = text[-OVERLAP:]
        if shares(text, self._flight):
            return True
        if self._inflating is None:
            return False
        try:
            inflated = self._inflating.decompress(piece, LIMIT)
        except zlib.error:
            return True  # not what its headers say it is
        self._total += len(inflated)
        if self._inflating.unconsumed_tail or self._inflating.unused_data or self._total > LIMIT:
            return True
        text = self._inflation + inflated
        self._inflation = text[-OVERLAP:]
        return shares(text, self._flight)


def _is_content(data: bytes, spans: Sequence[Span]) -> bool:
    return any(size >= matching.OWN for size in wording.substance(data, spans))
