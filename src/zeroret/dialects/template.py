"""Runs of events that differ in one text alone, read at the speed of a search.

Most events of a stream repeat each other byte by byte but for the piece of text they deliver. One
of them is decoded to learn where the text stands and what the rest means; a run of others that have
the same bytes around it needs no decoding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

MARK: Final = "zeroret"
"""What stands in place of the text while it is learned what an event means."""

TRIES: Final = 8
"""How many runs may fail before no more is learned of a stream."""

_REST: Final = re.compile(rb'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"')
_END: Final = b"\n\n"
_NEEDLES: Final = (16, 32, 64)
_texts: Final = msgspec.json.Decoder(list[str])


class Template:
    """What stands before and after the one text of an event, and between the texts of a run."""

    __slots__ = ("_after", "_before", "_needle", "_tail", "place")

    def __init__(self, before: bytes, after: bytes, place: tuple[int, int]) -> None:
        self.place = place
        """Where the text belongs, as the dialect tells places apart."""
        self._before = before
        self._after = after + _END
        # searching for a short needle and comparing the rest is several times as fast as
        # searching for all that stands between two texts
        between = after + _END + before
        size = next((size for size in _NEEDLES if between.count(between[-size:]) == 1), None)
        self._needle = between if size is None else between[-size:]
        self._tail = between[: -len(self._needle)]

    def span(self, run: bytes) -> tuple[int, int]:
        """Return where the events like this one begin and end in *run*, if it has any."""
        start = 0
        if not run.startswith(self._before):
            start = run.find(_END + self._before) + len(_END)
            if start < len(_END):
                return 0, 0
        return start, run.rfind(self._after) + len(self._after)

    def text(self, run: bytes) -> str | None:
        """Return the texts of *run*, joined; None if one of its events is another."""
        if not (run.startswith(self._before) and run.endswith(self._after)):
            return None
        inner = run[len(self._before) : -len(self._after)]
        tail = self._tail
        texts = inner.split(self._needle)
        last = texts.pop()
        between = len(texts) * (len(tail) + len(self._needle))
        if tail:
            texts = [text.removesuffix(tail) for text in texts]
        texts.append(last)
        joined = b"".join(texts)
        if len(joined) != len(inner) - between:
            return None
        try:
            if b"\\" not in joined:
                # a quote would end the text, and a line end would begin another event
                return None if b'"' in joined or b"\n" in joined else joined.decode()
            decoded = _texts.decode(b'["' + b'","'.join(texts) + b'"]')
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        # each text must have stood alone between its quotes
        return "".join(decoded) if len(decoded) == len(texts) else None


def learn(
    run: bytes, key: re.Pattern[bytes], meaning: Callable[[bytes], tuple[int, int] | None]
) -> Template | None:
    """Return the template of the first event of *run*; None if it has none.

    *key* finds the beginning of the text; *meaning* decodes an event whose text is `MARK` and says
    to which place that belongs, None if the event says anything beside it.
    """
    event = run[: run.find(_END)]
    found = key.search(event)
    rest = None if found is None else _REST.match(event, found.end())
    if found is None or rest is None:
        return None
    before, after = event[: found.end()], event[rest.end() - 1 :]
    place = meaning(before + MARK.encode() + after)
    return None if place is None else Template(before, after, place)
