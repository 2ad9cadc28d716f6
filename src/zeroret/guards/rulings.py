"""Rulings: how an event of this very moment is to be shown, for libraries that log by themselves.

Inside an exchange it is judged strictly, or matched if the exchange says so; outside of any it is
compared with all content in flight, if there is some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from zeroret.content.live import LIVE
from zeroret.guards import exceptions, extras, logs, records, source, tally
from zeroret.guards.matched import Matcher, kept
from zeroret.guards.values import Values

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from zeroret.content.flight import Flight
    from zeroret.content.matching import Others


class Strict:
    """Shows what is provably not content.

    Args:
        flight: The exchange the event belongs to.
        frame: The frame that logs.
    """

    __slots__ = ("_values", "frame")

    strict = True

    def __init__(self, flight: Flight, frame: FrameType | None) -> None:
        self._values = Values(flight, frame, source.place(frame))
        self.frame = frame

    @property
    def changed(self) -> bool:
        """Whether anything was withheld."""
        return bool(self._values.withheld)

    def message(self, text: object, args: object = ()) -> tuple[Any, Any]:
        """Return a message and its arguments as they may be shown."""
        return records.message(text, args, self._values, self.frame)

    def value(self, value: object) -> object:
        """Return a value as it may be shown.

        Values are bound to a logger in one place and logged in another: a literal of the program
        counts wherever it comes from, and so does what was bound before any content was in flight.
        """
        if type(value) is str and (value in extras.bound or source.is_own_name(value)):
            return value
        return self._values.show(value)

    def key(self, key: object) -> bool:
        """Tell whether *key* may be shown: the program's source names it."""
        return extras.is_programs(key, self.frame) or extras.is_spelt(key)

    def drop(self) -> None:
        """Count something that is not shown at all."""
        self._values.withheld += 1


class Matching:
    """Shows all but what it shares with content in flight.

    Args:
        flight: The exchange the event belongs to; None if that is not known.
        others: The exchanges that are live.
        frame: The frame that logs.
    """

    __slots__ = ("_matcher", "frame")

    strict = False

    def __init__(self, flight: Flight | None, others: Others, frame: FrameType | None) -> None:
        self._matcher = Matcher(flight, others)
        self.frame = frame

    @property
    def changed(self) -> bool:
        """Whether anything was taken out."""
        return bool(self._matcher.redacted)

    def message(self, text: object, args: object = ()) -> tuple[Any, Any]:
        """Return a message and its arguments as they may be shown, the program's text kept."""
        if type(text) is str:
            self._matcher.keep = kept(text, self.frame)
        shown = self.value(text)
        self._matcher.keep = frozenset()
        if isinstance(args, dict):
            return shown, {self.value(key): self.value(each) for key, each in args.items()}
        return shown, tuple(map(self.value, args)) if isinstance(args, tuple) else args

    def value(self, value: object) -> object:
        """Return a value as it may be shown."""
        return self._matcher.value(value)

    def key(self, key: object) -> bool:
        """Tell whether *key* may be shown."""
        return type(key) is str and self._matcher.peek(key) == key

    def drop(self) -> None:
        """Count something that is not shown at all."""
        self._matcher.redacted += 1


class Failed:
    """Shows nothing, since the guard itself failed."""

    __slots__ = ()

    strict = True
    changed = True
    frame = None

    def message(self, _text: object, _args: object = ()) -> tuple[Any, Any]:
        """Return what the logs say of a guard that failed."""
        return records.GUARD_ERROR, ()

    def value(self, _value: object) -> object:
        """Return the same for a value."""
        return records.GUARD_ERROR

    def key(self, _key: object) -> bool:
        """Show no key."""
        return False

    def drop(self) -> None:
        """Count nothing: that it failed is counted."""


class Ruling(NamedTuple):
    """How this moment's events are shown."""

    judge: Strict | Matching | Failed
    enforce: bool
    """Whether that is done, or only counted."""


def ruling(frame: FrameType | None) -> Ruling | None:
    """Return how an event that *frame* logs now is to be shown; None: as it is. Never raises."""
    try:
        return _ruling(frame)
    except Exception:  # noqa: BLE001 - fails closed: neither the code that logs nor a log is told
        tally.count("logs", "failed")
        return Ruling(Failed(), enforce=True)


def _ruling(frame: FrameType | None) -> Ruling | None:
    flight = logs.here()
    if flight is not None:
        if flight.log_guard == "none":
            return None
        if flight.log_guard == "strict" or not flight.matchable:
            return Ruling(Strict(flight, frame), flight.enforce)
        return Ruling(Matching(flight, LIVE.everyone, frame), flight.enforce)
    if not LIVE.busy:
        return None
    return Ruling(Matching(None, LIVE.logged, frame), LIVE.logged.enforce)


def content_free(error: BaseException, trace: TracebackType | None) -> tuple[Any, Any, Any]:
    """Return what `sys.exc_info` would, of a stand-in for *error*."""
    stand_in = exceptions.substitute(error, trace)
    return type(stand_in), stand_in, stand_in.__traceback__
