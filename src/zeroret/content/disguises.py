"""Disguises: the decoded views of a text, in which content may stand that the text hides.

Up to three codings deep and bounded in number and size; a plain text is told apart by one cheap
test for each coding, before anything is decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zeroret.content import encodings, escapes
from zeroret.content.views import Piece, View

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH: Final = 3
"""Codings taken off one after another."""

VIEWS_LIMIT: Final = 1024
"""The most views of one text; what is nested deepest goes first."""

BYTES_LIMIT: Final = 2**21
"""The most decoded bytes of one text, besides four times its own size."""


def views(text: bytes) -> list[View]:
    """Return the decoded views of *text* (UTF-8), those of the first coding first."""
    found: list[View] = []
    budget = BYTES_LIMIT + 4 * len(text)
    frontier = [View(text, [Piece(0, 0, len(text), exact=True)])]
    for _ in range(DEPTH):
        inner: list[View] = []
        for outer in frontier:
            for view in _decoded(outer):
                if len(view.data) < encodings.SHORTEST:
                    continue
                budget -= len(view.data)
                if budget < 0 or len(found) >= VIEWS_LIMIT:
                    return found
                view.outer = outer
                found.append(view)
                inner.append(view)
        if not inner:
            return found
        frontier = inner
    return found


def _decoded(outer: View) -> Iterator[View]:
    data = outer.data
    for decode in _IN_PLACE:
        view = decode(data)
        if view is not None:
            yield view
    for find in _TOKENS:
        yield from find(data)
    yield from encodings.inflated(outer)


_IN_PLACE: Final = (
    escapes.unescaped,
    escapes.unescaped_bytes,
    escapes.unquoted,
    escapes.unentitled,
)
_TOKENS: Final = (
    encodings.base64,
    encodings.hexadecimal,
    encodings.integers,
    encodings.wide,
)
