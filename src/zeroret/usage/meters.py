"""The meters of one runtime's exchanges, each with what all of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zeroret.dialects import detect
from zeroret.usage.meter import Meter

if TYPE_CHECKING:
    from zeroret.dialects.overrides import Overrides
    from zeroret.tokens import TokenCounter


class Marks(Protocol):
    """Remembers what was taken, across exchanges."""

    def first(self, key: str, /) -> bool:
        """Return whether *key* is taken for the first time."""

    def expect(self, key: str, /) -> None:
        """Note that *key* may be claimed later."""

    def claim(self, key: str, /) -> bool:
        """Return whether *key* was expected, and is claimed for the first time."""


class Meters:
    """Opens meters; *counts* says whether anything that is counted would be kept."""

    __slots__ = ("_counter", "_counts", "_detect", "marks")

    def __init__(self, counter: TokenCounter, overrides: Overrides | None, *, counts: bool) -> None:
        self._counter = counter
        self._counts = counts
        self._detect = detect if overrides is None else overrides.detect
        self.marks: Marks | None = None
        """Remembers what was taken; None as long as nobody does."""

    def open(self, path: str, method: str) -> Meter | None:
        """Return a meter for what is spoken on *path*; None if that is no dialect."""
        dialect = self._detect(path, method)
        if dialect is None:
            return None
        return Meter(
            dialect,
            self._counter,
            path=path,
            method=method,
            may_count=self._counts,
            marks=self.marks,
        )

    def bare(self) -> Meter:
        """Return a meter that reads nothing, for what a handler has to say."""
        return Meter(None, self._counter)
