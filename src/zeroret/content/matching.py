"""Matching: where a text shares content with exchanges in flight.

A text shares what stands in the content byte for byte, for at least the threshold: the spans
returned are the union of all such runs, no more and no less. Its decoded views and its folded form
are matched, too; a span is then what the shared run was decoded or folded from.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, TypeAlias

from zeroret.content import disguises, folding
from zeroret.content.company import Company
from zeroret.content.haystack import Needle
from zeroret.content.index import index_of
from zeroret.content.thresholds import LARGE, OTHER, OWN, OWN_LARGE, threshold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zeroret.content.flight import Flight
    from zeroret.content.haystack import Span
    from zeroret.content.views import View

__all__ = [
    "LARGE",
    "OTHER",
    "OWN",
    "OWN_LARGE",
    "Others",
    "merged",
    "shared",
    "shares",
    "threshold",
]

Others: TypeAlias = "Iterable[Flight] | Company"
"""Further exchanges: matched one by one, or all that are live at once."""

_NOTHING: Final[frozenset[str]] = frozenset()


def shared(
    text: str | bytes,
    own: Flight | None,
    others: Others = (),
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
    if len(data) < OWN and data.isascii():
        return []
    constants = _constants(data, keep) if keep else []
    unknown = _without([(0, len(data))], constants)
    if not unknown:
        return []  # nothing in it is long enough to quote anything
    known_to = (unknown[0][0], unknown[-1][1])
    spans = _spans(_Message(data, known_to), own, others, background=background)
    if spans is None:
        spans = unknown
    elif not spans:
        return []
    spans = _without(merged(spans), constants)
    return _in_characters(data, spans) if isinstance(text, str) else spans


def shares(
    text: str | bytes,
    own: Flight | None,
    others: Others = (),
    *,
    background: bool = False,
) -> bool:
    """Tell whether *text* shares content; see `shared`."""
    return bool(shared(text, own, others, background=background))


def _spans(
    message: _Message, own: Flight | None, others: Others, *, background: bool
) -> list[Span] | None:
    """Return all that a text shares; None if that cannot be told with the work allowed."""
    spans = list(message.near(own)) if own is not None else []
    if isinstance(others, Company):
        if not others.crowd.catch_up(others.work):
            if others.work != inf:
                others.fell_behind()
                return None
            behind = [flight for flight in others.crowd.behind() if others.admits(flight)]
            spans += message.each(own, behind, background=background)
        spans += message.anyone(own, others, background=background)
    else:
        spans += message.each(own, others, background=background)
    return spans


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
    """A text with its views and its folded forms, each made once for all exchanges.

    Args:
        data: The text.
        open_: From where to where it is not known to be the program's own.
    """

    __slots__ = ("_forms", "_open")

    def __init__(self, data: bytes, open_: Span) -> None:
        self._open = open_
        views = disguises.views(data)
        self._forms = [_Form(data, None), *(_Form(view.data, view) for view in views)]

    def near(self, flight: Flight) -> Iterator[Span]:
        """Yield what the text shares with its own exchange: as it is, decoded, folded."""
        if flight.closed:
            return
        index, least = index_of(flight), threshold(flight)
        for form in self._forms:
            yield from form.origins(index.spans(flight, form.exact, least))
            yield from form.unfolded(index.folded_spans(flight, form.folded, least))

    def each(
        self, own: Flight | None, flights: Iterable[Flight], *, background: bool
    ) -> Iterator[Span]:
        """Yield what the text shares with other exchanges, each as if it were its own or not."""
        for flight in flights:
            if flight is not own:
                yield from self.near(flight) if background else self.far(flight)

    def far(self, flight: Flight) -> Iterator[Span]:
        """Yield what the text shares with another exchange: as it is and decoded."""
        for form in self._forms:
            if len(form.exact.data) >= OTHER and not flight.closed:
                yield from form.origins(index_of(flight).spans(flight, form.exact, OTHER))

    def anyone(self, own: Flight | None, company: Company, *, background: bool) -> Iterator[Span]:
        """Yield what `each` does, for all of *company* that the crowd knows."""

        def admits(flight: Flight) -> bool:
            return not flight.closed and company.admits(flight)

        least = None if background else OTHER
        runs = company.crowd.runs
        for form in self._forms:
            # Runs that matter end beyond the program's own text, on either side.
            start, end = form.around(self._open, least or OWN_LARGE)
            found = runs(form.exact.data[start:end], least, admits, own=own)
            yield from form.origins([(start + one, start + other) for one, other in found])
            if background:
                start, end = form.folded_around(self._open, OWN_LARGE)
                found = runs(form.folded.data[start:end], least, admits, own=own, folded=True)
                yield from form.unfolded([(start + one, start + other) for one, other in found])


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

    def around(self, open_: Span, margin: int) -> Span:
        """Return where runs of *margin* bytes can hold a part of the text that is *open_*."""
        if self._view is not None:
            return 0, len(self.exact.data)
        return max(open_[0] - margin, 0), open_[1] + margin

    def folded_around(self, open_: Span, margin: int) -> Span:
        """Return the same in the reading folded."""
        if self._view is not None:
            return 0, len(self.folded.data)
        data, whole = self.exact.data, len(self.folded.data)
        before = len(folding.folded(data[: open_[0]])) if open_[0] else 0
        behind = len(folding.folded(data[open_[1] :])) if open_[1] < len(data) else 0
        return max(before - margin, 0), whole - behind + margin

    def origins(self, spans: Iterable[Span]) -> Iterable[Span]:
        """Return the stretches of the text behind stretches of this reading."""
        if self._view is None:
            return spans
        return [self._view.origin(start, end) for start, end in spans]

    def unfolded(self, spans: Sequence[Span]) -> Iterable[Span]:
        """Return the same for stretches of it folded."""
        return self.origins(folding.origins(self.exact.data, merged(spans))) if spans else ()


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
