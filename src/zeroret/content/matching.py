"""Matching: where a text shares content with exchanges in flight.

A text shares what stands in the content byte for byte, for at least the threshold: the spans
returned are the union of all such runs, no more and no less. Its decoded views and its folded form
are matched, too; a span is then what the shared run was decoded or folded from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zeroret.content import crowd, disguises, folding
from zeroret.content.crowd import CROWD
from zeroret.content.haystack import WIDE, Needle
from zeroret.content.index import index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zeroret.content.flight import Flight
    from zeroret.content.haystack import Span
    from zeroret.content.views import View

OWN: Final = 16
"""Shared bytes from which a text is taken to quote its own exchange."""

OWN_LARGE: Final = 24
"""The same for content of more than `LARGE` bytes, which ordinary lines collide with at 16."""

OTHER: Final = WIDE
"""Shared bytes from which a text is taken to quote another exchange."""

LARGE: Final = 4096
"""Bytes of content from which `OWN_LARGE` holds."""

_NOTHING: Final[frozenset[str]] = frozenset()


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
        keep: Constants whose occurrences in the text are not content; those shorter than `OWN`
            cannot be mistaken for any and are not looked for.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    if len(data) < OWN // 4:
        return []
    near = [own] if own is not None else []
    far: list[Flight] = []
    (near if background else far).extend(flight for flight in others if flight is not own)
    message = _Message(data)
    spans = [span for flight in near if not flight.closed for span in message.near(flight)]
    spans += message.far(far)
    if not spans:
        return []
    spans = merged(spans)
    if keep:
        spans = _without(spans, _constants(data, keep))
    return _in_characters(data, spans) if isinstance(text, str) else spans


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


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the union of *spans*, sorted and disjoint."""
    union: list[Span] = []
    for start, end in sorted(spans):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((start, end))
    return union


class _Message:
    """A text with its views and its folded forms, each made once for all exchanges."""

    __slots__ = ("_plain", "_views")

    def __init__(self, data: bytes) -> None:
        self._plain = _Form(data, None)
        self._views = [_Form(view.data, view) for view in disguises.views(data)]

    def near(self, flight: Flight) -> Iterator[Span]:
        """Yield what the text shares with its own exchange: as it is, decoded, folded."""
        index, least = index_of(flight), threshold(flight)
        for form in (self._plain, *self._views):
            for start, end in index.spans(flight, form.exact, least):
                yield form.origin(start, end)
            folded = index.folded_spans(flight, form.folded, least)
            for start, end in folding.origins(form.exact.data, folded):
                yield form.origin(start, end)

    def far(self, flights: Iterable[Flight]) -> Iterator[Span]:
        """Yield what the text shares with other exchanges: as it is and decoded."""
        forms = [form for form in (self._plain, *self._views) if len(form.exact.data) >= OTHER]
        if not forms:
            return
        large: list[Flight] = []
        small: list[Flight] = []
        for flight in flights:
            joined = index_of(flight).join_crowd(flight)
            (small if joined else large).append(flight)
        probes = [probe for form in forms for probe in crowd.probes(form.exact.data)]
        for flight in [*large, *small] if CROWD.meets(probes) else large:
            for form in forms:
                for start, end in index_of(flight).spans(flight, form.exact, OTHER):
                    yield form.origin(start, end)


class _Form:
    """One reading of the text: itself, or a decoded view of it."""

    __slots__ = ("_folded", "_view", "exact")

    def __init__(self, data: bytes, view: View | None) -> None:
        self.exact = Needle(data)
        self._folded: Needle | None = None
        self._view = view

    @property
    def folded(self) -> Needle:
        """The reading without case, blanks and punctuation."""
        if self._folded is None:
            self._folded = Needle(folding.folded(self.exact.data))
        return self._folded

    def origin(self, start: int, end: int) -> Span:
        """Return the stretch of the text behind a stretch of this reading."""
        return (start, end) if self._view is None else self._view.origin(start, end)


def _constants(data: bytes, keep: frozenset[str]) -> list[Span]:
    found: list[Span] = []
    for constant in keep:
        if len(constant) < OWN:
            continue
        wanted = constant.encode("utf-8", "surrogatepass")
        at = data.find(wanted)
        while at >= 0:
            found.append((at, at + len(wanted)))
            at = data.find(wanted, at + 1)
    return merged(found)


def _without(spans: list[Span], constants: list[Span]) -> list[Span]:
    """Take *constants* out of *spans*; what is left of a span below `OWN` is no quotation."""
    left: list[Span] = []
    for start, end in spans:
        inside = [(s, e) for s, e in constants if s < end and e > start]
        if not inside:
            left.append((start, end))
            continue
        at = start
        for first, last in [*inside, (end, end)]:
            if first - at >= OWN:
                left.append((at, first))
            at = max(at, last)
    return left


def _in_characters(data: bytes, spans: list[Span]) -> list[Span]:
    """Turn spans of UTF-8 bytes into spans of characters, widened to whole ones."""
    if data.isascii():
        return spans
    found: list[Span] = []
    at = count = 0
    for span in spans:
        start, end = span
        while data[start] & 0xC0 == 0x80:  # noqa: PLR2004 - a continuation byte of UTF-8
            start -= 1
        while end < len(data) and data[end] & 0xC0 == 0x80:  # noqa: PLR2004 - likewise
            end += 1
        start = max(start, at)
        first = count + len(data[at:start].decode("utf-8", "surrogatepass"))
        count = first + len(data[start:end].decode("utf-8", "surrogatepass"))
        at = end
        found.append((first, count))
    return merged(found)
