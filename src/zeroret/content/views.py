"""Views: what a text says once decoded, and where in the text each part of a view came from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple


class Piece(NamedTuple):
    """A stretch of a view and the stretch of the encoded text it came from.

    `exact` pieces were copied byte for byte; others stand for their whole source.
    """

    at: int
    start: int
    end: int
    exact: bool


class View:
    """Bytes decoded out of a text or out of another view, with their origin.

    Args:
        data: The decoded bytes.
        pieces: Where they came from, in order; the first at 0.
        outer: The view that was decoded, None for the text itself.
        packed: The bytes came out of base64 or hex, so that they may be compressed.
    """

    __slots__ = ("_ats", "_pieces", "data", "outer", "packed")

    def __init__(
        self, data: bytes, pieces: list[Piece], outer: View | None = None, *, packed: bool = False
    ) -> None:
        self.data = data
        self._pieces = pieces
        self._ats: list[int] | None = None
        self.outer = outer
        self.packed = packed

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the stretch of the text from which ``data[start:end]`` was decoded."""
        if self._ats is None:
            self._ats = [piece.at for piece in self._pieces]
        first = self._pieces[bisect_right(self._ats, start) - 1]
        last = self._pieces[bisect_left(self._ats, end) - 1]
        left = first.start + (start - first.at if first.exact else 0)
        right = last.start + (end - last.at) if last.exact else last.end
        return (left, right) if self.outer is None else self.outer.origin(left, right)


def token(data: bytes, start: int, end: int, *, packed: bool = False) -> View:
    """Return a view of one encoded token, which is hit as a whole."""
    return View(data, [Piece(0, start, end, exact=False)], packed=packed)
