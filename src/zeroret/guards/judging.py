"""Judging: what of one event of a tracker may leave, decided value by value.

Inside an exchange a value is shown if it is provably not content; an event of no exchange keeps its
texts, but for what they share with content in flight. No code of a foreign object runs here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE
from zeroret.content.redaction import MARKER, WITHHELD, redact
from zeroret.guards import program, vouching
from zeroret.guards.classes import shown_name
from zeroret.guards.logs import AFTERMATH
from zeroret.guards.modes import MODES
from zeroret.guards.values import NUMBERS, Values
from zeroret.guards.vouching import Vouched

if TYPE_CHECKING:
    from types import FrameType

MOST_VALUES: Final = 64
"""Values that one event shows under keys of the program's own."""

MOST_MEMBERS: Final = 128
"""Members of a mapping or list that are looked at; the rest is dropped."""

MOST_TEXTS: Final = 8
"""Texts of the longest list that an exchange's event shows."""

DEEPEST: Final = 4
"""How deep containers may nest in a value."""

LONGEST_KEY: Final = 128
"""Characters of the longest key that is shown."""

NAMING: Final = ("opentelemetry.semconv", "sentry_sdk")
"""Packages whose literals name keys: attributes of the conventions, fields of a tracker."""


class Dropped:
    """What a rule returns of a value that is not even worth a marker."""

    __slots__ = ()


DROPPED: Final = Dropped()


class Judge:
    """Decides about the values of one event, within the event's allowance.

    Args:
        flight: The exchange the event belongs to; None if it is not known.
        frame: The frame that made the event, for the constants on its stack.
        strict: Whether only what is provably not content is shown; else the texts are matched.
        series: Whether the event is a point of a time series, which its attributes identify: the
            markers then say no length, and well-known keys are judged alike outside of exchanges.
    """

    __slots__ = ("_left", "flight", "frame", "series", "strict", "withheld")

    def __init__(
        self,
        flight: Flight | None,
        frame: FrameType | None = None,
        *,
        strict: bool = True,
        series: bool = False,
    ) -> None:
        self.flight = flight
        self.frame = frame
        self.strict = strict
        self.series = series
        self.withheld = 0
        """How many values were not shown."""
        self._left = MOST_VALUES

    @property
    def enforce(self) -> bool:
        """Whether what is withheld stays here; else it is only counted."""
        return MODES.enforcing if self.flight is None else self.flight.enforce

    def mark(self, value: object) -> str:
        """Return the marker for *value*: how long it is, or its class."""
        self.withheld += 1
        if self.series:
            return WITHHELD
        if issubclass(type(value), str):
            return f"[withheld {str.__len__(value)} chars]"  # type: ignore[arg-type] # a str, by its type
        return f"[withheld {shown_name(value)}]"

    def drop(self) -> Dropped:
        """Count a value that goes without a marker."""
        self.withheld += 1
        return DROPPED

    def text(self, value: str) -> str:
        """Return a free text, the stretches or the whole of it withheld."""
        if type(value) is Vouched:
            return vouching.plain(value)
        if not self.strict:
            return self._matched(value)
        if type(value) is str and (
            vouching.prove(value, self.frame)
            or vouching.is_rendered(value)
            or MARKER.fullmatch(value)
        ):
            return value
        values = Values(self.flight, None, "")
        shown = values.show(value)
        return self.mark(value) if values.withheld else str(shown)

    def value(self, value: object, depth: int = 0) -> object:
        """Return any value under a key of the program's own, containers within bounds."""
        kind = type(value)
        if self._left <= 0 or depth > DEEPEST:
            return self.mark(value)
        if issubclass(kind, (list, tuple)):
            return self._sequence(value, depth)
        if issubclass(kind, Mapping):
            return self.attributes(value, depth + 1)  # type: ignore[arg-type] # a mapping, by its type
        self._left -= 1
        return self.text(value) if issubclass(kind, str) else self._scalar(value)  # type: ignore[arg-type] # a str, by its type

    def attributes(self, given: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        """Return the members of a mapping whose keys and values may be shown."""
        shown: dict[str, Any] = {}
        if depth > DEEPEST:
            self.withheld += 1
            return shown
        for number, (key, value) in enumerate(given.items()):
            if number >= MOST_MEMBERS:
                self.withheld += 1
                break
            named = self.key(key)
            if named is None:
                self.withheld += 1
            else:
                shown[named] = self.value(value, depth)
        return shown

    def key(self, key: object) -> str | None:
        """Return a key if the program or the semantic conventions name it, else None."""
        if type(key) is Vouched:
            return vouching.plain(key)
        if type(key) is not str or len(key) > LONGEST_KEY:
            return None
        if not self.strict:
            return None if LIVE.busy and self._matched(key) != key else key
        named = vouching.is_named(key) or vouching.is_rendered(key)
        if named or vouching.prove(key, self.frame, name=True):
            return key
        return key if any(key in program.words(each) for each in NAMING) else None

    def name(self, value: object) -> str | None:
        """Return the name of a span, event or metric if it is the program's own, else None."""
        if type(value) is str and self.strict and vouching.prove(value, self.frame, name=True):
            return value
        if not issubclass(type(value), str):
            return None
        before = self.withheld
        shown = self.text(value)  # type: ignore[arg-type] # a str, by its type
        if self.withheld == before:
            return shown
        self.withheld = before
        return None

    def _scalar(self, value: object) -> object:
        kind = type(value)
        if kind in NUMBERS and not self.strict:
            return value
        values = Values(self.flight, self.frame, "")
        shown = values.show(value)
        return self.mark(value) if values.withheld else shown

    def _sequence(self, value: Any, depth: int) -> object:
        if not self.strict:
            return [self.value(each, depth + 1) for each in value[:MOST_MEMBERS]]
        # No containers of numbers: a list of token ids is the prompt.
        texts = len(value) <= MOST_TEXTS and all(issubclass(type(each), str) for each in value)
        return [self.text(each) for each in value] if texts else self.mark(value)

    def _matched(self, value: str) -> str:
        text = vouching.plain(value)
        if not LIVE.busy:
            return text
        shown = redact(text, None, LIVE.everyone, background=True)
        if shown != text:
            self.withheld += 1
        return WITHHELD if self.series and shown != text else shown


def here(frame: FrameType | None = None, *, series: bool = False) -> Judge:
    """Return the judge of an event that is made now, in this context.

    Args:
        frame: The frame that makes it.
        series: See `Judge`.
    """
    flight = current()
    return Judge(flight, frame, strict=flight is not None, series=series)


def stranger(*, series: bool = False) -> Judge:
    """Return the judge of an event that was made nobody knows where: strict in any case."""
    return Judge(current(), None, strict=True, series=series)


def current() -> Flight | None:
    """Return the exchange that runs in this context, or has just ended in it."""
    flight = CURRENT.get()
    if flight is not None:
        return flight
    last = LAST.get()
    if last is None or last.ended is None:
        return last
    return last if time.perf_counter() - last.ended < AFTERMATH else None
