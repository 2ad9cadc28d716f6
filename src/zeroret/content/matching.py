"""Matching: where a text shares content with exchanges in flight.

A text shares what stands in the content byte for byte, for at least the threshold: the spans
returned are the union of all such runs, no more and no less.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from zeroret.content.flight import Flight

OWN: Final = 16
"""Shared bytes from which a text is taken to quote its own exchange."""

OWN_LARGE: Final = 24
"""The same for content of more than `LARGE` bytes, which ordinary lines collide with at 16."""

OTHER: Final = 64
"""Shared bytes from which a text is taken to quote another exchange."""

LARGE: Final = 4096
"""Bytes of content from which `OWN_LARGE` holds."""

_NOTHING: Final[frozenset[str]] = frozenset()

Span = tuple[int, int]


def shared(
    text: str | bytes,
    own: Flight | None,
    others: Iterable[Flight] = (),
    *,
    background: bool = False,
    keep: frozenset[str] = _NOTHING,
) -> list[Span]:
    """Return where *text* shares content, as sorted, disjoint `(start, end)` in its own units.

    Args:
        text: What may quote content; str spans count characters, bytes spans bytes.
        own: The exchange the text belongs to: threshold `OWN` or `OWN_LARGE`.
        others: Further exchanges: threshold `OTHER`; *own* among them is skipped.
        background: Each of *others* counts as *own* does: nothing says whose the text is.
        keep: Constants whose occurrences in the text are not content.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    flights = [(own, threshold(own))] if own is not None else []
    flights += [
        (flight, threshold(flight) if background else OTHER)
        for flight in others
        if flight is not own
    ]
    covered: list[Span] = []
    for flight, least in flights:
        content = _joined(flight)
        for at in range(len(data) - least + 1):
            if data[at : at + least] in content:
                covered.append((at, at + least))
    return merged(covered)


def shares(
    text: str | bytes,
    own: Flight | None,
    others: Iterable[Flight] = (),
    *,
    background: bool = False,
) -> bool:
    """Tell whether *text* shares content; see `shared`."""
    return bool(shared(text, own, others, background=background))


def threshold(flight: Flight) -> int:
    """Return from how many shared bytes a text quotes *flight* if it is the text's own."""
    return OWN_LARGE if flight.held > LARGE else OWN


def merged(spans: list[Span]) -> list[Span]:
    """Return the union of *spans*, sorted and disjoint."""
    union: list[Span] = []
    for start, end in sorted(spans):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((start, end))
    return union


def _joined(flight: Flight) -> bytes:
    return b"".join(
        chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk
        for chunk in flight.chunks
    )
