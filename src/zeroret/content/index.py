"""The index of one exchange's content, built when something asks and grown as chunks come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from zeroret.content.forms import Forms
from zeroret.content.haystack import Haystack

if TYPE_CHECKING:
    from zeroret.content.flight import Flight
    from zeroret.content.haystack import Needle, Span


class Index:
    """What matching knows of one exchange's content, in all its forms."""

    __slots__ = ("__weakref__", "_busy", "_exact", "_fold", "_forms", "_lock", "_taken")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._busy = False
        self._taken = 0
        self._exact = Haystack()
        self._fold = Haystack()
        self._forms = Forms(self._exact.take, self._fold.take)

    def spans(self, flight: Flight, needle: Needle, least: int) -> list[Span]:
        """Return where *needle* shares at least *least* bytes with the content of *flight*."""
        with self._lock:
            self._update(flight)
            return self._exact.spans(needle, least)

    def folded_spans(self, flight: Flight, needle: Needle, least: int) -> list[Span]:
        """Return the same for a folded *needle* and the folded content, in folded bytes."""
        with self._lock:
            self._update(flight)
            return self._fold.spans(needle, least)

    def _update(self, flight: Flight) -> None:
        chunks = flight.chunks[self._taken :]
        if not chunks:
            return
        if self._busy:
            # A finaliser that ran while we were indexing is asking about half an index.
            raise RuntimeError("the index was asked for while it was being built")
        self._busy = True
        try:
            self._taken += len(chunks)
            self._forms.add(b"".join(map(encoded, chunks)))
        except BaseException:
            # Part of the content may be missing now: whoever asks next begins anew.
            flight.index = None
            raise
        finally:
            self._busy = False


def encoded(chunk: bytes | str) -> bytes:
    """Return a chunk of content as bytes."""
    return chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk


def index_of(flight: Flight) -> Index:
    """Return the index of *flight*, kept on the flight so that dropping it drops this too."""
    index = flight.index
    if not isinstance(index, Index):
        index = flight.index = Index()
        if flight.closed:
            flight.index = None
    return index
